"""What a corpus lost: the share of its n-grams and words that no kept document has any more.

Measured on a sample chosen by the hash of the n-gram, so that all documents are asked for the same
ones: a share of distinct n-grams is estimated without bias, whatever copies there are.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from dclm_spark.dedup.evidence.removed_pairs import wilson_interval
from dclm_spark.dedup.method import DedupMethod
from dclm_spark.dedup.methods import DeduplicationSettings
from dclm_spark.dedup.near_duplicates import NearDuplicateSettings
from dclm_spark.dedup.survivors import COVERAGE_TABLE
from dclm_spark.engine.checkpoints import has_table, open_table
from dclm_spark.engine.manifests import StageOutput
from dclm_spark.engine.shuffles import sized_shuffles
from dclm_spark.engine.tables import read_files, spark_schema, work_frame
from udfs import storage
from udfs.dedup.shingles import shingle_hashes
from udfs.rules.urls import hosts
from udfs.storage.parquet import column_names, read_table

# What is counted: n-grams of so many words.
MEASURES = {"13-grams": 13, "words": 1}
# The sample has about so many occurrences of 13-grams: 0.1 % is known within 0.02 %.
SAMPLED_OCCURRENCES = 1 << 17
# Groups of a kind that are shown, those that lost most first.
SHOWN_GROUPS = 20
_TEXT_BYTES_PER_NGRAM = 5.5
_ROW_SIZE_BYTES = 160
_GRAMS = pa.schema(
    [
        pa.field("measure", pa.string()),
        pa.field("gram", pa.int64()),
        pa.field("doc_id", pa.binary()),
        pa.field("source", pa.string()),
        pa.field("domain", pa.string()),
        pa.field("language", pa.string()),
    ]
)
_RULES = pa.schema(
    [("doc_id", pa.binary()), ("rule", pa.string()), ("duplicate_rule", pa.string())]
)
_GROUPS = ("source", "domain", "language", "rule")


def information_lost(
    spark: SparkSession,
    documents: StageOutput,
    deduplicated: StageOutput,
    settings: DeduplicationSettings,
) -> dict[str, Any]:
    """Return `one_in`, the rate of the sample, and `groups`.

    Each of these says of how many (`total`) sampled distinct n-grams of a `measure` the corpus, or
    a part of it, has lost how many (`lost`), and the `share` with Wilson's interval of 95 %. The
    part is told by `group` and `name`: source (the crawl), domain, language, or the rule of the
    documents that went; all of it is "". `by_component` is the share that would be lost if only the
    first of each cluster stayed, None where that was done or nothing is known of it. Texts are read
    once before and once after the stage, in tasks of a file; what these send on is the sample. In
    annotate mode, what was noted counts as gone.
    """
    size = documents.text_bytes() or deduplicated.text_bytes()
    one_in = max(1, math.ceil(size / _TEXT_BYTES_PER_NGRAM / SAMPLED_OCCURRENCES))
    whole = _grams(spark, [file["uri"] for file in documents.files("kept/")], one_in)
    rules = _rules(spark, deduplicated)
    uris = [file["uri"] for file in deduplicated.files("kept/")]
    kept = _grams(spark, uris, one_in, annotated=settings.mode == "annotate")
    coverage = storage.join(f"{deduplicated.directory}-working", COVERAGE_TABLE)
    # Compaction after a removal deletes the table.
    verified = _is_verified(settings.method) and has_table(coverage)
    if verified:
        kept = _marked_uncovered(kept, spark, coverage)
    else:
        kept = kept.withColumn("uncovered", F.lit(False))
    found = kept.groupBy("measure", "gram").agg(
        F.lit(True).alias("is_kept"), F.max(~F.col("uncovered")).alias("kept_by_component")
    )
    named = whole.join(rules.hint("merge"), "doc_id", "left")
    judged = named.join(found.hint("merge"), ["measure", "gram"], "left")
    with sized_shuffles(spark, int(size / _TEXT_BYTES_PER_NGRAM / one_in) * _ROW_SIZE_BYTES):
        rows = _by_group(judged).collect()
    return {
        "one_in": one_in,
        "groups": [_loss(row.asDict(), verified) for row in rows],
    }


def _is_verified(method: DedupMethod) -> bool:
    return isinstance(method, NearDuplicateSettings) and method.coverage is not None


def _loss(row: dict[str, Any], verified: bool) -> dict[str, Any]:
    total, lost = int(row["total"]), int(row["lost"])
    low, high = wilson_interval(lost, total)
    return {
        "measure": row["measure"],
        "group": row["group"],
        "name": row["name"] or "",
        "total": total,
        "lost": lost,
        "share": lost / total,
        "low": low,
        "high": high,
        "by_component": int(row["lost_by_component"]) / total if verified else None,
    }


def _by_group(judged: DataFrame) -> DataFrame:
    """Count the distinct n-grams of each group and those that are lost; the most lost first."""
    named = [_group("", F.lit("")), *(_group(name, F.col(name)) for name in _GROUPS)]
    distinct = judged.select(
        "measure",
        "gram",
        F.explode(F.array(*named)).alias("place"),
        F.col("is_kept").isNull().cast("long").alias("is_lost"),
        (~F.coalesce("kept_by_component", F.lit(False))).cast("long").alias("is_lost_by_component"),
    ).distinct()
    counted = distinct.groupBy("measure", "place").agg(
        F.count("*").alias("total"),
        F.sum("is_lost").alias("lost"),
        F.sum("is_lost_by_component").alias("lost_by_component"),
    )
    largest = Window.partitionBy("measure", "place.group").orderBy(
        F.desc("lost"), F.desc("total"), "place.name"
    )
    ranked = counted.withColumn("rank", F.row_number().over(largest))
    shown = ranked.where(F.col("place.group").eqNullSafe("") | F.col("place.name").isNotNull())
    return (
        shown.where(F.col("rank") <= SHOWN_GROUPS)
        .select(
            "measure", "place.group", "place.name", "total", "lost", "lost_by_component", "rank"
        )
        .orderBy("measure", "group", "rank")
    )


def _group(kind: str, name: Column) -> Column:
    return F.struct(F.lit(kind).alias("group"), name.cast("string").alias("name"))


def _rules(spark: SparkSession, deduplicated: StageOutput) -> DataFrame:
    """Return (doc_id, rule) of the documents that went or, in annotate mode, would have gone."""
    uris = [file["uri"] for fate in ("kept/", "dropped/") for file in deduplicated.files(fate)]
    found = read_files(spark, uris, _RULES).select(
        "doc_id", F.coalesce("rule", "duplicate_rule").alias("rule")
    )
    return found.where(F.col("rule").isNotNull())


def _marked_uncovered(kept: DataFrame, spark: SparkSession, table: str) -> DataFrame:
    """Mark the members of clusters that stay since none covers them, as the table says."""
    stay = open_table(spark, table).where(F.col("partner").isNull())
    marks = stay.select("doc_id", F.lit(True).alias("uncovered"))
    return kept.join(marks.hint("merge"), "doc_id", "left").withColumn(
        "uncovered", F.coalesce("uncovered", F.lit(False))
    )


def _grams(
    spark: SparkSession, uris: Sequence[str], one_in: int, annotated: bool = False
) -> DataFrame:
    """Return (_GRAMS) the sampled n-grams of documents, each once for a document."""
    noted = {"duplicate_rule", "removed_spans"} if annotated else set()

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for uri in batch.column("uri").to_pylist():
                wanted = ["doc_id", "crawl", "url", "text", *sorted(noted)]
                wanted += {"language"} & set(column_names(uri))
                for rows in read_table(uri, wanted):
                    yield from _sampled(_remaining(rows) if noted else rows, one_in)

    files = work_frame(spark, [{"uri": uri} for uri in uris], pa.schema([("uri", pa.string())]))
    return files.mapInArrow(read, spark_schema(_GRAMS))


def _remaining(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Leave out what annotate mode has only noted: documents, and spans of texts."""
    batch = batch.filter(pc.is_null(batch["duplicate_rule"]))
    spans = batch["removed_spans"].to_pylist()
    texts = [
        _without(text, cut) if cut else text
        for text, cut in zip(batch["text"].to_pylist(), spans, strict=True)
    ]
    return batch.set_column(
        batch.schema.get_field_index("text"), "text", pa.array(texts, pa.large_string())
    )


