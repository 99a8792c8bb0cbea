"""Frames kept in memory between two jobs, where the platform allows it."""

import logging

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame

LOGGER = logging.getLogger("dclm_spark")


def cached(frame: DataFrame) -> DataFrame:
    """Return `frame`, kept between jobs; computed anew by each where that is refused."""
    try:
        return frame.cache()
    except PySparkException as error:
        LOGGER.warning("rows are computed more than once: %s", str(error).splitlines()[0])
        return frame


def uncached(frame: DataFrame) -> None:
    """Let go of what `cached` kept."""
    try:
        frame.unpersist()
    except PySparkException:
        return
