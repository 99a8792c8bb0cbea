"""The alphanumeric UAX-29 words of a text as hashes and lengths, found 64 bytes at a time."""

# Kernels take plain arrays and numbers; numba, not mypy, types them.
import numpy as np
from numba import njit

from udfs.text.byte_masks import (
    BLOCK,
    ONE,
    bits_from,
    characters,
    eight_bytes,
    first_bits,
    in_folded_range,
    in_range,
    lowest,
)
from udfs.text.word_breaks import (
    ALPHANUMERIC,
    EXTEND,
    OTHER,
    RUN,
    SPACE_SEGMENT,
    VALUE_MASK,
    ZWJ,
    entry_at,
    segment_end,
)

_APOSTROPHE, _COMMA, _DOT, _DIGIT_0, _COLON, _UNDERSCORE, _LETTER_A = 39, 44, 46, 48, 58, 95, 97
_LAST_BIT = ONE << np.uint64(BLOCK - 1)
_MIX_FIRST = np.uint64(0xD6E8FEB86659FD93)
_MIX_SECOND = np.uint64(0xC2B2AE3D27D4EB4F)


@njit(cache=True, nogil=True)
def hash_bytes(data, start, end):
    """Return a hash of data[start:end], not empty, that tells apart all of up to 8 bytes.

    Not of strings that differ in NULs at their ends only.
    """
    state = np.uint64(0)
    while end - start >= 16:
        state = (state ^ eight_bytes(data, start)) * _MIX_FIRST
        state ^= state >> np.uint64(32)
        start += 8
    # Of the last 15 bytes, without a branch on how many there are.
    size = end - start
    unused = np.uint64(64 - 8 * min(size, 8))
    first = eight_bytes(data, start) << unused >> unused
    rest = (ONE << np.uint64(8 * max(size - 8, 0))) - ONE
    second = eight_bytes(data, min(start + 8, data.size - 1)) & rest
    state = (state ^ first) * _MIX_FIRST
    state = (state ^ (state >> np.uint64(32)) ^ second) * _MIX_SECOND
    return state ^ (state >> np.uint64(29))


@njit(cache=True, nogil=True)
def _other_segment_end(data, position, segment, end, table):
    """Return (end, whether it is a word) of the segment with the non-ASCII character `segment`.

    `position` is where the last segment known ended: what is between is ASCII and joins nothing.
    """
    entry, width = entry_at(data, segment, table)
    value, after = entry & VALUE_MASK, segment + width
    if value == OTHER and (after == end or data[after] < 0x80):
        return after, entry & ALPHANUMERIC != 0
    if segment > position and (EXTEND <= value <= ZWJ or value == SPACE_SEGMENT):
        before = segment_end(data, segment - 1, end, table)
        if before > segment:
            return before, False
    return segment_end(data, segment, end, table), entry & ALPHANUMERIC != 0


@njit(cache=True, nogil=True)
def _joined_end(data, position, end, table):
    """Return the end of the segment whose letters and digits so far end before `position`."""
    if data[position] >= 0x80:
        entry, _ = entry_at(data, position, table)
        if entry & VALUE_MASK == OTHER:
            return position
    # What stands before the last letter has no say any more.
    return segment_end(data, position - 1, end, table)


@njit(cache=True, nogil=True)
def _run_end(data, position, end, kinds):
    while position < end and kinds[data[position]] == RUN:
        position += 1
    return position


@njit(cache=True, nogil=True)
def _joins_run(data, position, end, kinds):
    """Return whether the run of letters and digits before `position` may go on there."""
    if position == end or data[position] <= 0x20:
        return False
    following = data[position + 1] if position + 1 < end else np.uint8(0)
    return data[position] >= 0x80 or following >= 0x80 or kinds[following] == RUN


@njit(cache=True, nogil=True)
def find_words(data, position, end, kinds, table, hashes, cumulated):
    """Store the hashes of the words and the code points up to each; return their number."""
    count, total = 0, 0
    cumulated[0] = 0
    for block in range(position, end, BLOCK):
        if position - block >= BLOCK:
            continue
        valid = first_bits(end - block)
        beyond = in_range(data, block, 0x80, 0x80) & valid
        underscores = in_range(data, block, _UNDERSCORE, 1)
        runs = in_folded_range(data, block, _LETTER_A, 26) | in_range(data, block, _DIGIT_0, 10)
        runs = (runs | underscores) & valid
        inner = in_range(data, block, _APOSTROPHE, 1) | in_range(data, block, _COMMA, 1)
        inner |= in_range(data, block, _DOT, 1) | in_range(data, block, _COLON, 2)
        joins = beyond | (inner & ((runs | beyond) >> ONE | _LAST_BIT))
        starts = (runs & ~(runs << ONE)) | beyond
        if position > block:
            starts &= bits_from(position - block)
        while starts != 0:
            index = lowest(starts)
            bit, start = starts & (~starts + ONE), block + index
            starts ^= bit
            if runs & bit:
                stop_index = lowest(~runs & (~bit + ONE))
                stop = block + stop_index
                length, is_word = stop_index - index, underscores & bit == 0
                if stop_index == BLOCK:
                    stop = position = _run_end(data, stop, end, kinds)
                    length = stop - start
                    goes_on = _joins_run(data, stop, end, kinds)
                else:
                    goes_on = joins >> np.uint64(stop_index) & ONE != 0
                if goes_on:
                    position = _joined_end(data, stop, end, table)
                    length += characters(data, stop, position)
                    stop = position
                    starts &= bits_from(min(position - block, BLOCK - 1))
                    if position >= block + BLOCK:
                        starts = np.uint64(0)
            else:
                position, is_word = _other_segment_end(data, position, start, end, table)
                stop, length = position, characters(data, start, position)
                starts &= bits_from(min(position - block, BLOCK - 1))
                if position >= block + BLOCK:
                    starts = np.uint64(0)
            if is_word:
                hashes[count] = hash_bytes(data, start, stop)
                total += length
                count += 1
                cumulated[count] = total
    return count
