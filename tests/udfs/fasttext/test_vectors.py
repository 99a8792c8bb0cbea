"""Eight numbers at a time give what one at a time gives, to the last bit."""

import numpy as np
import pytest
from numba import njit

from udfs.fasttext.vectors import LANES, add_eight, add_eight_of_four, or_of_equal


@njit
def add_one(totals, place, rows, row, column):
    add_eight(totals, place, rows, row, column)


@njit
def add_four(totals, place, rows, row, column):
    add_eight_of_four(totals, place, rows, (row[0], row[1], row[2], row[3]), column)


@njit
def look_up(table, at, key, low_bits):
    return or_of_equal(table, at, key, low_bits)


def numbers(shape, kind=np.float32):
    return np.random.default_rng(5).normal(size=shape).astype(kind)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_one_row_is_added_to_eight_columns(kind):
    totals, rows = numbers((3, 21), kind), numbers((4, 21))
    expected = totals.copy()
    expected[1, 5:13] += rows[3, 5:13]
    add_one(totals, 1, rows, 3, 5)
    assert (totals == expected).all()


def test_four_rows_are_added_in_their_order():
    totals, rows = numbers((2, 16)), numbers((9, 16))
    places = np.array([7, 0, 7, 2])
    expected = totals.copy()
    for place in places:
        expected[0, LANES:] += rows[place, LANES:]
    add_four(totals, 0, rows, places, LANES)
    assert (totals == expected).all()


def test_a_matrix_may_begin_at_any_byte():
    content = np.frombuffer(b"x" + numbers((2, 8)).tobytes(), np.uint8)[1:]
    rows = content.view(np.float32).reshape(2, 8)
    assert not rows.flags.aligned
    totals = np.zeros((1, 8), np.float32)
    add_one(totals, 0, rows, 1, 0)
    assert (totals[0] == numbers((2, 8))[1]).all()


def test_the_equal_entry_is_found_whatever_its_place_and_low_bits():
    table = np.arange(1, 25, dtype=np.uint64) << np.uint64(20)
    for place in range(8, 16):
        table[place] |= np.uint64(place)
        key = np.uint64((place + 1) << 20 | 0x5555)
        assert look_up(table, 8, key, np.uint64(20)) == table[place]
    assert look_up(table, 8, np.uint64(3 << 20), np.uint64(20)) == 0
