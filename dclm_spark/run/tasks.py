"""A stage's work as tasks: one row of work, one committed unit, one row that reports it."""

import gc
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from dclm_spark.run.tables import spark_schema, work_frame
from udfs.commit import COMMITTED


def commit_each(
    spark: SparkSession,
    rows: Sequence[dict[str, str]],
    commit_row: Callable[[dict[str, str]], pa.RecordBatch],
    max_tasks: int | None = None,
) -> DataFrame:
    """Return what `commit_row` reports (schema COMMITTED) of each of `rows`, all with equal keys.

    Each row is a task of its own; with `max_tasks`, no more tasks than that share them evenly.
    """
    schema = pa.schema([(name, pa.string()) for name in rows[0]])

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for row in batch.to_pylist():
                yield commit_row(row)
                _exempt_from_collection()

    frame = work_frame(spark, rows, schema, max_tasks)
    return frame.mapInArrow(run, spark_schema(COMMITTED))


@cache
def _exempt_from_collection() -> None:
    """Let the garbage collector pass over what this worker's first unit loaded, for good.

    A worker of Spark collects after each task, which takes 0.12 s with kernels and models loaded.
    """
    gc.collect()
    gc.freeze()
