"""Line dedup: of equal lines the one on the page with the least MD5 of its URL stays (spec 2.9)."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from dclm_spark.dedup.decisions import seen_share
from dclm_spark.dedup.method import DedupInput, DedupMethod, Removal, Remover
from dclm_spark.dedup.owners import HotKeys, Occurrences, copies
from dclm_spark.engine.checkpoints import Checkpoints, TableLayout
from dclm_spark.engine.tables import Documents, FileTable, extent_of
from udfs.dedup.duplicate_lines import LineDedupSettings, line_keys, remove_lines
from udfs.dedup.ngrams import DedupResult
from udfs.text.columns import utf8_buffers
from udfs.text.sentences import sentence_counts

# No copy itself, but a page that lost too many lines.
FEW_SENTENCES = "few_sentences"
# Bytes of the MD5 that a place begins with; the document's id follows, for equal URLs.
_MD5_SIZE_BYTES = 16
# Text per line of an English page, and a line's key, place and number as a row of Spark.
_TEXT_BYTES_PER_LINE = 60
_ROW_SIZE_BYTES = 80
_OCCURRENCES = Occurrences(
    key="line", place="place", number="number", row_size_bytes=_ROW_SIZE_BYTES
)


@dataclass(frozen=True, kw_only=True)
class Lines(LineDedupSettings, DedupMethod):
    """One copy of each line; pages left with too few sentences go."""

    def seen(self, given: DedupInput) -> DataFrame:
        """Return the lines that stay elsewhere."""
        hot = HotKeys.of_files(given.files, _occurrences_in)
        return seen_lines(given.documents, given.working, hot)

    def remover(self, shard_fact: int, seed: int) -> Remover:
        """Return what takes the seen lines out and counts the sentences that are left."""
        limit = float(self.min_sentences)

        def remove(batch: pa.RecordBatch) -> Removal:
            parts = remove_seen_lines(batch)
            sentences = sentence_counts(*utf8_buffers(parts.text)).astype(np.float64)
            value = pa.array(sentences)
            rule = pc.if_else(pc.less(value, limit), FEW_SENTENCES, pa.scalar(None, pa.string()))
            share = seen_share(parts)
            return Removal(parts=parts, share=share, rule=rule, value=value, threshold=limit)

        return remove


def seen_lines(documents: Documents, working: Checkpoints, hot: HotKeys | None = None) -> DataFrame:
    """Return (doc_id, lines, partner) of the documents with lines that stay elsewhere.

    `documents` has doc_id, url and text. `lines` are the numbers of those lines, `partner` is the
    first document where one stays: itself where it repeats itself. `hot` says where lines of very
    many documents are looked for, which are then no task of their own.
    """
    chosen = documents.select("doc_id", "url", "text")
    extent = extent_of(documents, ("doc_id", "url", "text"))
    shuffled = extent.text_size_bytes // _TEXT_BYTES_PER_LINE * _ROW_SIZE_BYTES
    layout = TableLayout(by=("place",), size_bytes=shuffled // 2)
    tables, occurrences = working.keyed(extent.key), _occurrences(chosen)

    def build() -> DataFrame:
        owners = hot.owners(tables, _OCCURRENCES, occurrences, shuffled) if hot else None
        return _seen(occurrences, owners)

    seen, _ = tables.table("seen_lines", build, layout, shuffled)
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

    return documents.mapInArrow(emit, "line bigint, place binary, number int")


def _occurrences_in(files: FileTable) -> DataFrame:
    return _occurrences(files.select("doc_id", "url", "text"))


def _seen(occurrences: DataFrame, hot: DataFrame | None = None) -> DataFrame:
    """Return (place, lines, owner) of the documents with lines that are not the first."""
    return (
        copies(occurrences, _OCCURRENCES, hot)
        .groupBy("place")
        .agg(F.sort_array(F.collect_list("number")).alias("lines"), F.min("owner").alias("owner"))
    )


def _doc_id(place: str) -> Column:
    return F.expr(f"substring({place}, {_MD5_SIZE_BYTES + 1})")
