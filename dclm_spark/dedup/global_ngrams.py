"""Global n-gram dedup: the first window of each n-gram owns it, found by a shuffle on its hash.

No filter, no shards, no order of arrival: memory per task does not grow with the corpus (sorted
rows are streamed and spill to disk), and every copy in the corpus is seen.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from dclm_spark.dedup.decisions import removal_by_share
from dclm_spark.dedup.method import DedupInput, DedupMethod, Removal, Remover
from dclm_spark.dedup.owners import HotKeys, Occurrences, copies
from dclm_spark.engine.checkpoints import Checkpoints, TableLayout
from dclm_spark.engine.tables import Documents, extent_of
from dclm_spark.settings import settings_hash
from udfs.dedup.global_ngrams import (
    NGRAM_VERSION,
    GlobalNgramSettings,
    ngram_occurrences,
    remove_seen,
)
from udfs.dedup.ngrams import DedupResult

# Bits of a position that hold the offset within a WARC: files up to a terabyte.
_OFFSET_BITS = 40
# Text per n-gram of an English page, and (n-gram, position, window) as a row of Spark.
TEXT_BYTES_PER_NGRAM = 5.5
_ROW_SIZE_BYTES = 40
_OCCURRENCES = Occurrences(
    key="ngram", place="position", number="window", row_size_bytes=_ROW_SIZE_BYTES
)
_PLACE = ("doc_id", "crawl", "warc_path", "warc_offset")


@dataclass(frozen=True, kw_only=True)
class GlobalNgrams(GlobalNgramSettings, DedupMethod):
    """Paragraphs, then documents, most of whose n-grams occur before in the whole corpus."""

    keeps_table: ClassVar[bool] = True
    table_by: ClassVar[tuple[str, ...]] = ("ngram",)

    def seen(self, given: DedupInput) -> DataFrame:
        """Return the windows with n-grams that others own."""
        hot = HotKeys.of_texts(given.files, partial(_occurrences, settings=self))
        return seen_windows(given.documents, self, given.working, given.earlier, hot=hot)

    def remover(self, shard_fact: int, seed: int) -> Remover:
        """Return what judges documents by their seen windows."""

        def remove(batch: pa.RecordBatch) -> Removal:
            return removal_by_share(remove_seen_windows(batch, self), self.threshold)

        return remove

    def thresholds(self) -> dict[str, float]:
        """Return the share of seen n-grams above which a document goes."""
        return {"contained_ngrams": self.threshold}

    def table(self, documents: Documents) -> DataFrame:
        """Return the distinct n-grams of documents."""
        return ngram_table(documents, self)

    def table_kind(self) -> list[Any]:
        """Return the hash version and the choice of n-grams."""
        return [NGRAM_VERSION, self.min_ngram, self.max_ngram, self.sample_one_in]


def seen_windows(
    documents: Documents,
    settings: GlobalNgramSettings,
    working: Checkpoints,
    earlier: Documents | None = None,
    hot: HotKeys | None = None,
) -> DataFrame:
    """Return (doc_id, windows, contained, partner) of documents with n-grams that others own.

    `documents` has doc_id, crawl, warc_path, warc_offset and text; what is found is kept below
    `working` for a call with the same content and settings. `windows` are the numbers of the
    windows with such n-grams, `contained` how many each has (`remove_seen_windows` reads both);
    `partner` is the first document that owns one of them: the document itself where it only
    repeats itself, null where an earlier crawl owns one. `earlier` holds the column `ngram`
    (`ngram_table`) of earlier crawls, which own before all. `hot` says where n-grams of very many
    documents are looked for, which are then no task of their own.
    """
    extent = extent_of(documents, (*_PLACE, "text"))
    occurrences = _occurrences(placed_documents(documents, "text"), settings)
    keys = [settings_hash(settings), extent.key]
    if earlier is not None:
        outside = F.lit(-1)
        keys.append(extent_of(earlier, ("ngram",)).key)
        occurrences = occurrences.unionByName(
            earlier.select("ngram").select(
                "ngram", outside.cast("bigint").alias("position"), outside.alias("window")
            )
        )
    ngrams = extent.text_size_bytes / TEXT_BYTES_PER_NGRAM / settings.sample_one_in
    shuffled = int(ngrams * _ROW_SIZE_BYTES)
    layout = TableLayout(by=("position",), size_bytes=shuffled // 8)
    tables = working.keyed(*keys)

    def build() -> DataFrame:
        owners = hot.owners(tables, _OCCURRENCES, occurrences, shuffled) if hot else None
        return _seen(occurrences, owners).where("position >= 0")

    seen, _ = tables.table("seen_windows", build, layout, shuffled)
    return _by_document(placed_documents(documents, "doc_id"), seen)


def seen_in_order(documents: DataFrame, settings: GlobalNgramSettings) -> DataFrame:
    """Return what `seen_windows` does of documents (position, doc_id, text), and keep nothing.

    `position` is of any type that can be ordered, and says who comes first.
    """
    seen = _seen(_occurrences(documents.select("position", "text"), settings))
    return _by_document(documents.select("position", "doc_id"), seen)


def remove_seen_windows(batch: pa.RecordBatch, settings: GlobalNgramSettings) -> DedupResult:
    """Judge a batch of texts with `windows` and `contained` of `seen_windows` beside them."""
    lengths = pc.fill_null(pc.list_value_length(batch.column("windows")), 0)
    offsets = np.concatenate(([0], np.cumsum(np.asarray(lengths, np.int64))))
    windows = np.asarray(pc.list_flatten(batch.column("windows")), np.int32)
    contained = np.asarray(pc.list_flatten(batch.column("contained")), np.int64)
    return remove_seen(batch.column("text"), offsets, windows, contained, settings)


def ngram_table(documents: Documents, settings: GlobalNgramSettings) -> DataFrame:
    """Return the distinct n-grams (`ngram`) of documents that stay: what is saved of a crawl."""
    texts = documents.select("text")
    numbered = texts.select(F.lit(0).cast("bigint").alias("position"), "text")
    return _occurrences(numbered, settings).select("ngram").distinct()


def placed_documents(documents: Documents, column: str) -> DataFrame:
    """Return `position`, one number per document in the declared order, and `column`."""
    # One row per WARC file, so the window without partitions stays small, and so does the table
    # that every task gets.
    files = documents.select("crawl", "warc_path").distinct()
    numbered = files.withColumn(
        "file_number", F.row_number().over(Window.orderBy("crawl", "warc_path")).cast("bigint")
    )
    position = F.shiftleft("file_number", _OFFSET_BITS) + F.col("warc_offset")
    rows = documents.select(column, "crawl", "warc_path", "warc_offset")
    placed = rows.join(F.broadcast(numbered), ["crawl", "warc_path"])
    return placed.select(position.alias("position"), column)


def _occurrences(documents: DataFrame, settings: GlobalNgramSettings) -> DataFrame:
    def emit(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            ngrams, rows, windows = ngram_occurrences(batch.column("text"), settings)
            positions = batch.column("position").take(pa.array(rows))
            columns = [pa.array(ngrams), positions, pa.array(windows)]
            yield pa.RecordBatch.from_arrays(columns, ["ngram", "position", "window"])

    kind = documents.schema["position"].dataType.simpleString()
    return documents.mapInArrow(emit, f"ngram bigint, position {kind}, window int")


def _seen(occurrences: DataFrame, hot: DataFrame | None = None) -> DataFrame:
    """Return (position, window, contained, owner): windows with n-grams that others own."""
    seen = copies(occurrences, _OCCURRENCES, hot)
    return seen.groupBy("position", "window").agg(
        F.count("*").alias("contained"), F.min("owner").alias("owner")
    )


def _by_document(placed: DataFrame, seen: DataFrame) -> DataFrame:
    pairs = F.sort_array(F.collect_list(F.struct("window", "contained"))).alias("seen")
    by_document = seen.groupBy("position").agg(pairs, F.min("owner").alias("owner"))
    owners = placed.select(F.col("position").alias("owner"), F.col("doc_id").alias("partner"))
    return (
        by_document.join(owners.hint("merge"), "owner", "left")
        .join(placed.hint("merge"), "position")
        .select(
            "doc_id",
            F.col("seen.window").alias("windows"),
            F.col("seen.contained").alias("contained"),
            "partner",
        )
    )
