"""Global n-gram dedup: the first window of each n-gram owns it, found by a shuffle on its hash.

No filter, no shards, no order of arrival: memory per task does not grow with the corpus (sorted
rows are streamed and spill to disk), and every copy in the corpus is seen.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from dclm_spark.engine.tables import checkpoint
from dclm_spark.settings import settings_hash
from udfs.dedup.global_ngrams import GlobalNgramSettings, ngram_occurrences, remove_seen
from udfs.dedup.ngrams import DedupResult

# Bits of a position that hold the offset within a WARC: files up to a terabyte.
_OFFSET_BITS = 40


def seen_windows(
    spark: SparkSession,
    documents: DataFrame,
    settings: GlobalNgramSettings,
    directory: str,
    key: str,
    earlier: DataFrame | None = None,
) -> DataFrame:
    """Return (doc_id, windows, contained, partner) of documents with n-grams that others own.

    `documents` has doc_id, crawl, warc_path, warc_offset and text, and `key` names their content.
    `windows` are the numbers of the windows with such n-grams, `contained` how many each has
    (`remove_seen_windows` reads both); `partner` is the first document that owns one of them: the
    document itself where it only repeats itself, null where an earlier crawl owns one. `earlier`
    holds the column `ngram` (`ngram_table`) of earlier crawls, which own before all.
    """
    placed = _placed(documents)
    occurrences = _occurrences(placed.select("position", "text"), settings)
    if earlier is not None:
        outside = F.lit(-1)
        occurrences = occurrences.unionByName(
            earlier.select(
                "ngram", outside.cast("bigint").alias("position"), outside.alias("window")
            )
        )
    key = f"{key}/{settings_hash(settings)}"
    seen, _ = checkpoint(spark, directory, "seen_windows", key, lambda: _seen(occurrences))
    return _by_document(placed.select("doc_id", "position"), seen)


def remove_seen_windows(batch: pa.RecordBatch, settings: GlobalNgramSettings) -> DedupResult:
    """Judge a batch of texts with `windows` and `contained` of `seen_windows` beside them."""
    lengths = pc.fill_null(pc.list_value_length(batch.column("windows")), 0)
    offsets = np.concatenate(([0], np.cumsum(np.asarray(lengths, np.int64))))
    windows = np.asarray(pc.list_flatten(batch.column("windows")), np.int32)
    contained = np.asarray(pc.list_flatten(batch.column("contained")), np.int64)
    return remove_seen(batch.column("text"), offsets, windows, contained, settings)


def ngram_table(documents: DataFrame, settings: GlobalNgramSettings) -> DataFrame:
    """Return the distinct n-grams (`ngram`) of documents that stay: what is saved of a crawl."""
    numbered = documents.select(F.lit(0).cast("bigint").alias("position"), "text")
    return _occurrences(numbered, settings).select("ngram").distinct()


def _placed(documents: DataFrame) -> DataFrame:
    """Add `position`: one number per document in the declared order."""
    # One row per WARC file, so the window without partitions stays small.
    files = documents.select("crawl", "warc_path").distinct()
    numbered = files.withColumn(
        "file_number", F.row_number().over(Window.orderBy("crawl", "warc_path")).cast("bigint")
    )
    position = F.shiftleft("file_number", _OFFSET_BITS) + F.col("warc_offset")
    return documents.join(numbered, ["crawl", "warc_path"]).select(
        "doc_id", position.alias("position"), "text"
    )


def _occurrences(documents: DataFrame, settings: GlobalNgramSettings) -> DataFrame:
    def emit(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            ngrams, rows, windows = ngram_occurrences(batch.column("text"), settings)
            positions = batch.column("position").take(pa.array(rows))
            columns = [pa.array(ngrams), positions, pa.array(windows)]
            yield pa.RecordBatch.from_arrays(columns, ["ngram", "position", "window"])

    return documents.mapInArrow(emit, "ngram bigint, position bigint, window int")


def _seen(occurrences: DataFrame) -> DataFrame:
    """Return (position, window, contained, owner): windows with n-grams that others own."""
    first = Window.partitionBy("ngram").orderBy("position", "window")
    owned = occurrences.withColumn("owner", F.first("position").over(first)).withColumn(
        "owner_window", F.first("window").over(first)
    )
    seen = owned.where(
        (F.col("position") != F.col("owner")) | (F.col("window") != F.col("owner_window"))
    ).where(F.col("position") >= 0)
    return seen.groupBy("position", "window").agg(
        F.count("*").alias("contained"), F.min("owner").alias("owner")
    )


def _by_document(placed: DataFrame, seen: DataFrame) -> DataFrame:
    pairs = F.sort_array(F.collect_list(F.struct("window", "contained"))).alias("seen")
    by_document = seen.groupBy("position").agg(pairs, F.min("owner").alias("owner"))
    owners = placed.select(F.col("position").alias("owner"), F.col("doc_id").alias("partner"))
    return (
        by_document.join(owners, "owner", "left")
        .join(placed, "position")
        .select(
            "doc_id",
            F.col("seen.window").alias("windows"),
            F.col("seen.contained").alias("contained"),
            "partner",
        )
    )
