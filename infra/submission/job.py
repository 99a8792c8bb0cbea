"""The job that is submitted: script, arguments, environment, Spark settings, tags."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from submission.errors import SubmissionError

PYTHON_OF_ARCHIVE = "./environment/bin/python"
PYTHON_OF_IMAGE = "/opt/environment/bin/python"
# jobs/plan_crawl.py writes these for a crawl of a given size; without a plan, one of 64 GiB and 16
# cores has four such executors: the heap holds sort buffers, Python workers have the rest.
_UNPLANNED = {
    "spark.executor.cores": "4",
    "spark.executor.memory": "3072m",
    "spark.executor.memoryOverhead": "11264m",
    "spark.driver.memory": "4g",
    "spark.driver.memoryOverhead": "4g",
}
_EVERYWHERE = {
    "spark.task.maxFailures": "8",
    "spark.speculation": "true",
}
# Spot nodes leave with notice: hand their shuffle blocks on instead of losing them.
_DECOMMISSION = {
    "spark.decommission.enabled": "true",
    "spark.storage.decommission.enabled": "true",
    "spark.storage.decommission.shuffleBlocks.enabled": "true",
}


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to run, on whatever platform.

    `environment` is the URI of the packed environment; empty when an image has everything.
    `conf` are the user's Spark settings, which win. `history` is where event logs go.
    `attempt` counts submissions of the same job: a platform takes an equal one for a repetition.
    """

    name: str
    script: str
    arguments: tuple[str, ...]
    environment: str = ""
    conf: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    history: str = ""
    hours: float = 12.0
    attempt: int = 1

    def __post_init__(self) -> None:
        """Raise SubmissionError for a duration or attempt that no platform takes."""
        if not 0.1 <= self.hours <= 336:
            raise SubmissionError(
                f"hours = {self.hours}: must be from 0.1 to 336 (two weeks); a job that is stopped "
                "goes on where it was when it is submitted again"
            )
        if self.attempt < 1:
            raise SubmissionError(f"attempt = {self.attempt}: must be 1 or more")

    @property
    def labels(self) -> dict[str, str]:
        """Tags by which costs are told apart, the project's own among them."""
        return {"project": "dclm-spark"} | dict(self.tags)

    @property
    def python(self) -> str:
        """Path of the interpreter, on driver and executors."""
        return PYTHON_OF_ARCHIVE if self.environment else PYTHON_OF_IMAGE


def spark_properties(job: Job, *, decommission: bool = True) -> dict[str, str]:
    """Return the Spark settings that every platform gets; the job's own win."""
    history = {"spark.eventLog.enabled": "true", "spark.eventLog.dir": job.history}
    return {
        "spark.pyspark.python": job.python,
        "spark.pyspark.driver.python": job.python,
        **_UNPLANNED,
        **_EVERYWHERE,
        **(_DECOMMISSION if decommission else {}),
        **(history if job.history else {}),
        **job.conf,
    }


def as_options(properties: Mapping[str, str]) -> list[str]:
    """Return the settings as spark-submit's arguments."""
    return [part for key, value in properties.items() for part in ("--conf", f"{key}={value}")]


def token(job: Job, *place: str) -> str:
    """Return 36 hex digits, the same for the same submission to the same place."""
    identity = [job.name, job.script, job.arguments, dict(job.conf), job.attempt, place]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:36]
