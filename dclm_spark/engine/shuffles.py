"""Shuffles by size: how many partitions one has, and which of them a number goes to."""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOGGER = logging.getLogger("dclm_spark")
_PARTITIONS = "spark.sql.shuffle.partitions"
# Spark's own default, for platforms that put a word in its place.
_DEFAULT_PARTITIONS = 200
# The most that a task sorts, and the least for which another task is worth its start.
PARTITION_SIZE_BYTES = 256 * 1024**2
USEFUL_SIZE_BYTES = 16 * 1024**2
# What the user's session says, while a block of `sized_shuffles` says something else.
_CHOSEN: ContextVar[str | None] = ContextVar("shuffle partitions of the user", default=None)

# Column of the numbers by which rows are put into partitions (`partition_keys`).
TASK = pa.field("task", pa.int32())

_SEED = 42


def num_partitions(size_bytes: int, wanted: int) -> int:
    """Return the number of partitions for a shuffle of `size_bytes`.

    As many as are `wanted` while each has work to do, and as many as keep each small.
    """
    least = math.ceil(size_bytes / PARTITION_SIZE_BYTES)
    return max(1, least, min(wanted, math.ceil(size_bytes / USEFUL_SIZE_BYTES)))


@contextmanager
def sized_shuffles(spark: "SparkSession", size_bytes: int) -> Iterator[None]:
    """Cut the shuffles of queries that run in this block for `size_bytes`.

    The session's `spark.sql.shuffle.partitions` says how many are wanted and is put back.
    """
    chosen = _CHOSEN.get()
    before = str(spark.conf.get(_PARTITIONS))
    token = _CHOSEN.set(chosen or before)
    wanted = chosen or before
    number = int(wanted) if wanted.isdigit() else _DEFAULT_PARTITIONS
    _set(spark, str(num_partitions(size_bytes, number)))
    try:
        yield
    finally:
        _set(spark, before)
        _CHOSEN.reset(token)


def _set(spark: "SparkSession", number: str) -> None:
    """Set the number of partitions; a platform that manages its settings may refuse."""
    from pyspark.errors import PySparkException

    try:
        spark.conf.set(_PARTITIONS, number)
    except PySparkException as error:
        reason = str(error).splitlines()[0]
        LOGGER.warning("%s could not be set, going on without: %s", _PARTITIONS, reason)


def partition_keys(count: int) -> npt.NDArray[np.int32]:
    """Return for each of `count` partitions a number that `repartition` sends there.

    A column of these numbers (as a 32-bit integer) puts rows into the partition that was chosen
    for them. The names of units would meet by chance: of 100 partitions 37 would stay empty.
    """
    found = np.full(count, -1, np.int32)
    start = 0
    while (found < 0).any():
        numbers = np.arange(start, start + 8 * count, dtype=np.uint32)
        places = partitions_of(numbers, count)
        # The first number of each partition stays.
        for_each, first = np.unique(places, return_index=True)
        free = found[for_each] < 0
        found[for_each[free]] = numbers[first[free]].astype(np.int32)
        start += 8 * count
    return found


def partitions_of(numbers: npt.NDArray[np.uint32], count: int) -> npt.NDArray[np.int64]:
    """Return which of `count` partitions `repartition` sends 32-bit integers to."""
    return _hashes(numbers) % count


def _hashes(numbers: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
    """Return the hashes of 32-bit integers by which Spark partitions: MurmurHash3, seed 42."""
    keys = numbers * np.uint32(0xCC9E2D51)
    keys = (keys << np.uint32(15)) | (keys >> np.uint32(17))
    state = np.uint32(_SEED) ^ (keys * np.uint32(0x1B873593))
    state = (state << np.uint32(13)) | (state >> np.uint32(19))
    state = (state * np.uint32(5) + np.uint32(0xE6546B64)) ^ np.uint32(4)
    state = (state ^ (state >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    state = (state ^ (state >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    state ^= state >> np.uint32(16)
    return state.astype(np.int32).astype(np.int64)
