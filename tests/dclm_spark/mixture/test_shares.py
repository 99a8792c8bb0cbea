"""By which rule sources make a corpus, on counts of real draws."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest

from dclm_spark.errors import InputError, SettingError
from dclm_spark.mixture.shares import as_json, render, shares
from dclm_spark.mixture.source_counts import SourceCounts, Totals
from dclm_spark.mixture.source_settings import MixtureSettings, SourceSettings
from udfs.tokens.mixing import Passes, counted, draws, mixed


def documents(count, name):
    """Return documents with some tokens each."""
    ids = [hashlib.blake2b(f"{name}{n}".encode(), digest_size=16).digest() for n in range(count)]
    tokens = np.random.default_rng(count).integers(1, 90, count)
    return pa.RecordBatch.from_pydict(
        {
            "doc_id": pa.array(ids, pa.binary()),
            "num_tokens": pa.array(tokens, pa.int64()),
            "order_key": pa.array(range(count), pa.int64()),
            "cell": pa.array([0] * count, pa.int32()),
            "tokens": pa.array([b""] * count, pa.binary()),
        }
    )


def counts_of(batch, name):
    def count(prefix, level):
        rows = counted(batch, name, prefix, level).to_pylist()
        return {row.pop("bucket"): Totals(**row) for row in rows}

    return SourceCounts(count)


def source(**keys):
    return SourceSettings(input="files", **keys)


POOL = {"web": documents(4000, "web"), "wiki": documents(300, "wiki")}
COUNTS = {name: counts_of(batch, name) for name, batch in POOL.items()}
TOKENS = {name: one.totals.tokens for name, one in COUNTS.items()}


def shared(mixture=None, **sources):
    return shares(sources, mixture or MixtureSettings(), COUNTS)


def test_without_parts_every_document_enters_once():
    web, wiki = shared(web=source(), wiki=source())
    assert web.passes == Passes(whole=1, limit=0)
    assert web.corpus == COUNTS["web"].totals
    assert wiki.corpus == COUNTS["wiki"].totals


def test_what_enters_is_what_the_kernel_gives_and_less_than_a_document_is_missing():
    (web, wiki) = shared(web=source(tokens=50_000), wiki=source(tokens=40_000, max_repeats=4))
    for share, wanted in ((web, 50_000), (wiki, 40_000)):
        rows = mixed(POOL[share.name], share.name, share.passes, cells=1)
        copies = rows.column("repeats").to_numpy()
        lengths = rows.column("num_tokens").to_numpy() + 1
        assert (copies * lengths).sum() == share.corpus.tokens
        assert copies.sum() == share.corpus.copies
        assert (copies > 0).sum() == share.corpus.documents
        assert share.passes.without == ()
        assert 0 <= wanted - share.corpus.tokens < lengths.max()
    assert wiki.passes.whole == 40_000 // TOKENS["wiki"] > 1
    # The next document by its draw would be too much.
    found = draws(POOL["web"].column("doc_id"), "web")
    following = int(np.sort(found[found >= np.uint64(web.passes.limit)])[0])
    more = mixed(POOL["web"], "web", Passes(whole=0, limit=following + 1), cells=1)
    added = more.column("repeats").to_numpy() * (more.column("num_tokens").to_numpy() + 1)
    assert added.sum() > 50_000


def test_a_document_that_does_not_fit_is_passed_over_while_much_is_missing():
    batch = documents(400, "odd")
    found = draws(batch.column("doc_id"), "odd")
    # The third by its draw is larger than all others together.
    giant = int(np.argsort(found)[2])
    tokens = batch.column("num_tokens").to_numpy().copy()
    tokens[giant] = 100_000
    batch = batch.set_column(1, "num_tokens", pa.array(tokens))
    (share,) = shares(
        {"odd": source(tokens=12_000)}, MixtureSettings(), {"odd": counts_of(batch, "odd")}
    )
    assert share.passes.without == (int(found[giant]) >> 48,)
    assert 11_880 <= share.corpus.tokens <= 12_000
    rows = mixed(batch, "odd", share.passes, cells=1)
    copies = rows.column("repeats").to_numpy()
    assert copies[giant] == 0
    assert (copies * (tokens + 1)).sum() == share.corpus.tokens


def test_weights_take_as_much_as_the_scarcest_source_allows():
    web, wiki = shared(web=source(weight=3), wiki=source(weight=1))
    assert wiki.corpus == COUNTS["wiki"].totals
    assert wiki.passes == Passes(whole=1, limit=0)
    assert web.wanted == 3 * TOKENS["wiki"]
    assert as_json([web, wiki])[0]["share"] == pytest.approx(0.75, abs=0.003)
    web, wiki = shared(web=source(weight=3), wiki=source(weight=1, max_repeats=2.5))
    assert wiki.wanted == int(2.5 * TOKENS["wiki"])
    assert web.wanted == int(7.5 * TOKENS["wiki"])


def test_a_whole_is_shared_out_by_weights():
    web, wiki = shared(
        MixtureSettings(tokens=20_000), web=source(weight=0.9), wiki=source(weight=0.1)
    )
    assert (web.wanted, wiki.wanted) == (18_000, 2_000)


@pytest.mark.parametrize(
    ("mixture", "wiki", "key"),
    [
        (MixtureSettings(), {"tokens": 100_000}, "lower tokens"),
        (MixtureSettings(tokens=200_000), {"weight": 1.0}, "lower mixture.tokens"),
    ],
)
def test_a_source_that_would_be_repeated_too_often_is_an_error_with_its_numbers(mixture, wiki, key):
    web = {name: 1.0 for name in wiki if name == "weight"}
    with pytest.raises(SettingError) as error:
        shared(mixture, web=source(**web, max_repeats=9), wiki=source(**wiki, max_repeats=2))
    text = str(error.value)
    assert text.startswith("sources.wiki: 100,000 tokens of it are wanted")
    for part in (f"{TOKENS['wiki']:,} are there", "max_repeats = 2", f"({2 * TOKENS['wiki']:,})"):
        assert part in text
    assert f"{100_000 / TOKENS['wiki']:.2f} times" in text
    assert key in text


def test_a_source_without_documents_is_an_error_unless_nothing_of_it_is_asked():
    empty = {"web": COUNTS["web"], "none": SourceCounts(lambda prefix, level: {})}
    with pytest.raises(InputError, match=r"sources\.none: no document of it is left"):
        shares({"web": source(weight=1), "none": source(weight=1)}, MixtureSettings(), empty)
    _, none = shares({"web": source(), "none": source()}, MixtureSettings(), empty)
    assert none.corpus == Totals(0, 0, 0)
    assert "none" in render([none])


def test_fewer_tokens_than_a_document_has_are_an_error():
    with pytest.raises(InputError, match="its first document has more"):
        shared(web=source(tokens=1))


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"weight": 0.0}, "leave the source out"),
        ({"weight": -1.0}, "more than 0"),
        ({"weight": float("nan")}, "more than 0"),
        ({"tokens": 0}, "at least 1"),
        ({"max_repeats": 0.0}, "more than 0"),
        ({"weight": 1.0, "tokens": 5}, "one of the two"),
    ],
)
def test_parts_that_cannot_be_are_refused(keys, words):
    with pytest.raises(ValueError, match=words):
        source(**keys)
