"""A bar of finished tasks on a terminal while a job runs."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession
from tqdm import tqdm

PROGRESS_SECONDS = 0.5


@contextmanager
def progress_bar(spark: SparkSession, name: str) -> Iterator[None]:
    """Draw a bar called `name` until the block ends."""
    finished = threading.Event()
    bar = threading.Thread(target=_show_progress, args=(spark, name, finished), daemon=True)
    bar.start()
    try:
        yield
    finally:
        finished.set()
        bar.join()


def _show_progress(spark: SparkSession, name: str, finished: threading.Event) -> None:
    """Draw a bar of finished tasks on a terminal until `finished` is set."""
    if not sys.stderr.isatty() or not hasattr(spark, "sparkContext"):
        return
    tracker = spark.sparkContext.statusTracker()
    done_before, seen = 0, {}
    with tqdm(desc=name, unit=" task", leave=False) as bar:
        while not finished.wait(PROGRESS_SECONDS):
            for stage_id in tracker.getActiveStageIds():
                info = tracker.getStageInfo(stage_id)
                if info is not None:
                    seen[stage_id] = (info.numCompletedTasks, info.numTasks)
            bar.total = sum(tasks for _, tasks in seen.values())
            done = sum(completed for completed, _ in seen.values())
            bar.update(done - done_before)
            done_before = done
