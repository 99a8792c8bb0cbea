import numpy as np
import pytest
from numba import njit

from udfs.dedup.bloom import (
    contains,
    empty_filter,
    false_positive_rate_of,
    filter_size_bytes,
    insert,
    number_of_hashes,
)


@njit
def _fill(words, num_hashes, items):  # type: ignore[no-untyped-def]
    for item in items:
        insert(words, num_hashes, item)


@njit
def _count(words, num_hashes, items):  # type: ignore[no-untyped-def]
    found = 0
    for item in items:
        found += contains(words, num_hashes, item)
    return found


@pytest.mark.parametrize("rate", [0.1, 0.01, 0.001])
def test_a_full_filter_finds_all_items_and_no_more_others_than_stated(rate: float) -> None:
    rng = np.random.default_rng(1)
    items = rng.integers(0, 2**64, 200_000, np.uint64)
    others = rng.integers(0, 2**64, 400_000, np.uint64)
    bloom = empty_filter(len(items), rate)
    _fill(bloom.words, bloom.num_hashes, items)
    assert _count(bloom.words, bloom.num_hashes, items) == len(items)
    found = _count(bloom.words, bloom.num_hashes, others) / len(others)
    deviation = 4 * (rate / len(others)) ** 0.5
    assert rate * 0.8 - deviation < found < rate + deviation


def test_the_published_rate_takes_seven_hashes_and_under_ten_bits() -> None:
    assert number_of_hashes(0.01) == 7
    assert 9.593 <= filter_size_bytes(10**9, 0.01) * 8 / 10**9 < 10.0


def test_the_size_is_the_smallest_that_keeps_the_rate() -> None:
    for num_items in (1, 1000, 123_457):
        blocks = filter_size_bytes(num_items, 0.01) // 64
        assert false_positive_rate_of(num_items, blocks, 7) <= 0.01
        assert blocks == 1 or false_positive_rate_of(num_items, blocks - 1, 7) > 0.01


def test_no_items_still_make_a_filter() -> None:
    bloom = empty_filter(0, 0.01)
    assert bloom.size_bytes == 64
    assert bloom.words.ctypes.data % 64 == 0


@pytest.mark.parametrize("rate", [0.0, 1.0, -1.0, 2.0])
def test_an_impossible_rate_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="false_positive_rate"):
        filter_size_bytes(10, rate)


def test_a_filter_past_the_index_is_refused() -> None:
    with pytest.raises(ValueError, match="more shards"):
        filter_size_bytes(10**13, 0.01)
