"""The quality stage: one score per deduplicated document, in a small table beside the text."""

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from dclm_spark.errors import InputError
from dclm_spark.quality.threshold import score_buckets
from dclm_spark.recipes.recipe import QualitySettings
from dclm_spark.run.manifests import StageOutput, Unit, unit_key
from dclm_spark.run.stage import run_units
from dclm_spark.run.tasks import commit_each
from udfs.cache import fetch
from udfs.commit import ParquetOutput, UnitClock, commit
from udfs.parquet_files import read_table
from udfs.quality import QualityModel

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
