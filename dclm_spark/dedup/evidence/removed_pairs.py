"""Sampled pairs of a removed document and the one that stays, and how alike they really are."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from udfs.dedup.shingles import shingle_hashes


@dataclass(frozen=True, kw_only=True)
class RemovedPair:
    """A removed document beside the one that stays in its place.

    `jaccard` compares their shingle sets; `containment` is the share of the removed document's
    shingles that the partner has, which is what n-gram dedup claims.
    """

    doc_id: bytes
    partner: bytes
    rule: str
    value: float
    threshold: float
    jaccard: float
    containment: float
    url: str
    text: str
    partner_url: str
    partner_text: str


@dataclass(frozen=True, kw_only=True)
class Precision:
    """How many of the sampled removals were right, with a 95 % Wilson interval of the share."""

    sampled: int
    right: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """Return right / sampled, 1 for an empty sample."""
        return self.right / self.sampled if self.sampled else 1.0


def sample_pairs(
    verdicts: DataFrame,
    find: Callable[[list[bytes]], DataFrame],
    size: int,
    ngram: int = 5,
    seed: int = 0,
) -> list[RemovedPair]:
    """Return up to `size` removed documents per rule, with their partners and similarities.

    The sample is chosen by a hash of (seed, doc_id): the same for any partitioning. `find` returns
    (doc_id, url, text) of the few documents with the given ids; pairs whose partner it does not
    find, as those of earlier crawls, are left out.
    """
    keyed = verdicts.where(F.col("partner").isNotNull()).withColumn(
        "sample_key", F.xxhash64(F.lit(seed), "doc_id")
    )
    # Spark cuts each partition to so many rows of a rule before it brings them together.
    place = F.row_number().over(Window.partitionBy("rule").orderBy("sample_key", "doc_id"))
    first = keyed.withColumn("place", place).where(F.col("place") <= size).collect()
    chosen = sorted(first, key=lambda row: (row["rule"], row["place"]))
    ids = {bytes(row[name]) for row in chosen for name in ("doc_id", "partner")}
    found = {
        bytes(row["doc_id"]): (row["url"] or "", row["text"] or "")
        for row in (find(sorted(ids)).collect() if ids else ())
    }
    return _compared([row.asDict() for row in chosen], found, ngram)


def _compared(
    chosen: list[dict[str, Any]], pages: dict[bytes, tuple[str, str]], ngram: int = 5
) -> list[RemovedPair]:
    """Measure the pairs of `chosen` (verdicts) of which both pages (url, text) are there."""
    known = [row for row in chosen if {bytes(row["doc_id"]), bytes(row["partner"])} <= set(pages)]
    left = pa.array([pages[bytes(row["doc_id"])][1] for row in known], pa.string())
    right = pa.array([pages[bytes(row["partner"])][1] for row in known], pa.string())
    return [
        RemovedPair(
            doc_id=bytes(row["doc_id"]),
            partner=bytes(row["partner"]),
            rule=row["rule"],
            value=row["value"],
            threshold=row["threshold"],
            jaccard=jaccard,
            containment=containment,
            url=pages[bytes(row["doc_id"])][0],
            text=pages[bytes(row["doc_id"])][1],
            partner_url=pages[bytes(row["partner"])][0],
            partner_text=pages[bytes(row["partner"])][1],
        )
        for row, (jaccard, containment) in zip(
            known, _similarities(left, right, ngram), strict=True
        )
    ]


def _similarities(left: pa.Array, right: pa.Array, ngram: int) -> list[tuple[float, float]]:
    (a, a_offsets), (b, b_offsets) = shingle_hashes(left, ngram), shingle_hashes(right, ngram)
    result = []
    for row in range(len(left)):
        # Texts without a word have no shingles, but equal ones are copies.
        if left[row].equals(right[row]):
            result.append((1.0, 1.0))
            continue
        mine = np.unique(a[a_offsets[row] : a_offsets[row + 1]])
        theirs = np.unique(b[b_offsets[row] : b_offsets[row + 1]])
        both = len(np.intersect1d(mine, theirs, assume_unique=True))
        either = len(mine) + len(theirs) - both
        jaccard = both / either if either else 0.0
        result.append((jaccard, both / len(mine) if len(mine) else 0.0))
    return result


def precision(similarities: list[float], threshold: float) -> Precision:
    """Return the share of measured similarities that reach `threshold`."""
    right = sum(similarity >= threshold for similarity in similarities)
    low, high = wilson_interval(right, len(similarities))
    return Precision(sampled=len(similarities), right=right, low=low, high=high)


def wilson_interval(right: int, sampled: int, deviations: float = 1.96) -> tuple[float, float]:
    """Return Wilson's interval of the share right / sampled, of 95 % unless told otherwise."""
    if sampled == 0:
        return 0.0, 1.0
    share, square = right / sampled, deviations**2
    middle = (share + square / (2 * sampled)) / (1 + square / sampled)
    spread = share * (1 - share) / sampled + square / (4 * sampled**2)
    half = deviations * math.sqrt(spread) / (1 + square / sampled)
    return max(0.0, middle - half), min(1.0, middle + half)


def cluster_sizes(verdicts: DataFrame) -> DataFrame:
    """Return (rule, documents, clusters): how many clusters have that many documents or more.

    A cluster is a survivor and all that it stands for, so its size is at least 2. `documents` is
    rounded down to a power of two, so that there are few rows.
    """
    found = verdicts.where(F.col("partner").isNotNull())
    sizes = found.groupBy("rule", "partner").agg((F.count("*") + 1).alias("documents"))
    power = F.expr("shiftleft(1L, length(bin(documents)) - 1) AS documents")
    return sizes.groupBy("rule", power).agg(F.count("*").alias("clusters"))
