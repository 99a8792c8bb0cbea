"""The cache of fastText inference: which row holds the sum of a word that was met before."""

import numpy as np
from numba import njit

from udfs.fasttext.vectors import LANES, or_of_equal
from udfs.fasttext.word_hashes import slot_of

# An entry of the cache's table: the hash without its low bits, which are the row plus 1.
CACHE_ROW_BITS = 20
CACHE_ROW_MASK = np.uint64((1 << CACHE_ROW_BITS) - 1)
# Slots that a word may lie in: a cache line of them.
CACHE_WAYS = LANES


@njit(cache=True, nogil=True)
def cached_row(table, hash64):
    """Return the row of a word that the cache holds, else -1."""
    first = slot_of(hash64, np.uint64(table.size - CACHE_WAYS))
    # Without a branch on where it is: a wrong guess would wait for memory.
    return np.int64(or_of_equal(table, first, hash64, CACHE_ROW_BITS) & CACHE_ROW_MASK) - 1


@njit(cache=True, nogil=True)
def is_new(sightings, state, hash64):
    """Say whether a word is met for the first time, as far as is remembered, and remember it.

    Half of all words are never met again; they are not worth a row.
    """
    place = np.int64((hash64 >> np.uint64(20)) & np.uint64(8 * sightings.size - 1))
    bit = np.uint8(1 << (place & 7))
    if sightings[place >> 3] & bit:
        return False
    if state[1] == 2 * sightings.size:
        # A quarter of the bits is set: one word in four would pass for known.
        sightings[:] = 0
        state[1] = 0
    sightings[place >> 3] |= bit
    state[1] += 1
    return True


@njit(cache=True, nogil=True)
def claim_row(table, owners, state, hash64):
    """Return the row where a word's sum may lie from now on.

    A word may lie in any slot of a cache line. Rows are taken in the order of first use, so that
    frequent words share few pages of memory, and then again from the first on; where all slots
    are taken, the word of one gives way.
    """
    first = slot_of(hash64, np.uint64(table.size - CACHE_WAYS))
    slot = first + np.int64(hash64 >> np.uint64(40)) % CACHE_WAYS
    for way in range(CACHE_WAYS):
        if table[first + way] == 0:
            slot = first + way
            break
    row = np.int64(table[slot] & CACHE_ROW_MASK) - 1
    if row < 0:
        row = state[0]
        state[0] = (row + 1) % owners.size
        if owners[row] > 0:
            table[owners[row] - 1] = 0
        owners[row] = slot + 1
    table[slot] = (hash64 & ~CACHE_ROW_MASK) | np.uint64(row + 1)
    return row
