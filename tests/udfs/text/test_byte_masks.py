"""Masks of 64 bytes against a loop over them, at every distance from the end of the data."""

import numpy as np
import pytest

from udfs.text.byte_masks import (
    BLOCK,
    append,
    characters,
    count_byte,
    eight_bytes,
    in_folded_range,
    in_range,
    next_byte,
    readable_blocks,
)


@pytest.fixture(scope="module")
def data() -> np.ndarray:
    return readable_blocks(np.random.default_rng(0).integers(0, 256, 200, np.uint8))


def mask_of(found: np.ndarray) -> int:
    return sum(1 << bit for bit, is_found in enumerate(found.tolist()) if is_found)


def test_masks_hold_a_bit_for_each_byte_in_the_range(data: np.ndarray) -> None:
    for position in range(data.size):
        block = data[position : position + BLOCK]
        folded = block | 0x20
        assert int(in_range(data, position, 128, 128)) == mask_of(block >= 128)
        letters = (folded >= 97) & (folded < 123)
        assert int(in_folded_range(data, position, 97, 26)) == mask_of(letters)


def test_eight_bytes_are_a_number_whose_bytes_beyond_the_end_are_0(data: np.ndarray) -> None:
    for position in range(data.size):
        expected = int.from_bytes(data[position : position + 8].tobytes(), "little")
        assert int(eight_bytes(data, position)) == expected


def test_data_shorter_than_a_block_is_read_as_it_is() -> None:
    data = readable_blocks(np.frombuffer("a.é.".encode(), np.uint8))
    assert next_byte(data, 0, 5, ord(".")) == 1
    assert next_byte(data, 2, 4, ord(".")) == 4
    assert count_byte(data, 0, 5, ord(".")) == 2
    assert characters(data, 0, 5) == 4


def test_pieces_that_overlap_are_copied_whole() -> None:
    data = np.arange(100, dtype=np.uint8)
    assert append(data, 10, 100, data, 3) == 93
    assert data[3:93].tolist() == list(range(10, 100))