def _without(text: str, spans: list[dict[str, int]]) -> str:
    data, parts, place = text.encode(), [], 0
    for span in spans:
        parts.append(data[place : span["start"]])
        place = span["end"]
    return b"".join([*parts, data[place:]]).decode()


def _sampled(batch: pa.RecordBatch, one_in: int) -> Iterator[pa.RecordBatch]:
    domains = hosts(batch.column("url"))
    nothing = pa.nulls(batch.num_rows, pa.string())
    language = batch.column("language") if "language" in batch.schema.names else nothing
    for measure, words in MEASURES.items():
        hashes, offsets = shingle_hashes(pc.fill_null(batch.column("text"), ""), words)
        rows = np.repeat(np.arange(batch.num_rows), np.diff(offsets))
        chosen = hashes % np.uint64(one_in) == 0
        # Each n-gram once for a document.
        pairs = np.unique(np.stack((rows[chosen].astype(np.uint64), hashes[chosen])), axis=1)
        places = pa.array(pairs[0].astype(np.int64))
        yield pa.RecordBatch.from_arrays(
            [
                pa.array(np.full(len(places), measure, object), pa.string()),
                pa.array(pairs[1].view(np.int64)),
                *(
                    column.take(places)
                    for column in (batch["doc_id"], batch["crawl"], domains, language)
                ),
            ],
            schema=_GRAMS,
        )
