"""Numbers in buckets 0.05 % wide: counts of these add up, and tell quantiles and ranks."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

# Buckets of the upper 20 bits of a number as a 32-bit float: 0.05 % wide, and ordered like numbers.
_DROPPED_BITS = 12
_SIGN = np.uint32(1 << 31)


def score_buckets(scores: Doubles) -> Integers:
    """Return the bucket of each number; larger numbers, larger buckets, negative ones below 0.

    What is not a number has none and must not be asked for.
    """
    bits = np.ascontiguousarray(scores, np.float32).view(np.uint32)
    sizes = ((bits & ~_SIGN) >> np.uint32(_DROPPED_BITS)).astype(np.int64)
    return np.where(bits & _SIGN, -sizes - 1, sizes)


def bucket_edge(bucket: int) -> float:
    """Return the number nearest to 0 of a bucket: the lowest one from 0 on."""
    size = -bucket - 1 if bucket < 0 else bucket
    edge = float(np.array([size << _DROPPED_BITS], np.uint32).view(np.float32)[0])
    return -edge if bucket < 0 else edge


class Ranks(NamedTuple):
    """The share of all documents below each bucket that has some; both of one length."""

    buckets: Integers
    shares: Doubles

    def of(self, values: Doubles) -> Doubles:
        """Return the rank of each value, 0 to below 1: the share of documents in lower buckets."""
        places = np.searchsorted(self.buckets, score_buckets(values))
        return self.shares[np.minimum(places, len(self.shares) - 1)]


def ranks(counts: Iterable[tuple[int, int]]) -> Ranks:
    """Return the ranks of documents that are counted by bucket."""
    ordered = np.array(sorted(counts), np.int64).reshape(-1, 2)
    below = np.cumsum(ordered[:, 1]) - ordered[:, 1]
    total = max(1, int(ordered[:, 1].sum()))
    if not len(ordered):
        return Ranks(np.zeros(1, np.int64), np.zeros(1, np.float64))
    return Ranks(ordered[:, 0].copy(), below / total)
