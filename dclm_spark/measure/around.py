"""Spark around the kernels: CPU of the documents stage, JVM included, against the bare kernels."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from dclm_spark.crawl.listing import InputFile
from dclm_spark.curation import curate
from dclm_spark.measure.clock import Timing, on_one_core, seconds_of, tree_cpu_seconds
from dclm_spark.measure.inputs import Models
from dclm_spark.session import spark_session
from udfs.curation import InputUnit, curate_file

# Times the input: what does not grow with it, such as starting a job, tells apart.
COPIES = (1, 4, 16)


def measure_spark(
    files: Sequence[InputFile], models: Models, folder: Path, master: str, documents: int
) -> list[tuple[int, Timing, Timing]]:
    """Return (copies, bare, in Spark) for the input and for several copies of it.

    Both commit the same units. Spark's session is warm: a run before the first is not counted.
    """
    spark = spark_session("measure_throughput", master)
    try:
        curate(spark, files, models.recipe, str(folder / "warm-up"))
        found = []
        for copies in COPIES:
            inputs = [copied(file, copy) for copy in range(copies) for file in files]
            with on_one_core():
                bare = seconds_of(partial(_bare, inputs, models, folder / f"bare-{copies}"))
            start = tree_cpu_seconds()
            curate(spark, inputs, models.recipe, str(folder / f"spark-{copies}"))
            spent = tree_cpu_seconds() - start
            timings = [
                Timing(name=name, cpu_seconds=seconds, documents=documents * copies, size_bytes=0)
                for name, seconds in (("bare", bare), (f"in Spark, {master}", spent))
            ]
            found.append((copies, timings[0], timings[1]))
    finally:
        spark.stop()
    return found


def copied(file: InputFile, copy: int) -> InputFile:
    """Return the same bytes as one more file of the crawl, with documents of its own."""
    return replace(file, path=f"copy-{copy}/{file.path}") if copy else file


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
