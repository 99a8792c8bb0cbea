"""Spark around the kernels: CPU of the documents stage, JVM included, against the bare kernels."""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

from pyspark.sql import SparkSession

from dclm_spark.crawl.listing import InputFile
from dclm_spark.measure.clock import Timing, seconds_of, tree_cpu_seconds
from dclm_spark.measure.inputs import Models
from dclm_spark.session import spark_session
from dclm_spark.stages.documents import source_of, write_documents
from udfs.units.curate import CurationSettings, curate_file
from udfs.units.documents import DOCUMENTS
from udfs.units.output import UnitOutput

# Times the input, and passes to take the mean of, as ten seconds say little on a shared machine.
# What does not grow with the input, such as starting a job, tells the sizes apart.
COPIES = ((1, 4), (4, 1), (16, 1))


def measure_spark(
    files: Sequence[InputFile], models: Models, folder: Path, master: str, documents: int
) -> list[tuple[int, Timing, Timing]]:
    """Return (copies, bare, in Spark) for the input and for several copies of it.

    Both commit the same units, in as many processes at a time, and both are warm: each has
    committed units before, just before, that do not count. Half of the bare units go before Spark
    and half after it, as the machine's speed changes by the minute.
    """
    spark = spark_session("measure_throughput", master)
    processes = spark.sparkContext.defaultParallelism
    found = []
    try:
        for copies, passes in COPIES:
            inputs = [copied(file, copy) for copy in range(copies) for file in files]
            bare = in_spark = 0.0
            for number in range(passes):
                below = folder / f"copies-{copies}-{number}"
                half = len(inputs) // 2
                bare += _bare_seconds(inputs[:half], models.curation, below / "first", processes)
                # Workers that were idle for a minute have ended.
                write_documents(spark, files, models.curation, str(below / "warm-up"))
                in_spark += _spark_seconds(spark, inputs, models.curation, below / "spark")
                bare += _bare_seconds(inputs[half:], models.curation, below / "last", processes)
            timing = partial(Timing, documents=documents * copies, size_bytes=0)
            found.append(
                (
                    copies,
                    timing(name="bare", cpu_seconds=bare / passes),
                    timing(name=f"in Spark, {master}", cpu_seconds=in_spark / passes),
                )
            )
    finally:
        spark.stop()
    return found


def _spark_seconds(
    spark: SparkSession, files: Sequence[InputFile], settings: CurationSettings, folder: Path
) -> float:
    start = tree_cpu_seconds()
    write_documents(spark, files, settings, str(folder))
    return tree_cpu_seconds() - start


def _bare_seconds(
    files: Sequence[InputFile], settings: CurationSettings, folder: Path, processes: int
) -> float:
    """Return the CPU seconds of committing `files`, a unit each, in so many processes at a time.

    Neighbours slow each other down, so that one process alone would be no match for Spark.
    """
    # A forked process would share its parser's pipes with this one.
    context = multiprocessing.get_context("spawn")
    shares = [list(files[number::processes]) for number in range(processes)]
    folders = [folder / str(number) for number in range(processes)]
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        return sum(pool.map(_warm_seconds, shares, [settings] * processes, folders))


def _warm_seconds(files: Sequence[InputFile], settings: CurationSettings, folder: Path) -> float:
    _commit(files[:1], settings, folder / "warm-up")
    return seconds_of(lambda: _commit(files, settings, folder / "measured"))


def _commit(files: Sequence[InputFile], settings: CurationSettings, folder: Path) -> None:
    for number, file in enumerate(files):
        output = UnitOutput(str(folder), f"unit-{number:05d}", DOCUMENTS)
        curate_file(source_of(file).source, output, settings)
        output.commit("measured")


def copied(file: InputFile, copy: int) -> InputFile:
    """Return the same bytes as one more file of the crawl, with documents of its own."""
    return replace(file, path=f"copy-{copy}/{file.path}") if copy else file
