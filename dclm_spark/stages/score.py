"""The score stage: one score per document, in a small table beside the text.

The stage `quality`, which only a recipe with `quality.before_deduplication` has, drops by these
scores what copies are then not looked for in, and puts them into the documents.
"""

from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from dclm_spark.engine.file_stage import FileStage, sources_of
from dclm_spark.engine.manifests import StageOutput
from dclm_spark.errors import InputError
from dclm_spark.settings import FileReference
from udfs.checks import FRACTION, check, share_above_zero
from udfs.documents.schema import FATE_FIELDS
from udfs.fasttext.quality import QualityModel
from udfs.signals.buckets import score_buckets
from udfs.storage.cache import content_sha256, fetch
from udfs.storage.parquet import read_table
from udfs.tokens.order import document_keys
from udfs.units.aligned_rows import AlignedRows
from udfs.units.fates import with_fate
from udfs.units.output import UnitOutput


@dataclass(frozen=True, kw_only=True)
class QualitySettings:
    """The classifier and the score from which a document is kept (spec 4.1).

    `top` (a fraction of the documents) replaces the absolute `threshold` when it is given.
    """

    # False: no classifier scores the documents.
    enabled: bool = True
    # fastText model of two labels; must be given where `enabled`.
    model: FileReference | None = None
    # Label of the model whose probability is the score.
    positive_label: str = "hq"
    # The other label.
    negative_label: str = "cc"
    # Score from which a document is kept.
    threshold: float = 0.018112
    # Fraction of the documents that is kept, the highest scores; None: `threshold` decides.
    top: float | None = None
    # True: score and filter before copies are looked for, not after; copies may then be chosen by
    # score (`survivor_order: [best_score]`), and another `threshold` redoes the stage quality.
    before_deduplication: bool = False

    def __post_init__(self) -> None:
        """Check every value: scores are probabilities."""
        check(self, threshold=FRACTION, top=share_above_zero())
        if self.positive_label == self.negative_label:
            raise ValueError(
                f"negative_label = {self.negative_label!r}: expected another label than "
                "positive_label"
            )


STAGE, FILTER = "score", "quality"
_RANDOM_SEED = 97

_SCORE = pa.field("quality_score", pa.float64())
SCORES = pa.schema([pa.field("doc_id", pa.binary()), _SCORE])


def check_model(settings: QualitySettings) -> None:
    """Raise InputError for a quality filter without a model."""
    if settings.enabled and settings.model is None:
        raise InputError(
            "quality.model is not set: give the URI of a fastText model, for example "
            "--set quality.model.uri=hf://mlfoundations/fasttext-oh-eli5/"
            "openhermes_reddit_eli5_vs_rw_v2_bigram_200k_train.bin, or train one with "
            "jobs/train_quality.py"
        )


def score(
    spark: SparkSession, documents: StageOutput, settings: QualitySettings, directory: str
) -> StageOutput:
    """Score the kept documents of each file of `documents`; the rows keep the file's order."""
    check_model(settings)
    stage = FileStage(
        name=STAGE,
        schema=SCORES,
        process=partial(_score_file, settings=settings),
        key=score_key(settings),
        folder="scores",
    )
    return stage.run(spark, sources_of(documents), directory)


def scored_schema(documents: pa.Schema) -> pa.Schema:
    """Return the schema of the stage `quality`: the documents', their score, and the new fate."""
    fates = {field.name for field in FATE_FIELDS}
    rest = [field for field in documents if field.name not in fates]
    return pa.schema([*rest, _SCORE, *FATE_FIELDS])


def keep_by_score(
    spark: SparkSession,
    documents: StageOutput,
    scores: StageOutput,
    schema: pa.Schema,
    minimum: float,
    directory: str,
) -> StageOutput:
    """Give the kept documents of each file their score, and drop those below `minimum`.

    `scores` is what `score` made of `documents`, whose columns are `schema`. No shuffle.
    """
    beside = {file["unit"]: file for file in scores.files("scores/")}
    sources = [
        replace(
            one,
            identity=(one.identity, beside[one.unit]["sha256"]),
            source=one.source | {"scores_uri": beside[one.unit]["uri"]},
        )
        for one in sources_of(documents)
    ]
    stage = FileStage(
        name=FILTER,
        schema=scored_schema(schema),
        process=partial(_judge_file, minimum=minimum),
        key=(minimum,),
    )
    return stage.run(spark, sources, directory)


def _judge_file(source: dict[str, Any], output: UnitOutput, minimum: float) -> None:
    added = {_SCORE.name, *(field.name for field in FATE_FIELDS)}
    columns = [name for name in output.schema.names if name not in added]
    scores = AlignedRows([source["scores_uri"]], SCORES)
    for batch in read_table(source["uri"], columns):
        found = scores.take(batch.column("doc_id")).column(_SCORE.name)
        batch = batch.append_column(_SCORE, found)
        for one in FATE_FIELDS:
            batch = batch.append_column(one, pa.nulls(batch.num_rows, one.type))
        good = pc.fill_null(pc.greater_equal(found, minimum), False)
        judged = with_fate(
            batch,
            stage=FILTER,
            rule=pc.if_else(good, pa.scalar(None, pa.string()), _SCORE.name),
            value=found,
            threshold=pa.array([minimum] * batch.num_rows),
        )
        output.write(judged.select(output.schema.names))


def score_key(settings: QualitySettings) -> tuple[Any, ...]:
    """Return what scores depend on: the model, by what lies there now, and its labels."""
    assert settings.model is not None
    content = content_sha256(fetch(settings.model.uri, settings.model.sha256))
    return settings.model, settings.positive_label, settings.negative_label, content


def _score_file(source: dict[str, Any], output: UnitOutput, settings: QualitySettings) -> None:
    assert settings.model is not None
    model = QualityModel(
        fetch(settings.model.uri, settings.model.sha256),
        positive_label=settings.positive_label,
        negative_label=settings.negative_label,
    )
    counts: Counter[int] = Counter()
    for batch in read_table(source["uri"], ["doc_id", "text"]):
        scores: npt.NDArray[np.float64] = model.score(batch.column("text"))
        output.write(
            pa.RecordBatch.from_arrays([batch.column("doc_id"), pa.array(scores)], schema=SCORES)
        )
        counts.update(score_buckets(scores).tolist())
    output.facts["score_buckets"] = [[bucket, count] for bucket, count in sorted(counts.items())]


def random_scores(spark: SparkSession, documents: StageOutput, directory: str) -> StageOutput:
    """Give every kept document a score in 0..1 that depends on its id alone."""
    stage = FileStage(
        name=STAGE,
        schema=SCORES,
        process=_draw_scores,
        key=("random", _RANDOM_SEED),
        folder="scores",
    )
    return stage.run(spark, sources_of(documents), directory)


def _draw_scores(source: dict[str, Any], output: UnitOutput) -> None:
    counts: Counter[int] = Counter()
    for batch in read_table(source["uri"], ["doc_id"]):
        ids = batch.column("doc_id")
        scores: npt.NDArray[np.float64] = (
            document_keys(ids, _RANDOM_SEED).astype(np.float64) / 2.0**64
        )
        output.write(pa.RecordBatch.from_arrays([ids, pa.array(scores)], schema=SCORES))
        counts.update(score_buckets(scores).tolist())
    output.facts["score_buckets"] = [[bucket, count] for bucket, count in sorted(counts.items())]
