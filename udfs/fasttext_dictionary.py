"""The words of a fastText model by their hash: compiled loops over its dictionary.

Imported on first use only, since its signatures compile on import (from cache afterwards).
"""

# Kernels take plain arrays and numbers; numba, not mypy, types them.
# mypy: disable-error-code="no-untyped-def,no-untyped-call,assignment"

import numpy as np
from numba import njit, types

from udfs.fasttext_words import hash_spelled, slot_of

_read_bytes = types.Array(types.uint8, 1, "C", readonly=True)
_int64s, _int32s = types.Array(types.int64, 1, "C"), types.Array(types.int32, 1, "C")
_uint64s = types.Array(types.uint64, 1, "C")


@njit(types.int64(_read_bytes, types.int64, types.int64), cache=True, nogil=True)
def dictionary_end(raw, position, entries):
    """Return where the dictionary that begins at `position` ends, or -1 when the file is short."""
    for _ in range(entries):
        while position < raw.size and raw[position] != 0:
            position += 1
        position += 10
    return position if position <= raw.size else -1


@njit(types.void(_read_bytes, _uint64s, _int32s, _int64s, _int64s), cache=True, nogil=True)
def index_dictionary(raw, keys, ids, label_starts, label_counts):
    """Fill the open-addressing table word hash -> word id, and where each label's text begins."""
    mask = np.uint64(keys.size - 1)
    ordinary = np.zeros(256, np.uint8)
    position, entry, label = np.int64(0), np.int32(0), 0
    while position < raw.size:
        start = position
        while raw[position] != 0:
            position += 1
        hash64 = hash_spelled(raw, start, position, ordinary)
        count = np.int64(0)
        for byte in range(8):
            count |= np.int64(raw[position + 1 + byte]) << (8 * byte)
        if raw[position + 9] == 1:
            label_starts[label] = start
            label_counts[label] = count
            label += 1
        else:
            slot = slot_of(hash64, mask)
            while ids[slot] >= 0:
                slot = np.int64(np.uint64(slot + 1) & mask)
            keys[slot] = hash64
            ids[slot] = entry
        entry += np.int32(1)
        position += 10


@njit(cache=True, nogil=True)
def find(keys, ids, hash64):
    """Return the id of the word with this hash, -1 where the dictionary lacks it."""
    mask = np.uint64(keys.size - 1)
    slot = slot_of(hash64, mask)
    while ids[slot] >= 0:
        if keys[slot] == hash64:
            return np.int64(ids[slot])
        slot = np.int64(np.uint64(slot + 1) & mask)
    return np.int64(-1)
