"""Names of Spark's jobs: in the Spark UI and the history server each job says whose it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyspark.sql import SparkSession


@contextmanager
def named_jobs(spark: SparkSession, stage: str, what: str = "") -> Iterator[None]:
    """Give the jobs of the block the group `stage`, a description and a tag.

    The tag (`dclm_spark.<stage>`) is what Spark Connect knows; groups and descriptions are shown
    by the UI of a driver in this process. Jobs outside of the block keep what they had.
    """
    tag = f"dclm_spark.{stage}"
    context: Any = getattr(spark, "sparkContext", None)
    added = tag not in spark.getTags()
    before = {key: context.getLocalProperty(key) for key in _PROPERTIES} if context else {}
    if added:
        spark.addTag(tag)
    if context:
        context.setJobGroup(stage, f"{stage}: {what}" if what else stage)
    try:
        yield
    finally:
        if added:
            spark.removeTag(tag)
        for key, value in before.items():
            # None takes the property away.
            context.setLocalProperty(key, value)


_PROPERTIES = ("spark.jobGroup.id", "spark.job.description", "spark.job.interruptOnCancel")
