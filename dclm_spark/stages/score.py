"""The score stage: one score per deduplicated document, in a small table beside the text."""

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import SparkSession

from dclm_spark.engine.file_stage import FileStage, sources_of
from dclm_spark.engine.manifests import StageOutput
from dclm_spark.errors import InputError
from dclm_spark.settings import FileReference
from udfs.checks import FRACTION, check, share_above_zero
from udfs.fasttext.quality import QualityModel
from udfs.signals.buckets import score_buckets
from udfs.storage.cache import content_sha256, fetch
from udfs.storage.parquet import read_table
from udfs.tokens.order import document_keys
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

    def __post_init__(self) -> None:
        """Check every value: scores are probabilities."""
        check(self, threshold=FRACTION, top=share_above_zero())
        if self.positive_label == self.negative_label:
            raise ValueError(
                f"negative_label = {self.negative_label!r}: expected another label than "
                "positive_label"
            )


STAGE = "score"
_RANDOM_SEED = 97

SCORES = pa.schema([pa.field("doc_id", pa.binary()), pa.field("quality_score", pa.float64())])


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
