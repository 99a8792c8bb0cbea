"""Spark around the kernels: CPU of the documents stage, JVM included, against the bare kernels."""

from collections.abc import Sequence
from pathlib import Path

from dclm_spark.crawl.listing import InputFile
from dclm_spark.curation import curate
from dclm_spark.measure.clock import Timing, seconds_of, tree_cpu_seconds
from dclm_spark.measure.inputs import Models
from dclm_spark.session import spark_session
from udfs.curation import InputUnit, curate_file


def measure_spark(
    files: Sequence[InputFile], models: Models, folder: Path, master: str, documents: int
) -> list[Timing]:
    """Return (bare, in Spark): both commit the same units; Spark's second, warm run counts."""
    bare = min(
        seconds_of(lambda name=name: _bare(files, models, folder / name))  # type: ignore[misc]
        for name in ("bare-1", "bare-2")
    )
    spark = spark_session("measure_throughput", master)
    try:
        curate(spark, files, models.recipe, str(folder / "spark-1"))
        best = float("inf")
        for name in ("spark-2", "spark-3"):
            start = tree_cpu_seconds()
            curate(spark, files, models.recipe, str(folder / name))
            best = min(best, tree_cpu_seconds() - start)
    finally:
        spark.stop()
    return [
        Timing(name="documents stage, bare", cpu_seconds=bare, documents=documents, size_bytes=0),
        Timing(
            name=f"documents stage in Spark, {master}",
            cpu_seconds=best,
            documents=documents,
            size_bytes=0,
        ),
    ]


def _bare(files: Sequence[InputFile], models: Models, folder: Path) -> None:
    for number, file in enumerate(files):
        source = InputUnit(crawl=file.crawl, path=file.path, uri=file.uri, kind=file.kind)
        curate_file(
            source,
            models.curation,
            unit=f"unit-{number:05d}",
            key="measured",
            directory=str(folder),
        )
