"""Passages: of runs of words of at least so many bytes the first in the corpus stays."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from dclm_spark.dedup.decisions import seen_share
from dclm_spark.dedup.global_ngrams import placed_documents
from dclm_spark.dedup.method import ORDER, DedupInput, DedupMethod, Removal, Remover
from dclm_spark.dedup.owners import HotKeys, Occurrences, copies
from dclm_spark.engine.checkpoints import Checkpoints, TableLayout
from dclm_spark.engine.tables import Documents, extent_of
from dclm_spark.settings import settings_hash
from udfs.dedup.passages import PassageSettings, passage_keys, remove_passages

RULE = "repeated_passages"
# Text for each key of an English page, and (key, position, pieces) as a row of Spark.
_TEXT_BYTES_PER_KEY = 25
_ROW_SIZE_BYTES = 48
_OCCURRENCES = Occurrences(
    key="passage", place="position", number="first", row_size_bytes=_ROW_SIZE_BYTES
)


@dataclass(frozen=True, kw_only=True)
class Passages(PassageSettings, DedupMethod):
    """Passages that stand elsewhere, all but the first; pages without a word left go."""

    def seen(self, given: DedupInput) -> DataFrame:
        """Return the passages that stand earlier in the corpus."""
        hot = HotKeys.of_texts(given.files, partial(_occurrences, settings=self))
        return seen_passages(given.documents, self, given.working, hot)

    def remover(self, shard_fact: int, seed: int) -> Remover:
        """Return what takes the seen passages out of texts."""

        def remove(batch: pa.RecordBatch) -> Removal:
            parts = remove_passages(batch.column("text"), batch.column("passages"), self)
            rule = pc.if_else(pa.array(parts.dropped), RULE, pa.scalar(None, pa.string()))
            share = seen_share(parts)
            return Removal(parts=parts, share=share, rule=rule, value=share, threshold=1.0)

        return remove

    def thresholds(self) -> dict[str, float]:
        """Return the share of pieces that a removed document has elsewhere: all."""
        return {RULE: 1.0}


def seen_passages(
    documents: Documents,
    settings: PassageSettings,
    working: Checkpoints,
    hot: HotKeys | None = None,
) -> DataFrame:
    """Return (doc_id, passages, partner) of documents with passages that stand earlier.

    `documents` has doc_id, crawl, warc_path, warc_offset and text. `passages` are (first, last)
    pieces of the text (`remove_passages` reads them), `partner` is the first document that has one
    of them: the document itself where it only repeats itself. `hot` says where passages of very
    many documents are looked for, which are then no task of their own.
    """
    extent = extent_of(documents, ("doc_id", *ORDER, "text"))
    shuffled = extent.text_size_bytes // _TEXT_BYTES_PER_KEY * _ROW_SIZE_BYTES
    layout = TableLayout(by=("position",), size_bytes=shuffled // 4)
    tables = working.keyed(settings_hash(settings), extent.key)
    occurrences = _occurrences(placed_documents(documents, "text"), settings)

    def build() -> DataFrame:
        owners = hot.owners(tables, _OCCURRENCES, occurrences, shuffled) if hot else None
        return _seen(occurrences, owners)

    seen, _ = tables.table("seen_passages", build, layout, shuffled)
    places = placed_documents(documents, "doc_id")
    owners = places.select(F.col("position").alias("owner"), F.col("doc_id").alias("partner"))
    return (
        seen.join(owners.hint("merge"), "owner", "left")
        .join(places.hint("merge"), "position")
        .select("doc_id", "passages", "partner")
    )


def _occurrences(documents: DataFrame, settings: PassageSettings) -> DataFrame:
    def emit(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            keys, rows, places = passage_keys(batch.column("text"), settings)
            positions = batch.column("position").take(pa.array(rows))
            columns = [pa.array(keys), positions, pa.array(places[:, 0]), pa.array(places[:, 1])]
            yield pa.RecordBatch.from_arrays(columns, ["passage", "position", "first", "last"])

    return documents.mapInArrow(emit, "passage bigint, position bigint, first int, last int")


def _seen(occurrences: DataFrame, hot: DataFrame | None = None) -> DataFrame:
    """Return (position, passages, owner) of the documents with passages that are not the first."""
    passages = F.sort_array(F.collect_list(F.struct("first", "last"))).alias("passages")
    return (
        copies(occurrences, _OCCURRENCES, hot)
        .groupBy("position")
        .agg(passages, F.min("owner").alias("owner"))
    )
