"""Counts on lines and symbols behind steps 12 to 14 (spec 2.2).

Lines are what stands between newlines, stripped of white space; empty ones do not count.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from udfs.text.byte_masks import (
    ALL,
    BLOCK,
    ONE,
    first_bits,
    in_range,
    lowest,
    next_byte,
    ones,
    readable_blocks,
)
from udfs.text.columns import Bytes, Offsets, read_only
from udfs.text.unicode import (
    SPACE,
    character_properties,
    properties_at,
    start_of_character_before,
)

# Columns of `line_counts`.
SYMBOLS, LINES, BULLET_LINES, ELLIPSIS_LINES = range(4)

_NEWLINE, _RETURN, _DOT, _HASH, _STAR, _DASH, _BLANK = 10, 13, 46, 35, 42, 45, 32
_ELLIPSIS = (0xE2, 0x80, 0xA6)
_TWO = np.uint64(2)


def line_counts(data: Bytes, offsets: Offsets) -> npt.NDArray[np.int64]:
    """Return one row per text: SYMBOLS, LINES, BULLET_LINES, ELLIPSIS_LINES.

    Symbols are the non-overlapping occurrences of "#", "...", ". . ." and "…" in the whole text;
    bullet lines start with ●, •, * or -, ellipsis lines end with "...", ". . ." or "…".
    """
    return _line_counts(  # type: ignore[no-any-return]
        readable_blocks(data), read_only(offsets), character_properties()
    )


@njit(cache=True, nogil=True)
def strip(data, start, end, properties):
    """Return (start, end) of what str.strip leaves of data[start:end]."""
    while start < end:
        byte = data[start]
        if byte < 0x80 and not properties[byte] & SPACE:
            break
        if not properties_at(data, start, end, properties) & SPACE:
            break
        start += 1
        while start < end and data[start] & 0xC0 == 0x80:
            start += 1
    while end > start:
        last = start_of_character_before(data, end)
        if not properties_at(data, last, end, properties) & SPACE:
            break
        end = last
    return start, end


@njit(cache=True, nogil=True)
def line_end_after(data, position, end):
    """Return (end of the line, start of the next) where newlines alone break lines."""
    line_end = next_byte(data, position, end, _NEWLINE)
    return line_end, line_end + 1


@njit(cache=True, nogil=True)
def python_line_end_after(data, position, end):
    """Return (end of the line, start of the next) where lines break as str.splitlines does it."""
    for block in range(position, end, BLOCK):
        asked = in_range(data, block, _NEWLINE, 4) | in_range(data, block, 0x1C, 3)
        asked |= in_range(data, block, 0xC2, 1) | in_range(data, block, 0xE2, 1)
        asked &= first_bits(end - block)
        while asked != 0:
            at = block + lowest(asked)
            asked &= asked - ONE
            width = _python_break(data, at, end)
            if width:
                return at, at + width
    return end, end + 1


@njit(cache=True, nogil=True)
def _python_break(data, at, end):
    """Return the bytes of the break that begins at a byte of which one may begin, 0 for none."""
    byte = data[at]
    if byte == _RETURN:
        return 1 + (at + 1 < end and data[at + 1] == _NEWLINE)
    if byte == 0xC2:
        return 2 if data[at + 1] == 0x85 else 0
    if byte == 0xE2:
        return 3 if data[at + 1] == 0x80 and data[at + 2] & 0xFE == 0xA8 else 0
    return 1


@njit(cache=True, nogil=True)
def _has(data, position, end, spacing):
    """Return whether three dots, `spacing` bytes apart and else blanks, start at `position`."""
    if position + 2 * spacing >= end:
        return False
    for index in range(2 * spacing + 1):
        if data[position + index] != (_DOT if index % spacing == 0 else _BLANK):
            return False
    return True


@njit(cache=True, nogil=True)
def _is_ellipsis(data, position, end):
    return (
        position + 3 <= end
        and data[position] == _ELLIPSIS[0]
        and data[position + 1] == _ELLIPSIS[1]
        and data[position + 2] == _ELLIPSIS[2]
    )


@njit(cache=True, nogil=True)
def _starts_with_bullet(data, start, end):
    first = data[start]
    if first in (_STAR, _DASH):
        return True
    if first != 0xE2 or start + 3 > end:
        return False
    second, third = data[start + 1], data[start + 2]
    return (second == 0x97 and third == 0x8F) or (second == 0x80 and third == 0xA2)


@njit(cache=True, nogil=True)
def _ends_with_ellipsis(data, start, end):
    return (
        (end - start >= 3 and (_has(data, end - 3, end, 1) or _is_ellipsis(data, end - 3, end)))
        or (end - start >= 5 and _has(data, end - 5, end, 2))
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _count_ellipses(data, block, dots, end, dense_from, spaced_from):
    """Return how many spellings of three dots begin at `dots`, and from where either may again."""
    symbols = 0
    while dots != 0:
        position = block + lowest(dots)
        dots &= dots - ONE
        # Each spelling is counted for itself, from left to right.
        if position >= dense_from and _has(data, position, end, 1):
            symbols += 1
            dense_from = position + 3
        if position >= spaced_from and _has(data, position, end, 2):
            symbols += 1
            spaced_from = position + 5
    return symbols, dense_from, spaced_from


@njit(cache=True, nogil=True)
def _count_symbols(data, start, end):
    symbols, dense_from, spaced_from = 0, start, start
    for block in range(start, end, BLOCK):
        valid = first_bits(end - block)
        symbols += ones(in_range(data, block, _HASH, 1) & valid)
        dots = in_range(data, block, _DOT, 1) & valid
        # One with another next to it or next but one; of the last two in the block who knows.
        dots &= dots >> ONE | dots >> _TWO | ALL << np.uint64(BLOCK - 2)
        if dots != 0:
            found, dense_from, spaced_from = _count_ellipses(
                data, block, dots, end, dense_from, spaced_from
            )
            symbols += found
        leads = in_range(data, block, _ELLIPSIS[0], 1) & valid
        while leads != 0:
            symbols += _is_ellipsis(data, block + lowest(leads), end)
            leads &= leads - ONE
    return symbols


@njit(cache=True, nogil=True)
def _count_line(data, start, end, properties, counts):
    if start < end and not (_BLANK < data[start] < 0x80 and _BLANK < data[end - 1] < 0x80):
        start, end = strip(data, start, end, properties)
    if start < end:
        counts[LINES] += 1
        counts[BULLET_LINES] += _starts_with_bullet(data, start, end)
        counts[ELLIPSIS_LINES] += _ends_with_ellipsis(data, start, end)


@njit(cache=True, nogil=True)
def _line_counts(data, offsets, properties):
    counts = np.zeros((offsets.size - 1, 4), np.int64)
    for text in range(offsets.size - 1):
        line, end = offsets[text], offsets[text + 1]
        counts[text, SYMBOLS] = _count_symbols(data, line, end)
        while line < end:
            line_end = next_byte(data, line, end, _NEWLINE)
            _count_line(data, line, line_end, properties, counts[text])
            line = line_end + 1
    return counts
