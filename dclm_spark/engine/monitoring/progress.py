"""How far a stage is: a bar on a terminal; elsewhere a line every 30 s, with rate and time left."""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pyspark.sql import SparkSession
from tqdm import tqdm

LOGGER = logging.getLogger("dclm_spark")

PROGRESS_SECONDS = 0.5
LINE_SECONDS = 30.0
# Counting what is committed lists a folder: it takes no more than this share of the time.
_COUNTING_SHARE = 0.05


@dataclass(frozen=True, kw_only=True)
class UnitProgress:
    """How many of a stage's units are committed, and of how many of them before this driver."""

    done: int
    total: int
    before: int


# By stage: how far this driver last saw it.
SEEN: dict[str, UnitProgress] = {}


@contextmanager
def progress(spark: SparkSession, stage: str, count: Callable[[], UnitProgress]) -> Iterator[None]:
    """Show how far a stage is until the block ends; `count` says how many units are committed."""
    ended = threading.Event()
    on_terminal = sys.stderr.isatty() and hasattr(spark, "sparkContext")
    # Metrics want the counts on a terminal too.
    level = logging.DEBUG if on_terminal else logging.INFO
    threads = [threading.Thread(target=_lines, args=(stage, count, ended, level), daemon=True)]
    if on_terminal:
        threads.append(threading.Thread(target=_bar, args=(spark, stage, ended), daemon=True))
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def _lines(
    stage: str, count: Callable[[], UnitProgress], ended: threading.Event, level: int
) -> None:
    started, wait = time.monotonic(), LINE_SECONDS
    while not ended.wait(wait):
        before = time.monotonic()
        try:
            seen = count()
        except Exception as error:
            # A store that does not answer must not end the run, which will see for itself.
            LOGGER.debug("%s: how far it is could not be told: %s", stage, error)
            continue
        now = time.monotonic()
        wait = max(LINE_SECONDS, (now - before) / _COUNTING_SHARE)
        SEEN[stage] = seen
        LOGGER.log(level, "%s", progress_line(stage, seen, now - started))


def progress_line(stage: str, seen: UnitProgress, seconds: float) -> str:
    """Return the line: share of the units, rate in the `seconds` of this driver, time left."""
    share = 100 * seen.done / max(seen.total, 1)
    line = f"{stage}: {seen.done:,} of {seen.total:,} units ({share:.1f} %)"
    done_here = seen.done - seen.before
    if done_here <= 0 or seconds <= 0:
        return f"{line}, none of them in {seconds:,.0f} s"
    a_minute = 60 * done_here / seconds
    left = (seen.total - seen.done) * seconds / done_here
    rate = f"{a_minute:,.0f}" if a_minute >= 10 else f"{a_minute:.1f}"
    return f"{line}, {rate} a minute, about {time_left(left)} left"


def time_left(seconds: float) -> str:
    """Return a rough duration: 40 s, 12 min, 3.5 h, 2.1 days."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"


def _bar(spark: SparkSession, stage: str, ended: threading.Event) -> None:
    """Draw a bar of finished tasks until `ended` is set."""
    tracker = spark.sparkContext.statusTracker()
    done_before, seen = 0, {}
    with tqdm(desc=stage, unit=" task", leave=False) as bar:
        while not ended.wait(PROGRESS_SECONDS):
            for stage_id in tracker.getActiveStageIds():
                info = tracker.getStageInfo(stage_id)
                if info is not None:
                    seen[stage_id] = (info.numCompletedTasks, info.numTasks)
            bar.total = sum(tasks for _, tasks in seen.values())
            done = sum(completed for completed, _ in seen.values())
            bar.update(done - done_before)
            done_before = done
