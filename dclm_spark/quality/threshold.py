"""Turning "the top 10 %" into a score, from bucket counts that units commit."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from dclm_spark.errors import SettingError

# Buckets of the upper 20 bits of a score as a 32-bit float: 0.05 % wide, and ordered like scores.
_DROPPED_BITS = 12


def score_buckets(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the bucket of each score (scores lie in 0..1); larger scores, larger buckets."""
    bits = np.ascontiguousarray(scores, np.float32).view(np.uint32)
    return (bits >> np.uint32(_DROPPED_BITS)).astype(np.int64)


def bucket_edge(bucket: int) -> float:
    """Return the lowest score of a bucket."""
    return float(np.array([bucket << _DROPPED_BITS], np.uint32).view(np.float32)[0])


def top_threshold(facts: Iterable[Mapping[str, Any]], top: float) -> float:
    """Return the score at or above which lies the fraction `top` of all documents.

    Computed from the units' `score_buckets`, so it does not depend on partitioning; documents that
    share the edge's bucket (scores within 0.05 %) are all kept.
    """
    if not 0 < top <= 1:
        raise SettingError(f"quality.top = {top}: expected a fraction above 0 and at most 1")
    counts: Counter[int] = Counter()
    for unit in facts:
        for bucket, count in unit.get("score_buckets", ()):
            counts[bucket] += count
    wanted = top * sum(counts.values())
    reached = 0
    for bucket in sorted(counts, reverse=True):
        reached += counts[bucket]
        if reached >= wanted:
            return bucket_edge(bucket)
    return 0.0
