"""Random orders that are pure functions of a seed: of documents, and of packed sequences."""

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

Words = npt.NDArray[np.uint64]

_MULTIPLIER_1 = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLIER_2 = np.uint64(0x94D049BB133111EB)
_INCREMENT = np.uint64(0x9E3779B97F4A7C15)
FEISTEL_ROUNDS = 6


def mix(words: Words) -> Words:
    """Scramble 64-bit words (the splitmix64 finaliser, a bijection)."""
    words = (words ^ (words >> np.uint64(30))) * _MULTIPLIER_1
    words = (words ^ (words >> np.uint64(27))) * _MULTIPLIER_2
    return words ^ (words >> np.uint64(31))


def document_keys(doc_ids: pa.Array, seed: int) -> Words:
    """Return a 64-bit key per 16-byte document id: uniform, independent between seeds."""
    if len(doc_ids) == 0:
        return np.zeros(0, np.uint64)
    halves = np.frombuffer(b"".join(doc_ids.to_pylist()), "<u8").reshape(-1, 2)
    start = mix(np.full(len(halves), seed % 2**64, np.uint64) + _INCREMENT)
    result: Words = mix(mix(halves[:, 0] ^ start) ^ halves[:, 1])
    return result


def buckets(keys: Words, num_buckets: int) -> npt.NDArray[np.int32]:
    """Map keys to 0..num_buckets-1 by their upper 32 bits, so that low bits stay for ordering."""
    upper = keys >> np.uint64(32)
    return ((upper * np.uint64(num_buckets)) >> np.uint64(32)).astype(np.int32)


def permuted_positions(start: int, stop: int, total: int, seed: int) -> npt.NDArray[np.int64]:
    """Return where the items start..stop-1 of `total` stand in the order of `seed`.

    A keyed bijection of 0..total-1: any task can place its items without knowing the others.
    """
    if not 0 <= start <= stop <= total:
        raise ValueError(f"items {start}..{stop} do not lie in 0..{total}")
    half_bits = max(1, (max(total - 1, 1).bit_length() + 1) // 2)
    index = np.arange(FEISTEL_ROUNDS, dtype=np.uint64)
    keys = mix(mix(np.full(FEISTEL_ROUNDS, seed % 2**64, np.uint64) + _INCREMENT) + index)
    positions: npt.NDArray[np.int64] = _feistel(start, stop, total, half_bits, keys)
    return positions


@numba.njit(cache=True, nogil=True)
def _feistel(
    start: int, stop: int, total: int, half_bits: int, keys: Words
) -> npt.NDArray[np.int64]:
    mask = np.uint64((1 << half_bits) - 1)
    shift = np.uint64(half_bits)
    result = np.empty(stop - start, np.int64)
    for item in range(start, stop):
        value = np.uint64(item)
        # Cycle walking: the network permutes 0..4^half_bits-1; walk until back inside.
        while True:
            left, right = value >> shift, value & mask
            for key in keys:
                word = right + key
                word = (word ^ (word >> np.uint64(30))) * _MULTIPLIER_1
                word = (word ^ (word >> np.uint64(27))) * _MULTIPLIER_2
                word ^= word >> np.uint64(31)
                left, right = right, left ^ (word & mask)
            value = (left << shift) | right
            if value < np.uint64(total):
                break
        result[item - start] = np.int64(value)
    return result
