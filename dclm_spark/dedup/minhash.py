"""Near duplicates: signatures, candidates, verification, components, survivors, verdicts.

Everything between the steps is a table below the working directory; a resumed run starts from the
last that was written. Nothing depends on partitions or on the order of arrival.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from dclm_spark.dedup.candidates import (
    BucketSettings,
    asked_pairs,
    bucket_members,
    open_members,
    star_edges,
)
from dclm_spark.dedup.components import connected_components
from dclm_spark.engine.tables import checkpoint
from dclm_spark.errors import SettingError
from dclm_spark.settings import settings_hash
from udfs.checks import at_least, check, one_of, share_above_zero
from udfs.dedup.minhash import MinHashSettings, estimated_jaccard, signatures
from udfs.dedup.shingles import jaccard

RULE = "near_duplicate"
VERIFICATIONS = ("jaccard", "sketch", "none")
_SIGNED_TYPES = "num_shingles int, bands array<bigint>, sketch binary"
_PAIR_TYPES = "doc_id binary, partner binary, similarity double"


@dataclass(frozen=True, kw_only=True)
class NearDuplicateSettings:
    """How near duplicates are found and which document of a cluster stays.

    `verification` of candidates: "jaccard" compares the texts' shingle sets ("sketch" stands in
    for documents of earlier crawls, whose text is not read), "sketch" compares signatures,
    "none" trusts the bands.
    """

    signatures: MinHashSettings = field(default_factory=MinHashSettings)
    verification: str = "jaccard"
    # Least similarity of an edge (spec 3.2: 0.8).
    threshold: float = 0.8
    # Columns of the documents, the most important first; "-x" prefers large values of x.
    survivor_order: tuple[str, ...] = ("crawl", "warc_path", "warc_offset")
    buckets: BucketSettings = field(default_factory=BucketSettings)
    # Centres that a bucket tries for documents that do not resemble its first one.
    star_rounds: int = 4

    def __post_init__(self) -> None:
        """Check every value."""
        check(self, verification=one_of(VERIFICATIONS), threshold=share_above_zero())
        check(self, star_rounds=at_least(1))
        if not self.survivor_order:
            raise ValueError("survivor_order is empty: name at least one column")


def signature_table(documents: DataFrame, settings: NearDuplicateSettings) -> DataFrame:
    """Return (doc_id, order columns, num_shingles, bands, sketch): all that is saved of a crawl.

    Raises SettingError when `documents` lacks doc_id, text or a column of the survivor order.
    """
    order = [name.removeprefix("-") for name in settings.survivor_order]
    for name in ("doc_id", "text", *order):
        if name not in documents.columns:
            raise SettingError(
                f"survivor_order or input: the documents have no column {name!r}; they have "
                + ", ".join(documents.columns)
            )
    chosen = documents.select("doc_id", *order, "text")
    types = ", ".join(f"`{f.name}` {f.dataType.simpleString()}" for f in chosen.schema[:-1])
    minhash = settings.signatures

    def sign(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield _signed(batch, minhash)

    return chosen.mapInArrow(sign, f"{types}, {_SIGNED_TYPES}")


def _signed(batch: pa.RecordBatch, settings: MinHashSettings) -> pa.RecordBatch:
    found = signatures(batch.column("text"), settings)
    rows = np.arange(batch.num_rows + 1, dtype=np.int32)
    bands = pa.ListArray.from_arrays(rows * settings.bands, pa.array(found.bands.reshape(-1)))
    binary = batch.schema.field("doc_id").type
    columns = {name: batch.column(name) for name in batch.schema.names[:-1]}
    columns["num_shingles"] = pa.array(found.num_shingles.astype(np.int32))
    columns["bands"] = bands
    columns["sketch"] = pa.array([row.tobytes() for row in found.sketch], binary)
    return pa.RecordBatch.from_pydict(columns)


def near_duplicate_verdicts(
    spark: SparkSession,
    documents: DataFrame,
    settings: NearDuplicateSettings,
    directory: str,
    key: str,
    earlier: DataFrame | None = None,
) -> DataFrame:
    """Return a verdict (`dclm_spark.dedup.method`) for every document to remove.

    `documents` has doc_id, text and the columns of the survivor order; `key` names their content.
    `earlier` holds signature tables of the documents that remain of earlier crawls: those always
    survive, and their text is not needed. The partner of a verdict is the survivor of the cluster,
    its value their similarity as told by the signatures, which is below the threshold where the
    two are only connected through others.
    """
    key = f"{key}/{settings_hash(settings)}"
    signed, _ = checkpoint(
        spark, directory, "signatures", key, lambda: signature_table(documents, settings)
    )
    everything = _with_earlier(signed, earlier)
    edges = _edges(spark, everything, documents, settings, directory, key)
    members, _ = connected_components(spark, edges, f"{directory}/components", key)
    found = _verdicts(members, everything, settings)
    return found if earlier is None else found.unionByName(_again(signed, earlier, settings))


def _again(signed: DataFrame, earlier: DataFrame, settings: NearDuplicateSettings) -> DataFrame:
    """Return a verdict for the very documents (same WARC position) that an earlier crawl holds."""
    return signed.join(earlier, "doc_id", "left_semi").select(
        "doc_id",
        F.lit(RULE).alias("rule"),
        F.lit(1.0).alias("value"),
        F.lit(settings.threshold).alias("threshold"),
        F.col("doc_id").alias("partner"),
    )


def _with_earlier(signed: DataFrame, earlier: DataFrame | None) -> DataFrame:
    if earlier is not None:
        signed = signed.join(earlier, "doc_id", "left_anti")
    new = signed.withColumn("earlier", F.lit(False))
    if earlier is None:
        return new
    return new.unionByName(earlier.select(*signed.columns).withColumn("earlier", F.lit(True)))


def _edges(
    spark: SparkSession,
    signed: DataFrame,
    documents: DataFrame,
    settings: NearDuplicateSettings,
    directory: str,
    key: str,
) -> DataFrame:
    """Return (doc_id, partner) of candidates, verified unless the settings trust the bands."""
    members, found = bucket_members(signed), None
    for turn in range(settings.star_rounds):
        build = partial(star_edges, members, settings.buckets, turn)
        stars, _ = checkpoint(spark, directory, f"stars-{turn}", key, build)
        pairs = asked_pairs(stars)
        if settings.verification == "none":
            return pairs.select("doc_id", "partner")
        if found is not None:
            pairs = pairs.join(found, ["doc_id", "partner"], "left_anti")
        build = partial(_judged, pairs, signed, documents, settings)
        judged, facts = checkpoint(
            spark, directory, f"pairs-{turn}", key, build, partial(_unlike, settings.threshold)
        )
        found = judged if found is None else found.unionByName(judged)
        if facts["unlike"] == 0:
            break
        members = open_members(stars, found, settings.threshold)
    assert found is not None
    return found.where(F.col("similarity") >= settings.threshold).select("doc_id", "partner")


def _unlike(threshold: float, judged: DataFrame) -> dict[str, int]:
    return {"unlike": judged.where(F.col("similarity") < threshold).count()}


def _judged(
    pairs: DataFrame, signed: DataFrame, documents: DataFrame, settings: NearDuplicateSettings
) -> DataFrame:
    if settings.verification == "sketch":
        return estimated_similarities(pairs.select("doc_id", "partner"), signed)
    new = pairs.where(~F.col("partner_earlier")).select("doc_id", "partner")
    old = pairs.where(F.col("partner_earlier")).select("doc_id", "partner")
    exact = exact_similarities(new, documents, settings.signatures.ngram)
    return exact.unionByName(estimated_similarities(old, signed))


def exact_similarities(pairs: DataFrame, documents: DataFrame, ngram: int) -> DataFrame:
    """Return (doc_id, partner, similarity) by real Jaccard of the texts' shingle sets."""
    texts = documents.select("doc_id", "text")
    joined = _with_both(pairs, texts, "text")

    def compare(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            found = jaccard(batch.column("left_text"), batch.column("right_text"), ngram)
            yield _compared(batch, found)

    return joined.mapInArrow(compare, _PAIR_TYPES)


def estimated_similarities(pairs: DataFrame, signed: DataFrame) -> DataFrame:
    """Return (doc_id, partner, similarity) as told by the sketches of signature tables."""
    joined = _with_both(pairs, signed.select("doc_id", "sketch"), "sketch")

    def compare(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            left, right = (_sketches(batch.column(f"{side}_sketch")) for side in ("left", "right"))
            yield _compared(batch, estimated_jaccard(left, right))

    return joined.mapInArrow(compare, _PAIR_TYPES)


def _with_both(pairs: DataFrame, table: DataFrame, column: str) -> DataFrame:
    """Join `column` of both documents of a pair as left_ and right_ `column`."""
    left = table.select("doc_id", F.col(column).alias(f"left_{column}"))
    right = table.select(F.col("doc_id").alias("partner"), F.col(column).alias(f"right_{column}"))
    return (
        pairs.join(left, "doc_id")
        .join(right, "partner")
        .select("doc_id", "partner", f"left_{column}", f"right_{column}")
    )


def _compared(batch: pa.RecordBatch, similarities: npt.NDArray[np.float64]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {
            "doc_id": batch.column("doc_id"),
            "partner": batch.column("partner"),
            "similarity": pa.array(similarities),
        }
    )


def _sketches(column: pa.Array) -> npt.NDArray[np.uint8]:
    joined = np.frombuffer(b"".join(column.to_pylist()), np.uint8)
    return joined.reshape(len(column), -1) if len(column) else np.zeros((0, 1), np.uint8)


def _verdicts(members: DataFrame, signed: DataFrame, settings: NearDuplicateSettings) -> DataFrame:
    order = [name.removeprefix("-") for name in settings.survivor_order]
    ranked = members.join(signed.select("doc_id", "earlier", *dict.fromkeys(order)), "doc_id")
    rank = F.struct(~F.col("earlier"), *_sort_keys(settings.survivor_order), "doc_id")
    first = ranked.groupBy("component").agg(F.min(rank).getField("doc_id").alias("partner"))
    removed = ranked.join(first, "component").where(
        (F.col("doc_id") != F.col("partner")) & ~F.col("earlier")
    )
    similar = estimated_similarities(removed.select("doc_id", "partner"), signed)
    return similar.select(
        "doc_id",
        F.lit(RULE).alias("rule"),
        F.col("similarity").alias("value"),
        F.lit(settings.threshold).alias("threshold"),
        "partner",
    )


def _sort_keys(names: tuple[str, ...]) -> list[Column]:
    keys: list[Column] = []
    for name in names:
        column = F.col(name.removeprefix("-"))
        keys += [column.isNull(), -column if name.startswith("-") else column]
    return [key.alias(f"key_{index}") for index, key in enumerate(keys)]
