"""Candidate pairs from signatures: in every bucket, a star around its first document.

A bucket holds the documents that agree in a whole band. All pairs of a bucket would be quadratic;
a star connects the same documents with one edge each. Buckets beyond `hot_bucket_size` (one
boilerplate page a million times) are split over tasks and joined by a second star.
"""

from dataclasses import dataclass

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from dclm_spark.errors import SettingError

# Enough sampled members that a hot bucket is not missed.
_SAMPLED_MEMBERS = 1024


@dataclass(frozen=True, kw_only=True)
class BucketSettings:
    """How large buckets are handled; the components that are found do not depend on it."""

    # Documents from which on a bucket is split.
    hot_bucket_size: int = 65_536
    # Tasks over which the documents of a hot bucket are spread.
    splits: int = 256

    def __post_init__(self) -> None:
        """Check every value."""
        for name, least in (("hot_bucket_size", 2), ("splits", 1)):
            if getattr(self, name) < least:
                raise SettingError(f"{name} = {getattr(self, name)}: must be at least {least}")


def bucket_members(signatures: DataFrame) -> DataFrame:
    """Return a row (bucket, doc_id, earlier) per band of every document that has words."""
    return signatures.where(F.col("num_shingles") > 0).select(
        F.explode("bands").alias("bucket"), "doc_id", "earlier"
    )


def hot_buckets(members: DataFrame, settings: BucketSettings) -> DataFrame:
    """Return (bucket, documents) of the buckets to split, the count estimated from a sample.

    The sample is chosen by hash of the doc_id, so it is the same for any partitioning.
    """
    one_in = max(1, settings.hot_bucket_size // _SAMPLED_MEMBERS)
    sample = members.where(F.pmod(F.xxhash64("doc_id"), F.lit(one_in)) == 0)
    counted = sample.groupBy("bucket").agg((F.count("*") * one_in).alias("documents"))
    return counted.where(F.col("documents") >= settings.hot_bucket_size)


def star_edges(members: DataFrame, settings: BucketSettings) -> DataFrame:
    """Return (bucket, doc_id, partner, partner_earlier): each document and its bucket's first.

    First is the least doc_id, documents of earlier crawls before new ones. Documents of earlier
    crawls are partners only.
    """
    # At most bands * documents / hot_bucket_size keys of 8 bytes, in practice a handful.
    hot = F.broadcast(hot_buckets(members, settings).select("bucket", F.lit(True).alias("hot")))
    split = F.pmod(F.xxhash64("doc_id"), F.lit(settings.splits)) + 1
    salted = members.join(hot, "bucket", "left").withColumn(
        "split", F.when(F.col("hot"), split).otherwise(F.lit(0))
    )
    first = _with_first(salted, "bucket", "split")
    seconds = first.where((F.col("split") > 0) & (F.col("doc_id") == F.col("partner")))
    second = _with_first(seconds.drop("partner", "partner_earlier"), "bucket")
    edges = first.unionByName(second)
    return edges.where((F.col("doc_id") != F.col("partner")) & ~F.col("earlier")).select(
        "bucket", "doc_id", "partner", "partner_earlier"
    )


def _with_first(members: DataFrame, *keys: str) -> DataFrame:
    ordered = Window.partitionBy(*keys).orderBy(F.col("earlier").desc(), "doc_id")
    return members.withColumn("partner", F.first("doc_id").over(ordered)).withColumn(
        "partner_earlier", F.first("earlier").over(ordered)
    )
