"""The select stage: which documents become training data, decided over columns, without texts."""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from dclm_spark.engine.file_stage import FileStage, UnitSource, sources_of
from dclm_spark.engine.manifests import StageOutput
from dclm_spark.errors import SettingError
from dclm_spark.stages.score import SCORES, QualitySettings, bucket_edge
from udfs.documents.schema import FATE_FIELDS
from udfs.storage.parquet import read_table
from udfs.units.aligned_rows import AlignedRows
from udfs.units.fates import with_fate
from udfs.units.output import UnitOutput

STAGE = "select"
RULE = "quality_score"

_READ = ["doc_id", "crawl", "warc_path", "warc_offset", "url"]
SELECTED = pa.schema(
    [
        pa.field("doc_id", pa.binary()),
        pa.field("crawl", pa.string()),
        pa.field("warc_path", pa.string()),
        pa.field("warc_offset", pa.int64()),
        pa.field("url", pa.string()),
        pa.field("quality_score", pa.float64()),
        *FATE_FIELDS,
    ]
)
# Statistics that need texts, which the tokenize stage reads and counts.
_LEFT_TO_TOKENIZE = {"languages": [], "domains": [], "domains_cut": 0, "samples": []}


def minimum_score(settings: QualitySettings, scores: StageOutput | None) -> float | None:
    """Return the score from which documents are kept, None for no filter.

    It is the absolute one of the settings, or for `top` the quantile of the scores.
    """
    if scores is None:
        return None
    if settings.top is None:
        return settings.threshold
    return top_threshold(scores.totals["score_buckets"], settings.top)


def top_threshold(buckets: Iterable[tuple[int, int]], top: float) -> float:
    """Return the score at or above which lies the fraction `top` of all documents.

    `buckets` are the documents by score bucket, so it does not depend on partitioning; documents
    that share the edge's bucket (scores within 0.05 %) are all kept.
    """
    if not 0 < top <= 1:
        raise SettingError(f"quality.top = {top}: expected a fraction above 0 and at most 1")
    counts = dict(buckets)
    wanted = top * sum(counts.values())
    reached = 0
    for bucket in sorted(counts, reverse=True):
        reached += counts[bucket]
        if reached >= wanted:
            return bucket_edge(bucket)
    return 0.0


def select(
    spark: SparkSession,
    documents: StageOutput,
    scores: StageOutput | None,
    minimum: float | None,
    directory: str,
) -> StageOutput:
    """Keep the kept documents of `documents` that score `minimum` or more; None keeps all.

    The rows are the ledger of this decision: no text, and the score where there is one.
    """
    stage = FileStage(
        name=STAGE,
        schema=SELECTED,
        process=partial(_select_file, minimum=minimum),
        key=(minimum,),
    )
    return stage.run(spark, _sources(documents, scores), directory)


def _sources(documents: StageOutput, scores: StageOutput | None) -> list[UnitSource]:
    scored = {file["unit"]: file for file in scores.files("scores/")} if scores else {}
    return [
        replace(
            one,
            identity=(one.identity, scored[one.unit]["sha256"] if scores else None),
            source=one.source | {"scores_uri": scored[one.unit]["uri"] if scores else None},
        )
        for one in sources_of(documents)
    ]


def _select_file(source: dict[str, Any], output: UnitOutput, minimum: float | None) -> None:
    scores = AlignedRows([source["scores_uri"]], SCORES) if source["scores_uri"] else None
    for batch in read_table(source["uri"], _READ):
        score = pa.nulls(batch.num_rows, pa.float64())
        if scores is not None:
            score = scores.take(batch.column("doc_id")).column("quality_score")
        judged = judge(batch.append_column("quality_score", score), minimum)
        # What counts rows by fate counts the bytes of their texts, too.
        output.write(judged.append_column("text", pa.nulls(batch.num_rows, pa.string())))
    output.facts |= _LEFT_TO_TOKENIZE


def judge(batch: pa.RecordBatch, minimum: float | None) -> pa.RecordBatch:
    """Give documents with a `quality_score`, null where none was asked for, their fates."""
    for field in FATE_FIELDS:
        batch = batch.append_column(field, pa.nulls(batch.num_rows, field.type))
    score = batch.column("quality_score")
    nothing = pa.nulls(batch.num_rows, pa.string())
    below = nothing if minimum is None else pc.if_else(pc.less(score, minimum), RULE, nothing)
    threshold = pa.array([minimum] * batch.num_rows, pa.float64())
    return with_fate(batch, stage=STAGE, rule=below, value=score, threshold=threshold)
