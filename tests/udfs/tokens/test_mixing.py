"""How documents of several sources are counted, and where they go in a corpus of them."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest

from udfs.tokens.copies import REPEATS, copied
from udfs.tokens.mixing import LEVEL_BITS, SOURCE, Passes, counted, draws, mixed

COUNT = 500


def documents(copies: list[int] | None = None) -> pa.RecordBatch:
    """Return tokenized documents with as many tokens as their number."""
    ids = [
        hashlib.blake2b(bytes([n % 256, n // 256]), digest_size=16).digest() for n in range(COUNT)
    ]
    keys = np.random.default_rng(1).integers(0, 2**64, COUNT, np.uint64)
    columns = {
        "doc_id": pa.array(ids, pa.binary()),
        "cell": pa.array([0] * COUNT, pa.int32()),
        "order_key": pa.array(keys.view(np.int64)),
        "num_tokens": pa.array(range(COUNT), pa.int64()),
        "tokens": pa.array([b"\1\0" * n for n in range(COUNT)], pa.binary()),
    }
    if copies is not None:
        columns[REPEATS.name] = pa.array(copies, REPEATS.type)
    return pa.RecordBatch.from_pydict(columns)


def test_draws_are_of_a_document_and_its_source():
    ids = documents().column("doc_id")
    assert (draws(ids, "web") == draws(ids, "web")).all()
    assert (draws(ids, "web") != draws(ids, "wiki")).all()
    # As many below a half as above it, as far as chance goes.
    assert abs((draws(ids, "web") < np.uint64(2**63)).mean() - 0.5) < 0.1


@pytest.mark.parametrize("copies", [None, [n % 3 for n in range(COUNT)]])
def test_counts_of_all_levels_are_those_of_a_plain_sum(copies):
    batch = documents(copies)
    found = draws(batch.column("doc_id"), "web")
    weights = np.array([1] * COUNT if copies is None else copies)
    tokens = (np.arange(COUNT) + 1) * weights
    first = counted(batch, "web", 0, 0)
    assert sum(first.column("tokens").to_pylist()) == tokens.sum()
    assert sum(first.column("copies").to_pylist()) == weights.sum()
    assert sum(first.column("documents").to_pylist()) == (weights > 0).sum()
    prefix = int(found[7]) >> (64 - LEVEL_BITS)
    inside = (found >> np.uint64(64 - LEVEL_BITS)) == prefix
    second = counted(batch, "web", prefix, 1)
    assert sum(second.column("tokens").to_pylist()) == tokens[inside].sum()
    last = counted(batch, "web", int(found[7]) >> LEVEL_BITS, 3)
    assert last.column("bucket").to_pylist() == [int(found[7]) & (2**LEVEL_BITS - 1)]
    assert last.column("tokens").to_pylist() == [tokens[7]]


def test_a_pass_takes_each_document_as_often_as_its_recipe_says_and_the_rest_by_draw():
    copies = [n % 3 for n in range(COUNT)]
    batch = documents(copies)
    limit = 2**62
    rows = mixed(batch, "web", Passes(whole=2, limit=limit), cells=4)
    below = draws(batch.column("doc_id"), "web") < np.uint64(limit)
    expected = np.array(copies) * (2 + below)
    assert rows.column(REPEATS.name).to_pylist() == expected.tolist()
    assert set(rows.column(SOURCE.name).to_pylist()) == {"web"}
    assert rows.column("num_tokens").to_pylist() == list(range(COUNT))
    lengths = [len(one) // 2 for one in rows.column("tokens").to_pylist()]
    assert lengths == [n if count else 0 for n, count in enumerate(expected)]
    assert copied(rows, 4).num_rows == expected.sum()


@pytest.mark.parametrize(("limit", "share"), [(0, 0), (2**64, 1)])
def test_the_least_and_the_highest_limit_take_nothing_and_all(limit, share):
    rows = mixed(documents(), "web", Passes(whole=0, limit=limit), cells=1)
    assert rows.column(REPEATS.name).to_pylist() == [share] * COUNT


def test_the_same_page_of_two_sources_lies_in_two_places():
    batch, passes = documents(), Passes(whole=1, limit=0)
    web, wiki = (mixed(batch, name, passes, cells=64) for name in ("web", "wiki"))
    keys = [one.column("order_key").to_numpy() for one in (web, wiki, batch)]
    assert not set(keys[0]) & set(keys[1])
    assert not set(keys[0]) & set(keys[2])
    # And no place of one says anything of the other.
    assert abs(np.corrcoef(keys[0].astype(float), keys[1].astype(float))[0, 1]) < 0.15
