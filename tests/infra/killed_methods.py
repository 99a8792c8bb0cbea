"""A driver that runs every dedup method and loses an executor in the middle of each.

    killed_methods.py FOLDER

FOLDER/in has the committed stage. All methods run at once on one executor, which is killed when
each has a task there that has written a file and not yet closed it (`waiting_daemon`);
FOLDER/seen.json has what Spark's status says of that. Outputs are FOLDER/killed/<method>, and
FOLDER/whole/<method> those of a second run of each, left alone.
"""

import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from dclm_spark.dedup.methods import METHODS, DeduplicationSettings
from dclm_spark.engine.manifests import committed_names, read_manifests
from dclm_spark.engine.stage_output import stage_output
from dclm_spark.session import spark_session
from dclm_spark.stages.deduplicate import deduplicate
from tests.infra.waiting_daemon import WAITS
from udfs.units.documents import DOCUMENTS

SHARDS = 2
KILLED, WHOLE, SEEN = "killed", "whole", "seen.json"


def run_method(spark: SparkSession, folder: Path, output: Path) -> None:
    """Deduplicate with the method that the output is named after."""
    given, name = str(folder / "in"), output.name
    documents = stage_output("documents", given, read_manifests(given, committed_names(given)))
    # Exact keys join the method whose work is nothing else.
    exact = ("text", "url") if not METHODS[name].compares else ()
    settings = DeduplicationSettings(exact=exact, method=METHODS[name](), shards=SHARDS)
    deduplicate(spark, documents, DOCUMENTS, settings, str(output / "stage"))


def run_tagged(spark: SparkSession, folder: Path, output: Path) -> None:
    """Run a method under its name, in a session of its own for what it sets."""
    spark.sparkContext.addJobTag(output.name)
    run_method(spark, folder, output)


def executors(spark: SparkSession) -> dict[str, bool]:
    """Return by number whether Spark has an executor, of all that it ever had."""
    found = spark.sparkContext._jsc.sc().statusStore().executorList(False)
    every = [found.apply(place) for place in range(found.size())]
    return {one.id(): one.isActive() for one in every}


def failed_tasks(spark: SparkSession) -> dict[str, int]:
    """Return the number of failed tasks in the jobs of each method."""
    found = spark.sparkContext._jsc.sc().statusStore().jobsList(None)
    failed = Counter()
    for job in (found.apply(place) for place in range(found.size())):
        for name in filter(job.jobTags().contains, METHODS):
            failed[name] += job.numFailedTasks()
    return failed


def kill_when_all_wait(
    spark: SparkSession, killed: Path, runs: Sequence[Future[None]]
) -> dict[str, Any]:
    """Kill the executor on which a task of every method waits; return what was seen of it."""
    while len(waiting := sorted(killed.glob(f"*{WAITS}"))) < len(METHODS):
        for run in runs:
            # A method that failed, or never wrote a second file.
            assert not run.done(), run.result()
        time.sleep(0.02)
    tasks = {path.name.removesuffix(WAITS): json.loads(path.read_text()) for path in waiting}
    (victim,) = {(one["process"], one["executor"]) for one in tasks.values()}
    alive = executors(spark)[victim[1]]
    os.kill(victim[0], signal.SIGKILL)
    return {"victim": victim[1], "alive_before": alive, "waited_there": sorted(tasks)}


def run_killed(spark: SparkSession, folder: Path) -> dict[str, Any]:
    """Run all methods at once and kill their executor; return what was seen of it."""
    outputs = [folder / KILLED / name for name in METHODS]
    # A session of its own for each: they set things.
    sessions = [spark.newSession() for _ in outputs]
    with ThreadPoolExecutor(len(outputs)) as pool:
        runs = [
            pool.submit(run_tagged, session, folder, output)
            for session, output in zip(sessions, outputs, strict=True)
        ]
        try:
            seen = kill_when_all_wait(spark, folder / KILLED, runs)
        except BaseException:
            # The others would wait for ever.
            spark.stop()
            raise
        for run in runs:
            run.result()
    after = executors(spark)[seen["victim"]]
    return seen | {"alive_after": after, "failed_tasks": failed_tasks(spark)}


def main(folder: Path) -> None:
    """Run all methods twice."""
    spark = spark_session("killed methods")
    (folder / SEEN).write_text(json.dumps(run_killed(spark, folder)))
    for name in METHODS:
        run_method(spark, folder, folder / WHOLE / name)
    spark.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
