"""Wall time of the stages of a run, added up over all drivers that worked on it."""

import json
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from pyspark.sql import SparkSession

from dclm_spark.engine.monitoring.job_names import named_jobs
from dclm_spark.engine.monitoring.progress import SEEN
from dclm_spark.engine.monitoring.run_metrics import Sample, write_metrics
from udfs import storage

LOGGER = logging.getLogger("dclm_spark")

TIMES = "times.json"
_SAVE_SECONDS = 30.0


class RunClock:
    """Measures the stages of this driver and keeps `times.json`, which has those of earlier ones.

    `identity` names what the run makes: times of another recipe, input or version of the code are
    forgotten. A driver that is killed loses at most the last 30 s. With `metrics`, a path, it
    writes those of `run_metrics`, too.
    """

    def __init__(self, output: str, identity: str, metrics: str | None = None) -> None:
        self.started = time.time()
        self._output, self._metrics = output, metrics
        self._uri = storage.join(output, TIMES)
        self._identity = identity
        self._earlier = _earlier_runs(self._uri, identity)
        self._stages: dict[str, float] = defaultdict(float)
        self._running: dict[str, float] = {}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Save the times every 30 s, and when the block ends."""
        SEEN.clear()
        ended = threading.Event()

        def save_now_and_then() -> None:
            while not ended.wait(_SAVE_SECONDS):
                self._save()

        thread = threading.Thread(target=save_now_and_then, daemon=True, name="run-clock")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self._save()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time until the block ends as that of a stage."""
        self._running[name] = time.time()
        try:
            yield
        finally:
            self._stages[name] += time.time() - self._running.pop(name)

    @property
    def drivers(self) -> int:
        """How many drivers worked on the run, this one included."""
        return len(self._earlier) + 1

    @property
    def first_started(self) -> float:
        """When the first driver began, in seconds since the epoch."""
        return float(self._every()[0]["started"])

    @property
    def seconds(self) -> float:
        """The wall seconds of all drivers."""
        return float(sum(run["seconds"] for run in self._every()))

    def wall(self) -> dict[str, float]:
        """Return the wall seconds of each stage, over all drivers."""
        total: dict[str, float] = defaultdict(float)
        for run in self._every():
            for name, seconds in run["stages"].items():
                total[name] += seconds
        return dict(total)

    def _every(self) -> list[dict[str, Any]]:
        now = time.time()
        stages = dict(self._stages)
        for name, since in list(self._running.items()):
            stages[name] = stages.get(name, 0.0) + now - since
        mine = {"started": self.started, "seconds": now - self.started, "stages": stages}
        return [*self._earlier, mine]

    def _save(self) -> None:
        text = json.dumps({"identity": self._identity, "runs": self._every()}, indent=1)
        with _going_on_without("times.json"):
            storage.write_bytes(self._uri, text.encode())
        self.write_metrics([Sample("dclm_spark_run_ended", 0)])

    def write_metrics(self, further: Sequence[Sample]) -> None:
        """Write the metrics of the run so far, and `further` ones, where a file is named."""
        if self._metrics is None:
            return
        samples = [Sample("dclm_spark_run_seconds", self.seconds)]
        samples.append(Sample("dclm_spark_run_drivers", self.drivers))
        for stage, seconds in self.wall().items():
            samples.append(Sample("dclm_spark_stage_seconds", seconds, {"stage": stage}))
        for stage, seen in list(SEEN.items()):
            for name, count in (("units", seen.total), ("units_done", seen.done)):
                samples.append(Sample(f"dclm_spark_stage_{name}", count, {"stage": stage}))
        with _going_on_without("the metrics"):
            write_metrics(self._metrics, self._output, [*samples, *further])


@contextmanager
def _going_on_without(what: str) -> Iterator[None]:
    """Say what could not be written: a run does not end for it, nor hide why it ended."""
    try:
        yield
    except Exception as error:
        LOGGER.warning("%s could not be written: %s", what, error)


@contextmanager
def timed_stage(spark: SparkSession, clock: RunClock | None, name: str) -> Iterator[None]:
    """Name the jobs of a stage, and count its time where there is a clock."""
    with named_jobs(spark, name), clock.stage(name) if clock else nullcontext():
        yield


def _earlier_runs(uri: str, identity: str) -> list[dict[str, Any]]:
    try:
        known: dict[str, Any] = json.loads(storage.read_bytes(uri))
    except (storage.MissingObjectError, ValueError):
        return []
    return list(known["runs"]) if known["identity"] == identity else []
