"""Word boundaries of Unicode 16.0 (UAX 29), compiled: the segments that `uniseg` 0.10.1 finds.

A break is decided by the characters of its own segment and of what follows, so a segment can be
found from its first byte on, whatever came before. Latin words take a path over bytes alone.
"""

from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt
from numba import njit

from udfs.text.unicode import SPACE, WORD, character_properties, code_point_at

UNICODE_VERSION = "16.0.0"

# Values of Word_Break; the order lets ranges of numbers stand for sets of values.
OTHER, EXTEND, FORMAT, ZWJ, CR, LF, NEWLINE = range(7)
HEBREW, ALETTER, NUMERIC, EXTEND_NUM_LET, KATAKANA = range(7, 12)
SINGLE_QUOTE, MID_NUM_LET, MID_LETTER, MID_NUM, DOUBLE_QUOTE = range(12, 17)
REGIONAL_INDICATOR, SPACE_SEGMENT = 17, 18
_VALUES = {
    "Extend": EXTEND, "Format": FORMAT, "ZWJ": ZWJ, "CR": CR, "LF": LF, "Newline": NEWLINE,
    "Hebrew_Letter": HEBREW, "ALetter": ALETTER, "Numeric": NUMERIC,
    "ExtendNumLet": EXTEND_NUM_LET, "Katakana": KATAKANA, "Single_Quote": SINGLE_QUOTE,
    "MidNumLet": MID_NUM_LET, "MidLetter": MID_LETTER, "MidNum": MID_NUM,
    "Double_Quote": DOUBLE_QUOTE, "Regional_Indicator": REGIONAL_INDICATOR,
    "WSegSpace": SPACE_SEGMENT,
}  # fmt: skip
# A byte of the table: the value in five bits, and three facts.
VALUE_MASK = 31
PICTOGRAPHIC = 32
ALPHANUMERIC = 64  # str.isalnum
WHITE = 128  # White_Space, which unlike str.isspace leaves out U+001C to U+001F

# Kind of bytes, see byte_kinds.
RUN = 1

# Beyond it, all is Other and neither alphanumeric nor white space.
TABLE_SIZE = 0xE01F0

WordTable = npt.NDArray[np.uint8]


@cache
def word_table() -> WordTable:
    """Return the read-only byte of every code point below TABLE_SIZE."""
    table = np.zeros(TABLE_SIZE, np.uint8)
    lines = (files("udfs") / "resources" / "word_break_16.txt").read_text().splitlines()
    for line in lines:
        if line.startswith("#"):
            continue
        span, name = line.split()
        first, last = (int(point, 16) for point in span.split(".."))
        table[first : last + 1] |= _VALUES.get(name, PICTOGRAPHIC)
    properties = character_properties()
    alphanumeric = properties & WORD != 0
    alphanumeric[ord("_")] = False
    white = properties & SPACE != 0
    white[0x1C:0x20] = False
    table[: properties.size] |= alphanumeric * np.uint8(ALPHANUMERIC)
    table[: properties.size] |= white * np.uint8(WHITE)
    table.flags.writeable = False
    return table


@njit(cache=True, nogil=True)
def entry_at(data, position, table):
    """Return (byte of the table, bytes of the character) at `position`."""
    point, width = code_point_at(data, position)
    return np.int64(table[point]) if point < table.size else np.int64(0), width


@njit(cache=True, nogil=True)
def _value_after(data, position, end, table):
    """Return the value of the first character at or after `position` that is not ignored (WB4)."""
    while position < end:
        entry, width = entry_at(data, position, table)
        value = entry & VALUE_MASK
        if not EXTEND <= value <= ZWJ:
            return value
        position += width
    return OTHER


@njit(cache=True, nogil=True)
def _is_letter(value):
    return value in (ALETTER, HEBREW)


