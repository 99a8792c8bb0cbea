"""Seeded 64-bit hashes of bytes and of runs of words, the same on every machine and version."""

import numpy as np
import numpy.typing as npt
from numba import njit

from udfs.text.byte_masks import eight_bytes
from udfs.text.columns import Bytes

# Kernels take plain arrays and numbers; numba, not mypy, types them.


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


Hashes = npt.NDArray[np.uint64]

_MULTIPLIER_A = np.uint64(0xFF51AFD7ED558CCD)
_MULTIPLIER_B = np.uint64(0xC4CEB9FE1A85EC53)
STEP = np.uint64(0x9E3779B97F4A7C15)
_BASE = np.uint64(0xD6E8FEB86659FD93)


@njit(cache=True, nogil=True)
def mix(value: np.uint64) -> np.uint64:
    """Return `value` with every input bit spread over all output bits (a bijection)."""
    value ^= value >> np.uint64(33)
    value *= _MULTIPLIER_A
    value ^= value >> np.uint64(33)
    value *= _MULTIPLIER_B
    value ^= value >> np.uint64(33)
    return value


@njit(cache=True, nogil=True)
def token_hash(data: Bytes, start: int, end: int, seed: np.uint64) -> np.uint64:
    """Return the seeded hash of data[start:end]; `data` comes from `readable_blocks`."""
    state = seed ^ (np.uint64(end - start) * STEP)
    while start < end:
        unused = np.uint64(8 * max(start + 8 - end, 0))
        state = mix(state ^ (eight_bytes(data, start) << unused >> unused))
        start += 8
    return state


@njit(cache=True, nogil=True)
def leading_factor(length: int) -> np.uint64:
    """Return what the first of `length` tokens is multiplied with in the hash of the run."""
    result = np.uint64(1)
    for _ in range(length - 1):
        result *= _BASE
    return result


@njit(cache=True, nogil=True)
def hash_runs(
    tokens: Hashes, num_tokens: int, length: int, leading: np.uint64, out: Hashes, first: int
) -> int:
    """Write the hashes of all runs of `length` tokens to out[first:]; return the end of them.

    `leading` is leading_factor(length); it is not read when there is a single run.
    """
    rolling = np.uint64(0)
    last = first
    for index in range(num_tokens):
        if index >= length:
            rolling -= tokens[index - length] * leading
        rolling = rolling * _BASE + tokens[index]
        if index + 1 >= length:
            out[last] = mix(rolling + np.uint64(length))
            last += 1
    return last
