"""Line dedup: of equal lines the one on the page with the least MD5 of its URL stays (spec 2.9)."""

import hashlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from dclm_spark.engine.tables import checkpoint
from udfs.dedup.lines import line_keys, remove_lines
from udfs.dedup.ngrams import DedupResult

# Bytes of the MD5 that a place begins with; the document's id follows, for equal URLs.
_MD5_SIZE_BYTES = 16


def seen_lines(spark: SparkSession, documents: DataFrame, directory: str, key: str) -> DataFrame:
    """Return (doc_id, lines, partner) of the documents with lines that stay elsewhere.

    `documents` has doc_id, url and text, and `key` names their content. `lines` are the numbers of
    those lines, `partner` is the first document where one stays: itself where it repeats itself.
    """
    occurrences = _occurrences(documents)
    seen, _ = checkpoint(spark, directory, "seen_lines", key, lambda: _seen(occurrences))
    return seen.select(_doc_id("place").alias("doc_id"), "lines", _doc_id("owner").alias("partner"))


def remove_seen_lines(batch: pa.RecordBatch) -> DedupResult:
    """Judge a batch of texts with `lines` of `seen_lines` beside them."""
    lines = batch.column("lines")
    lengths = pc.fill_null(pc.list_value_length(lines), 0)
    offsets = np.concatenate(([0], np.cumsum(np.asarray(lengths, np.int64))))
    numbers = np.asarray(pc.list_flatten(lines), np.int32)
    return remove_lines(batch.column("text"), offsets, numbers)


def _occurrences(documents: DataFrame) -> DataFrame:
    def emit(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            keys, rows, numbers = line_keys(batch.column("text"))
            ids, urls = batch.column("doc_id").to_pylist(), batch.column("url").to_pylist()
            places = pa.array(
                [
                    hashlib.md5((url or "").encode(), usedforsecurity=False).digest() + doc_id
                    for url, doc_id in zip(urls, ids, strict=True)
                ],
                pa.binary(),
            )
            columns = [pa.array(keys), places.take(pa.array(rows)), pa.array(numbers)]
            yield pa.RecordBatch.from_arrays(columns, ["line", "place", "number"])

    chosen = documents.select("doc_id", "url", "text")
    return chosen.mapInArrow(emit, "line bigint, place binary, number int")


def _seen(occurrences: DataFrame) -> DataFrame:
    """Return (place, lines, owner) of the documents with lines that are not the first."""
    first = Window.partitionBy("line").orderBy("place", "number")
    owned = occurrences.withColumn("owner", F.first("place").over(first)).withColumn(
        "owner_number", F.first("number").over(first)
    )
    copies = owned.where(
        (F.col("place") != F.col("owner")) | (F.col("number") != F.col("owner_number"))
    )
    return copies.groupBy("place").agg(
        F.sort_array(F.collect_list("number")).alias("lines"), F.min("owner").alias("owner")
    )


def _doc_id(place: str) -> Column:
    return F.expr(f"substring({place}, {_MD5_SIZE_BYTES + 1})")
