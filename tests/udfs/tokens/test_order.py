import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.tokens.order import buckets, document_keys, permuted_positions


@given(total=st.integers(1, 3000), seed=st.integers(0, 2**64 - 1))
def test_positions_are_a_permutation(total, seed):
    positions = permuted_positions(0, total, total, seed)
    assert sorted(positions.tolist()) == list(range(total))


def test_a_part_of_the_items_gets_the_same_positions_as_in_the_whole():
    whole = permuted_positions(0, 5000, 5000, 42)
    assert permuted_positions(1200, 1300, 5000, 42).tolist() == whole[1200:1300].tolist()


def test_seeds_give_different_orders_that_look_random():
    first, second = (permuted_positions(0, 4096, 4096, seed) for seed in (1, 2))
    assert (first != second).mean() > 0.99
    assert abs(np.corrcoef(np.arange(4096), first)[0, 1]) < 0.05


def test_items_outside_the_total_are_refused():
    with pytest.raises(ValueError, match="do not lie in"):
        permuted_positions(3, 11, 10, 0)


def test_document_keys_are_pinned():
    ids = pa.array([bytes(range(16)), bytes(16)], pa.binary())
    assert document_keys(ids, 1234).tolist() == document_keys(ids, 1234).tolist()
    assert document_keys(ids, 1234).tolist() != document_keys(ids, 1235).tolist()


def test_buckets_are_even():
    ids = pa.array([number.to_bytes(16, "big") for number in range(20_000)], pa.binary())
    counts = np.bincount(buckets(document_keys(ids, 7), 10), minlength=10)
    assert counts.sum() == 20_000
    assert counts.min() > 1_800
    assert counts.max() < 2_200
