"""Seeded 64-bit hashes of bytes and of runs of words, the same on every machine and version."""

import numpy as np
import numpy.typing as npt
from numba import njit

from udfs.byte_masks import eight_bytes
from udfs.columns import Bytes

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
