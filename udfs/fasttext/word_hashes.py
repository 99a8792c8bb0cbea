"""The words of texts as fastText cuts them, and their hashes: bytes in, positions out."""

import numpy as np
from numba import njit

from udfs.text.byte_masks import ONE, first_bits, in_range, lowest

# fastText's 32-bit FNV-1a, over sign-extended bytes, names n-gram buckets.
FNV32_BASIS, FNV32_PRIME = np.uint64(2166136261), np.uint64(16777619)
LOW32, SIGN8_EXTENSION = np.uint64(0xFFFFFFFF), np.uint64(0xFFFFFF00)
# Odd constants of our own 64-bit hash, which names words in the dictionary and the word cache.
MIX_BASIS, MIX_FIRST = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
MIX_SECOND = np.uint64(0xC2B2AE3D27D4EB4F)

# Words looked up together: few enough to stay in the first-level cache.
BLOCK_WORDS = 512
# Classes of bytes in `byte_class`.
ORDINARY, SEPARATOR, DELETED, MAYBE_SEPARATOR = 0, 1, 2, 3
# Bytes of another class than ordinary are these and the first bytes of U+0085, U+2028 and U+2029.
LAST_SPECIAL_CONTROL, LINE_SEPARATOR_STARTS = 0x20, (0xC2, 0xE2)


@njit(cache=True, nogil=True)
def hash32(state, byte):
    """Return the library's hash after one more byte."""
    wide = np.uint64(byte)
    if byte >= 128:
        wide |= SIGN8_EXTENSION
    return ((state ^ wide) * FNV32_PRIME) & LOW32


@njit(cache=True, nogil=True)
def _mix(hash64, eight_bytes):
    mixed = (hash64 ^ eight_bytes) * MIX_FIRST
    return mixed ^ (mixed >> np.uint64(32))


@njit(cache=True, nogil=True)
def _finish(hash64):
    mixed = hash64 * MIX_SECOND
    return mixed ^ (mixed >> np.uint64(29))


@njit(cache=True, nogil=True)
def _eight_bytes(data, position):
    """Return data[position : position + 8] as a number; written out, this is a single load."""
    at, value = np.uint64(position), np.uint64(0)
    value |= np.uint64(data[at])
    value |= np.uint64(data[at + np.uint64(1)]) << np.uint64(8)
    value |= np.uint64(data[at + np.uint64(2)]) << np.uint64(16)
    value |= np.uint64(data[at + np.uint64(3)]) << np.uint64(24)
    value |= np.uint64(data[at + np.uint64(4)]) << np.uint64(32)
    value |= np.uint64(data[at + np.uint64(5)]) << np.uint64(40)
    value |= np.uint64(data[at + np.uint64(6)]) << np.uint64(48)
    value |= np.uint64(data[at + np.uint64(7)]) << np.uint64(56)
    return value


@njit(cache=True, nogil=True)
def _hash_whole(data, start, stop):
    """Hash data[start:stop], not empty, of which no byte is deleted; 8 readable bytes follow."""
    hash64 = MIX_BASIS
    while stop - start > 8:
        hash64 = _mix(hash64, _eight_bytes(data, start))
        start += 8
    unused = np.uint64(64 - 8 * (stop - start))
    return _finish(_mix(hash64, _eight_bytes(data, start) << unused >> unused))


@njit(cache=True, nogil=True)
def hash_spelled(data, start, stop, byte_class):
    """Hash data[start:stop] without its deleted bytes, as `_hash_whole` would."""
    hash64, eight_bytes, filled = MIX_BASIS, np.uint64(0), np.uint64(0)
    for position in range(start, stop):
        if byte_class[data[position]] == DELETED:
            continue
        if filled == 64:
            hash64, eight_bytes, filled = _mix(hash64, eight_bytes), np.uint64(0), np.uint64(0)
        eight_bytes |= np.uint64(data[position]) << filled
        filled += np.uint64(8)
    return _finish(_mix(hash64, eight_bytes))


@njit(cache=True, nogil=True)
def slot_of(hash64, mask):
    """Return the slot of a hash in a table with mask + 1 slots, or groups of them."""
    return np.int64((hash64 ^ (hash64 >> np.uint64(29))) & mask)


@njit(cache=True, nogil=True)
def _separator_width(data, position, end):
    """Bytes of the line separator U+0085, U+2028 or U+2029 at `position`; 0 for another one."""
    if data[position] == 0xC2:
        return 2 if position + 1 < end and data[position + 1] == 0x85 else 0
    if position + 2 < end and data[position + 1] == 0x80:
        return 3 if data[position + 2] == 0xA8 or data[position + 2] == 0xA9 else 0
    return 0


@njit(cache=True, nogil=True)
def _maybe_special(data, position, end, byte_class):
    """Return a bit for each of the next 64 bytes that may end a word or be deleted."""
    mask = in_range(data, position, 0, LAST_SPECIAL_CONTROL + 1)
    if byte_class[LINE_SEPARATOR_STARTS[0]] != ORDINARY:
        mask |= in_range(data, position, LINE_SEPARATOR_STARTS[0], 1)
        mask |= in_range(data, position, LINE_SEPARATOR_STARTS[1], 1)
    return mask & first_bits(end - position)


@njit(cache=True, nogil=True)
def _first_kept(data, start, stop, byte_class):
    """Return where the first byte of data[start:stop] lies that is not deleted, else `stop`."""
    while start < stop and byte_class[data[start]] == DELETED:
        start += 1
    return start


@njit(cache=True, nogil=True)
def split_block(words, position, end, byte_class):
    """Find the next words from `position` on, as many as fit; return (number, next position).

    `words.data` has at least 64 bytes.
    """
    data, stops, spans, holes, _ = words
    number, start, hole = np.int64(0), position, np.int64(0)
    for block in range(position, end, 64):
        mask = _maybe_special(data, block, end, byte_class)
        while mask != 0:
            stop = block + lowest(mask)
            mask &= mask - ONE
            kind, width = byte_class[data[stop]], 1
            if kind == ORDINARY:
                continue
            if kind == DELETED:
                hole = np.int64(1)
                continue
            if kind == MAYBE_SEPARATOR:
                width = _separator_width(data, stop, end)
                if width == 0:
                    continue
            if hole:
                start = _first_kept(data, start, stop, byte_class)
            if start < stop:
                stops[number], spans[number], holes[number] = stop, stop - start, hole
                number += 1
            start, hole = stop + width, np.int64(0)
            if number == holes.size:
                return number, start
    if hole:
        start = _first_kept(data, start, end, byte_class)
    if start < end:
        stops[number], spans[number], holes[number] = end, end - start, hole
        number += 1
    return number, end


@njit(cache=True, nogil=True)
def hash_words(words, number, byte_class):
    """Store our hash of each of the `number` words that `split_block` found."""
    data, stops, spans, holes, hashes64 = words
    for index in range(number):
        stop = stops[index]
        start = stop - spans[index]
        if holes[index] == 0 and stop + 8 <= data.size:
            hashes64[index] = _hash_whole(data, start, stop)
        else:
            hashes64[index] = hash_spelled(data, start, stop, byte_class)


@njit(cache=True, nogil=True)
def library_hash(data, start, stop, byte_class):
    """Return the library's own hash of a word, from which its word n-grams' buckets follow."""
    state = FNV32_BASIS
    for position in range(start, stop):
        if byte_class[data[position]] != DELETED:
            state = hash32(state, data[position])
    return state
