"""A corpus with some documents as another corpus has them."""

from pathlib import Path

import pyarrow as pa
import pytest

from dclm_spark.errors import InputError
from dclm_spark.ranking.budgets.exchange import exchanged
from dclm_spark.shard_format import read_manifest
from tests.dclm_spark.ranking.budgets.test_repetition import bag, pieces_of
from tests.dclm_spark.ranking.toy_corpora import (
    documents,
    tokenizer_file,
    write_corpus_of_documents,
)

TEXTS = dict(zip((bytes([0, n]) * 8 for n in range(250)), documents(1, 250, 14), strict=True))
OTHER_TEXTS = dict(zip(TEXTS, documents(2, 250, 9), strict=True))
BOTH, FIRST_ALONE, SECOND_ALONE, DIFFERING = (
    list(TEXTS)[first : first + 50] for first in (0, 50, 100, 150)
)
# Shards have one size: the documents of the rows that do not fill them are cut or left out.
MOST_CUT = 6


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("corpora")
    tokenizer = tokenizer_file(folder)
    first = {name: TEXTS[name] for name in [*BOTH, *FIRST_ALONE, *DIFFERING]}
    second = {name: TEXTS[name] for name in [*BOTH, *SECOND_ALONE]}
    second |= {name: OTHER_TEXTS[name] for name in DIFFERING}
    return tuple(
        str(write_corpus_of_documents(folder / name, texts, tokenizer, sequences_per_shard=40))
        for name, texts in (("a", first), ("b", second))
    )


def held(manifest: str | Path) -> dict[bytes, list[int]]:
    return {name: bag(pieces) for name, pieces in pieces_of(Path(manifest)).items()}


def whole(manifest: str | Path, source: str) -> set[bytes]:
    """Return the documents whose tokens are those that `source` has; ends of shards cut some."""
    had = held(source)
    return {name for name, tokens in held(manifest).items() if had.get(name) == tokens}


def test_with_no_documents_it_is_the_corpus_itself(corpora, tmp_path: Path) -> None:
    first, second = corpora
    found = exchanged(first, second, pa.array([], pa.binary()), tmp_path)
    assert len(set(held(first)) - whole(found, first)) <= MOST_CUT
    assert read_manifest(str(found)).tokens_per_row == read_manifest(first).tokens_per_row


def test_documents_come_in_go_and_are_replaced(corpora, tmp_path: Path) -> None:
    first, second = corpora
    ids = pa.array([*FIRST_ALONE, *SECOND_ALONE, *DIFFERING], pa.binary())
    found = exchanged(first, second, ids, tmp_path)
    assert not set(held(found)) & set(FIRST_ALONE)
    assert len(set(SECOND_ALONE) & set(held(second)) - whole(found, second)) <= MOST_CUT
    assert len(set(DIFFERING) & set(held(second)) - whole(found, second)) <= MOST_CUT
    # So it is the other corpus, packed again.
    assert set(held(found)) <= set(held(second)) | set(held(first)) & set(BOTH)


def test_the_documents_of_both_corpora_are_mixed(corpora, tmp_path: Path) -> None:
    first, second = corpora
    found = exchanged(first, second, pa.array(SECOND_ALONE, pa.binary()), tmp_path)
    order = list(pieces_of(found))
    places = [place for place, name in enumerate(order) if name in set(SECOND_ALONE)]
    assert min(places) < len(order) / 4
    assert max(places) > 3 * len(order) / 4


def test_what_is_there_is_not_written_again(corpora, tmp_path: Path) -> None:
    first, second = corpora
    ids = pa.array(SECOND_ALONE, pa.binary())
    found = exchanged(first, second, ids, tmp_path)
    before = found.stat().st_mtime_ns
    assert exchanged(first, second, ids[::-1], tmp_path) == found
    assert found.stat().st_mtime_ns == before


def test_a_corpus_of_which_nothing_is_left_is_refused(corpora, tmp_path: Path) -> None:
    first, _ = corpora
    others = {name: TEXTS[name] for name in SECOND_ALONE}
    other = write_corpus_of_documents(
        tmp_path / "c", others, tokenizer_file(tmp_path), sequences_per_shard=8
    )
    every = pa.array([*BOTH, *FIRST_ALONE, *DIFFERING], pa.binary())
    with pytest.raises(InputError, match="0 tokens are left without the group"):
        exchanged(first, str(other), every, tmp_path)