@njit(cache=True, nogil=True)
def _joins(before, previous, value, data, position, end, table):
    """Return whether WB5 to WB13b forbid a break between `previous` and `value`.

    `before` is the value in front of `previous` in the same segment; `position` is behind `value`.
    """
    if HEBREW <= previous <= EXTEND_NUM_LET and HEBREW <= value <= EXTEND_NUM_LET:
        return True
    if _is_letter(previous) and SINGLE_QUOTE <= value <= MID_LETTER:
        hebrew_quote = previous == HEBREW and value == SINGLE_QUOTE
        return hebrew_quote or _is_letter(_value_after(data, position, end, table))
    if SINGLE_QUOTE <= previous <= MID_LETTER and _is_letter(before) and _is_letter(value):
        return True
    if previous == HEBREW and value == DOUBLE_QUOTE:
        return _value_after(data, position, end, table) == HEBREW
    if previous == DOUBLE_QUOTE and before == HEBREW and value == HEBREW:
        return True
    if previous == NUMERIC and SINGLE_QUOTE <= value <= MID_NUM and value != MID_LETTER:
        return _value_after(data, position, end, table) == NUMERIC
    if before == NUMERIC and SINGLE_QUOTE <= previous <= MID_NUM and value == NUMERIC:
        return previous != MID_LETTER
    if previous == KATAKANA:
        return value in (KATAKANA, EXTEND_NUM_LET)
    if previous == EXTEND_NUM_LET and value == KATAKANA:
        return True
    # A regional indicator starts its segment, so `before` tells whether the pair is full.
    return previous == value == REGIONAL_INDICATOR and before != REGIONAL_INDICATOR


@njit(cache=True, nogil=True)
def _segment_end_from(data, position, end, table, value):
    """Return where the segment ends whose character before `position` has `value`."""
    before, previous, adjacent = OTHER, value, value
    while position < end:
        entry, width = entry_at(data, position, table)
        value = entry & VALUE_MASK
        if CR <= adjacent <= NEWLINE:
            return position + width if adjacent == CR and value == LF else position
        if CR <= value <= NEWLINE:
            return position
        if EXTEND <= value <= ZWJ:
            position += width
            adjacent = value
            continue
        if not (
            (adjacent == ZWJ and entry & PICTOGRAPHIC)
            or (adjacent == SPACE_SEGMENT and value == SPACE_SEGMENT)
            or _joins(before, previous, value, data, position + width, end, table)
        ):
            return position
        position += width
        before, previous, adjacent = previous, value, value
    return end


@njit(cache=True, nogil=True)
def segment_end(data, position, end, table):
    """Return where the segment that starts at `position` < `end` ends."""
    value = np.int64(table[data[position]]) & VALUE_MASK
    if data[position] >= 0x80:
        entry, width = entry_at(data, position, table)
        return _segment_end_from(data, position + width, end, table, entry & VALUE_MASK)
    position += 1
    if ALETTER <= value <= EXTEND_NUM_LET:
        while position < end and data[position] < 0x80:
            following = np.int64(table[data[position]]) & VALUE_MASK
            if ALETTER <= following <= EXTEND_NUM_LET:
                value = following
            elif SINGLE_QUOTE <= following <= MID_NUM and position + 1 < end:
                if data[position + 1] >= 0x80:
                    return _segment_end_from(data, position, end, table, value)
                ahead = np.int64(table[data[position + 1]]) & VALUE_MASK
                excluded = MID_NUM if value == ALETTER else MID_LETTER
                if ahead != value or value == EXTEND_NUM_LET or following == excluded:
                    return position
                position += 1
            else:
                return position
            position += 1
    elif value == SPACE_SEGMENT:
        while position < end and data[position] == 0x20:
            position += 1
    elif value == CR:
        return position + 1 if position < end and data[position] == 0x0A else position
    elif value in (LF, NEWLINE):
        return position
    if position < end and data[position] >= 0x80:
        return _segment_end_from(data, position, end, table, value)
    return position


@njit(cache=True, nogil=True)
def byte_kinds(table):
    """Return RUN for each byte that does not break from others such, 0 for all else."""
    kinds = np.zeros(256, np.uint8)
    for byte in range(128):
        if ALETTER <= table[byte] & VALUE_MASK <= EXTEND_NUM_LET:
            kinds[byte] = RUN
    return kinds
