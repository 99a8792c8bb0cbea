"""A document of 50 MB goes through every way of finding copies."""

import numpy as np
import pyarrow as pa
import pytest

from udfs.dedup.global_ngrams import GlobalNgramSettings, ngram_occurrences
from udfs.dedup.minhash import PRESETS, signatures
from udfs.dedup.ngrams import NgramDedupSettings, ShardDeduplicator, count_ngrams

SIZE_BYTES = 50_000_000


@pytest.fixture(scope="module")
def texts() -> pa.Array:
    rng = np.random.default_rng(1)
    words = np.array([f"word{number}" for number in range(50_000)])
    large = " ".join(rng.choice(words, SIZE_BYTES // 9))
    assert len(large) > 0.9 * SIZE_BYTES
    half = large[: len(large) // 2]
    return pa.array([large, large, "a page of its own", half], pa.large_string())


def test_its_copies_go_and_its_neighbour_stays(texts: pa.Array) -> None:
    ngrams = int(count_ngrams(texts, NgramDedupSettings()).sum())
    found = ShardDeduplicator(ngrams, NgramDedupSettings(), 1).deduplicate(texts)
    assert found.dropped.tolist() == [False, True, False, True]
    assert found.text[0] == texts[0]


def test_its_copy_has_the_same_signature(texts: pa.Array) -> None:
    result = signatures(texts, PRESETS["datatrove"])
    assert (result.bands[0] == result.bands[1]).all()
    assert not (result.bands[0] == result.bands[2]).any()


def test_its_ngrams_are_those_of_its_copy(texts: pa.Array) -> None:
    ngrams, rows, _ = ngram_occurrences(texts, GlobalNgramSettings(sample_one_in=16))
    first, second = (np.sort(ngrams[rows == row]) for row in (0, 1))
    assert len(first) > SIZE_BYTES // 9 // 16 * 0.9
    assert (first == second).all()
