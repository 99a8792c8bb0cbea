"""Which of many 64-bit keys came before, by hash tables whose memory the caller keeps."""

# Kernels take plain arrays and numbers; numba, not mypy, types them.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def largest_step(offsets):
    """Return the largest difference of neighbours."""
    largest = 0
    for index in range(offsets.size - 1):
        largest = max(largest, offsets[index + 1] - offsets[index])
    return largest


@njit(cache=True, nogil=True)
def table_size(items):
    """Return the slots of a hash table for `items`, a power of two."""
    size = 16
    while size < 2 * items:
        size *= 2
    return size


@njit(cache=True, nogil=True)
def count_hash(item, keys, counts, size):
    """Count `item` in the table of `size` slots; return its slot."""
    slot = np.int64(item & np.uint64(size - 1))
    while counts[slot] and keys[slot] != item:
        slot = (slot + 1) & (size - 1)
    keys[slot] = item
    counts[slot] += 1
    return slot


@njit(cache=True, nogil=True)
def find_firsts(keys, num_keys, table, firsts, counts):
    """Store where each key came first, and there how often it occurs; say whether any repeats.

    `table` has table_size(num_keys) entries at least, and holds where a key came first plus 1.
    """
    size = table_size(num_keys)
    table[:size] = 0
    counts[:num_keys] = 0
    repeats = False
    for index in range(num_keys):
        key = keys[index]
        slot = np.int64(key & np.uint64(size - 1))
        while table[slot] and keys[table[slot] - 1] != key:
            slot = (slot + 1) & (size - 1)
        if table[slot]:
            repeats = True
        else:
            table[slot] = index + 1
        first = table[slot] - 1
        firsts[index] = first
        counts[first] += 1
    return repeats
