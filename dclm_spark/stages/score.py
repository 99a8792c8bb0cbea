"""The quality stage: one score per deduplicated document, in a small table beside the text."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from dclm_spark.engine.manifests import StageOutput, Unit, unit_key
from dclm_spark.engine.stage import commit_each, run_units
from dclm_spark.errors import InputError
from dclm_spark.settings import FileReference
from udfs.checks import FRACTION, check, share_above_zero
from udfs.fasttext.quality import QualityModel
from udfs.storage.cache import fetch
from udfs.storage.files import read_table
from udfs.units.commit import ParquetOutput, UnitClock, commit

# Buckets of the upper 20 bits of a score as a 32-bit float: 0.05 % wide, and ordered like scores.
_DROPPED_BITS = 12


@dataclass(frozen=True, kw_only=True)
class QualitySettings:
    """The classifier and the score from which a document is kept (spec 4.1).

    `top` (a fraction of the documents) replaces the absolute `threshold` when it is given.
    """

    enabled: bool = True
    model: FileReference | None = None
    positive_label: str = "hq"
    negative_label: str = "cc"
    threshold: float = 0.018112
    top: float | None = None

    def __post_init__(self) -> None:
        """Check every value: scores are probabilities."""
        check(self, threshold=FRACTION, top=share_above_zero())
        if self.positive_label == self.negative_label:
            raise ValueError(
                f"negative_label = {self.negative_label!r}: expected another label than "
                "positive_label"
            )


def score_buckets(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the bucket of each score (scores lie in 0..1); larger scores, larger buckets."""
    bits = np.ascontiguousarray(scores, np.float32).view(np.uint32)
    return (bits >> np.uint32(_DROPPED_BITS)).astype(np.int64)


def bucket_edge(bucket: int) -> float:
    """Return the lowest score of a bucket."""
    return float(np.array([bucket << _DROPPED_BITS], np.uint32).view(np.float32)[0])


def top_threshold(facts: Iterable[Mapping[str, Any]], top: float) -> float:
    """Return the score at or above which lies the fraction `top` of all documents.

    Computed from the units' `score_buckets`, so it does not depend on partitioning; documents that
    share the edge's bucket (scores within 0.05 %) are all kept.
    """
    counts: Counter[int] = Counter()
    for unit in facts:
        for bucket, count in unit.get("score_buckets", ()):
            counts[bucket] += count
    wanted = top * sum(counts.values())
    reached = 0
    for bucket in sorted(counts, reverse=True):
        reached += counts[bucket]
        if reached >= wanted:
            return bucket_edge(bucket)
    return 0.0


STAGE = "score"

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
    files = {file["unit"]: file for file in documents.files("kept/")}
    identity = (settings.model, settings.positive_label, settings.negative_label)
    units = [
        Unit(name=name, key=unit_key(STAGE, file["sha256"], identity))
        for name, file in files.items()
    ]

    def execute(pending: list[Unit]) -> DataFrame:
        rows = [{"unit": u.name, "key": u.key, "uri": files[u.name]["uri"]} for u in pending]

        return commit_each(spark, rows, lambda row: _score_file(row, settings, directory))

    return run_units(spark, stage=STAGE, directory=directory, units=units, execute=execute)


def _score_file(row: dict[str, Any], settings: QualitySettings, directory: str) -> pa.RecordBatch:
    assert settings.model is not None
    clock = UnitClock()
    model = QualityModel(
        fetch(settings.model.uri, settings.model.sha256),
        positive_label=settings.positive_label,
        negative_label=settings.negative_label,
    )
    output = ParquetOutput(directory, f"scores/{row['unit']}.parquet", SCORES)
    counts: Counter[int] = Counter()
    for batch in read_table(row["uri"], ["doc_id", "text"]):
        scores: npt.NDArray[np.float64] = model.score(batch.column("text"))
        output.write(
            pa.RecordBatch.from_arrays([batch.column("doc_id"), pa.array(scores)], schema=SCORES)
        )
        counts.update(score_buckets(scores).tolist())
    facts = {"score_buckets": [[bucket, count] for bucket, count in sorted(counts.items())]}
    return commit(directory, row["unit"], row["key"], [output.close()], facts, clock)
