"""Candidate pairs from signatures: in every bucket, stars around a few of its documents.

A bucket holds the documents that agree in a whole band. All pairs of a bucket would be quadratic;
a star connects the same documents with one edge each. Buckets beyond `hot_bucket_size` (one
boilerplate page a million times) are split over tasks and joined by a second star.
"""

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from udfs.checks import at_least, check

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
        check(self, hot_bucket_size=at_least(2), splits=at_least(1))


def bucket_members(signatures: DataFrame) -> DataFrame:
    """Return a row (bucket, doc_id, earlier, open) per band of every document that has words.

    `open` documents look for a partner; those of earlier crawls do not.
    """
    return signatures.where(F.col("num_shingles") > 0).select(
        F.explode("bands").alias("bucket"), "doc_id", "earlier", (~F.col("earlier")).alias("open")
    )


def open_members(stars: DataFrame, judged: DataFrame, threshold: float) -> DataFrame:
    """Return the members, without the centres, of the buckets in which some have no partner yet.

    `judged` has (doc_id, partner, similarity). Members that have a partner stay as possible
    centres: the first of a cluster is often one of them.
    """
    unlike = judged.where(F.col("similarity") < threshold).select(
        "doc_id", "partner", F.lit(True).alias("unlike")
    )
    members = stars.join(unlike.hint("merge"), ["doc_id", "partner"], "left").select(
        "bucket",
        "doc_id",
        "earlier",
        (F.col("open") & F.coalesce("unlike", F.lit(False))).alias("open"),
    )
    unfinished = members.where("open").select("bucket").distinct()
    return members.join(unfinished.hint("merge"), "bucket", "left_semi")


def hot_buckets(members: DataFrame, settings: BucketSettings) -> DataFrame:
    """Return (bucket, documents) of the buckets to split, the count estimated from a sample.

    The sample is chosen by hash of the doc_id, so it is the same for any partitioning.
    """
    one_in = max(1, settings.hot_bucket_size // _SAMPLED_MEMBERS)
    sample = members.where(F.pmod(F.xxhash64("doc_id"), F.lit(one_in)) == 0)
    counted = sample.groupBy("bucket").agg((F.count("*") * one_in).alias("documents"))
    return counted.where(F.col("documents") >= settings.hot_bucket_size)


def star_edges(members: DataFrame, settings: BucketSettings, turn: int = 0) -> DataFrame:
    """Return each member (bucket, doc_id, earlier, open) beside its centre (partner, partner_...).

    The centre is the least doc_id, documents of earlier crawls before new ones, so that a pair
    that shares many buckets is the same pair in all. In later turns it is chosen by hash: where
    that centre is not like the others, every bucket tries another one.
    """
    # At most bands * documents / hot_bucket_size keys of 8 bytes, in practice a handful.
    hot = F.broadcast(hot_buckets(members, settings).select("bucket", F.lit(True).alias("hot")))
    split = F.pmod(F.xxhash64("doc_id"), F.lit(settings.splits)) + 1
    salted = members.join(hot, "bucket", "left").withColumn(
        "split", F.when(F.col("hot"), split).otherwise(F.lit(0))
    )
    rank = F.xxhash64("bucket", "doc_id") if turn else F.lit(0)
    first = _with_first(salted, rank, "bucket", "split")
    seconds = first.where((F.col("split") > 0) & (F.col("doc_id") == F.col("partner")))
    second = _with_first(seconds.select(*salted.columns), rank, "bucket")
    stars = first.unionByName(second).where(F.col("doc_id") != F.col("partner"))
    return stars.drop("hot", "split")


def asked_pairs(stars: DataFrame) -> DataFrame:
    """Return the distinct (doc_id, partner, partner_earlier) in which a side has no partner yet."""
    columns = ["doc_id", "partner", "partner_earlier"]
    members = stars.where("open").select(*columns)
    centres = stars.where("partner_open and not open").select(
        F.col("partner").alias("doc_id"), F.col("doc_id").alias("partner"), "earlier"
    )
    return members.union(centres).distinct()


def _with_first(members: DataFrame, rank: Column, *keys: str) -> DataFrame:
    ordered = Window.partitionBy(*keys).orderBy(rank, F.col("earlier").desc(), "doc_id")
    return members.select(
        "*",
        F.first("doc_id").over(ordered).alias("partner"),
        F.first("earlier").over(ordered).alias("partner_earlier"),
        F.first("open").over(ordered).alias("partner_open"),
    )
