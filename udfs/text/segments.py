"""All UAX-29 segments of a text, found 64 bytes at a time where the text is ASCII."""

# Kernels take plain arrays and numbers; numba, not mypy, types them.
import numpy as np
from numba import njit

from udfs.text.byte_masks import (
    BLOCK,
    ONE,
    bits_from,
    first_bits,
    highest,
    in_folded_range,
    in_range,
    lowest,
    readable_blocks,
)
from udfs.text.columns import Bytes, Offsets, read_only
from udfs.text.word_breaks import WHITE, entry_at, segment_end, word_table

# Ends that `segment_ends` must have room for: a block has 62 and the one behind.
MOST_AT_ONCE = BLOCK
# Room for so many stays in the cache.
ENDS_AT_A_TIME = 1024
_NEWLINE, _RETURN, _BLANK, _QUOTE, _COMMA, _DOT, _COLON = 10, 13, 32, 39, 44, 46, 58
_DIGIT_0, _SEMICOLON, _UNDERSCORE, _LETTER_A = 48, 59, 95, 97


def segments(data: Bytes, offsets: Offsets) -> tuple[Offsets, Offsets]:
    """Return (ends, segment_offsets): the boundaries of the texts data[offsets[i]:offsets[i + 1]].

    Segment k ends before data[ends[k]] and starts where the one before it ended, the first of a
    text where the text starts; text i has the segments segment_offsets[i] to
    segment_offsets[i + 1]. No byte is left out.
    """
    return _segments(readable_blocks(data), read_only(offsets), word_table())  # type: ignore[no-any-return]


@njit(cache=True, nogil=True)
def _breaks(data, position, end):
    """Return (breaks, unsure): at which of the bytes 1 to 62 from `position` on segments start.

    Bits of `unsure` are set where characters beyond ASCII have a say. `position` starts a segment,
    so that what stands before it has none.
    """
    inside = first_bits(end - position)
    letters = in_folded_range(data, position, _LETTER_A, 26) & inside
    digits = in_range(data, position, _DIGIT_0, 10) & inside
    beyond = in_range(data, position, 0x80, 0x80) & inside
    runs = letters | digits | in_range(data, position, _UNDERSCORE, 1)
    blanks = in_range(data, position, _BLANK, 1)
    returns = in_range(data, position, _RETURN, 1)
    newlines = in_range(data, position, _NEWLINE, 1)
    # WB6, WB7, WB11 and WB12: between letters, between digits, or both.
    common = in_range(data, position, _QUOTE, 1) | in_range(data, position, _DOT, 1)
    of_letters = common | in_range(data, position, _COLON, 1)
    of_digits = common | in_range(data, position, _COMMA, 1)
    of_digits |= in_range(data, position, _SEMICOLON, 1)
    inner = of_letters & letters << ONE & letters >> ONE
    inner |= of_digits & digits << ONE & digits >> ONE
    joined = (runs & runs << ONE) | (blanks & blanks << ONE) | (newlines & returns << ONE)
    joined |= inner | inner << ONE
    punctuation = of_letters | of_digits
    unsure = beyond | beyond << ONE
    unsure |= (beyond >> ONE & punctuation) | (beyond << np.uint64(2) & punctuation << ONE)
    judged = first_bits(min(end - position, BLOCK - 1)) & bits_from(1)
    return ~joined & judged, unsure & judged


@njit(cache=True, nogil=True)
def segment_ends(data, position, end, table, ends):
    """Store where segments end, from `position` < `end`, which starts one; return their number.

    All up to `end`, or as many as `ends` has room for; then the last of them is where to go on.
    `ends` must have room for MOST_AT_ONCE; `data` comes from `readable_blocks`.
    """
    count = 0
    while position < end and count + MOST_AT_ONCE <= ends.size:
        following = position + 1 if position + 1 < end else position
        if data[position] >= 0x80 or data[following] >= 0x80:
            position = segment_end(data, position, end, table)
            ends[count] = position
            count += 1
            continue
        breaks, unsure = _breaks(data, position, end)
        if unsure != 0:
            breaks &= (unsure & (~unsure + ONE)) - ONE
        start = position
        left = breaks
        while left != 0:
            ends[count] = start + lowest(left)
            count += 1
            left &= left - ONE
        position = start + max(highest(breaks), 0)
        if unsure == 0 and end - start < BLOCK:
            position = end
        elif unsure != 0 or breaks == 0:
            position = segment_end(data, position, end, table)
        else:
            continue
        ends[count] = position
        count += 1
    return count


@njit(cache=True, nogil=True)
def is_white(data, start, end, table):
    """Return whether the segment data[start:end] is of White_Space characters alone."""
    if _BLANK < data[start] < 0x80:
        return False
    while start < end:
        entry, width = entry_at(data, start, table)
        if entry & WHITE == 0:
            return False
        start += width
    return True


@njit(cache=True, nogil=True)
def _segments(data, offsets, table):
    num_texts = offsets.size - 1
    ends = np.empty((offsets[num_texts] - offsets[0]) // 2 + MOST_AT_ONCE, np.int64)
    segment_offsets = np.zeros(num_texts + 1, np.int64)
    count = 0
    for text in range(num_texts):
        position, end = offsets[text], offsets[text + 1]
        while position < end:
            if count + MOST_AT_ONCE > ends.size:
                ends = np.concatenate((ends, np.empty(ends.size, np.int64)))
            count += segment_ends(data, position, end, table, ends[count:])
            position = ends[count - 1]
        segment_offsets[text + 1] = count
    return ends[:count], segment_offsets
