"""What dedup removed, and whether it was right: sampled pairs, precision, clusters, domains."""

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from udfs.shingles import shingle_hashes


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
    text: str
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
    verdicts: DataFrame, documents: DataFrame, size: int, ngram: int = 5, seed: int = 0
) -> list[RemovedPair]:
    """Return up to `size` removed documents per rule, with their partners and similarities.

    The sample is chosen by a hash of (seed, doc_id): the same for any partitioning. Pairs whose
    partner is not in `documents` (doc_id, text), as those of earlier crawls, are left out.
    """
    ids = documents.select(F.col("doc_id").alias("partner"))
    known = verdicts.where(F.col("partner").isNotNull()).join(ids, "partner", "left_semi")
    keyed = known.withColumn("sample_key", F.xxhash64(F.lit(seed), "doc_id"))
    rules = [row["rule"] for row in keyed.select("rule").distinct().orderBy("rule").collect()]
    rows = []
    for rule in rules:
        chosen = keyed.where(F.col("rule") == rule).orderBy("sample_key", "doc_id").limit(size)
        rows += _with_texts(chosen, documents).orderBy("sample_key", "doc_id").collect()
    columns = [pa.array([row[name] for row in rows], pa.string()) for name in ("left", "right")]
    similarities = _similarities(columns[0], columns[1], ngram)
    return [
        RemovedPair(
            doc_id=bytes(row["doc_id"]),
            partner=bytes(row["partner"]),
            rule=row["rule"],
            value=row["value"],
            threshold=row["threshold"],
            jaccard=jaccard,
            containment=containment,
            text=row["left"] or "",
            partner_text=row["right"] or "",
        )
        for row, (jaccard, containment) in zip(rows, similarities, strict=True)
    ]


def _with_texts(pairs: DataFrame, documents: DataFrame) -> DataFrame:
    left = documents.select("doc_id", F.col("text").alias("left"))
    right = documents.select(F.col("doc_id").alias("partner"), F.col("text").alias("right"))
    return pairs.join(left, "doc_id").join(right, "partner")


def _similarities(left: pa.Array, right: pa.Array, ngram: int) -> list[tuple[float, float]]:
    (a, a_offsets), (b, b_offsets) = shingle_hashes(left, ngram), shingle_hashes(right, ngram)
    result = []
    for row in range(len(left)):
        mine = np.unique(a[a_offsets[row] : a_offsets[row + 1]])
        theirs = np.unique(b[b_offsets[row] : b_offsets[row + 1]])
        both = len(np.intersect1d(mine, theirs, assume_unique=True))
        either = len(mine) + len(theirs) - both
        jaccard = both / either if either else 0.0
        result.append((jaccard, both / len(mine) if len(mine) else 0.0))
    return result


def precision(pairs: list[RemovedPair], threshold: float) -> Precision:
    """Return the share of pairs whose real Jaccard similarity reaches `threshold`."""
    right = sum(pair.jaccard >= threshold for pair in pairs)
    low, high = _wilson(right, len(pairs))
    return Precision(sampled=len(pairs), right=right, low=low, high=high)


def _wilson(right: int, sampled: int, deviations: float = 1.96) -> tuple[float, float]:
    if sampled == 0:
        return 0.0, 1.0
    share, square = right / sampled, deviations**2
    middle = (share + square / (2 * sampled)) / (1 + square / sampled)
    spread = share * (1 - share) / sampled + square / (4 * sampled**2)
    half = deviations * math.sqrt(spread) / (1 + square / sampled)
    return max(0.0, middle - half), min(1.0, middle + half)


def cluster_sizes(verdicts: DataFrame) -> DataFrame:
    """Return (rule, documents, clusters): how many clusters have that many documents.

    A cluster is a survivor and all that it stands for, so its size is at least 2.
    """
    sizes = verdicts.groupBy("rule", "partner").agg((F.count("*") + 1).alias("documents"))
    return sizes.groupBy("rule", "documents").agg(F.count("*").alias("clusters"))


def duplicates_by_domain(verdicts: DataFrame, documents: DataFrame, top: int = 50) -> DataFrame:
    """Return (domain, documents, removed) of the `top` hosts with the most removed documents.

    `documents` has doc_id and url; a document without a host counts under the empty domain.
    """
    host = F.regexp_extract(F.coalesce("url", F.lit("")), r"^[a-z][a-z0-9+.-]*://([^/?#:]*)", 1)
    removed = verdicts.select("doc_id", F.lit(1).alias("removed")).distinct()
    joined = documents.select("doc_id", F.lower(host).alias("domain")).join(
        removed, "doc_id", "left"
    )
    counted = joined.groupBy("domain").agg(
        F.count("*").alias("documents"), F.count("removed").alias("removed")
    )
    return counted.where(F.col("removed") > 0).orderBy(F.col("removed").desc(), "domain").limit(top)
