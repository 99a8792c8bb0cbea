"""Jobs of tasks that commit units: one row of work a task, one row of counts for the driver."""

import gc
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dclm_spark.engine.monitoring.job_names import named_jobs
from dclm_spark.engine.tables import spark_schema, work_frame
from dclm_spark.errors import StageError
from dclm_spark.task_errors import SPARK_ERRORS, failed_task, task_error
from udfs.units.commit import COMMITTED

RESUMES = "a re-run resumes after what is committed"


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


class JobError(StageError):
    """A job of Spark was given up: `reason` is why, `task` the number of the task that failed."""

    def __init__(self, stage: str, problem: BaseException) -> None:
        self.reason = task_error(problem)
        self.task = failed_task(problem)
        super().__init__(f"{stage}: {self.reason} ({RESUMES})")


def run_tasks(spark: SparkSession, stage: str, rows: DataFrame, what: str = "") -> dict[str, str]:
    """Run the job that commits units and return the errors of those that failed, by their names.

    `what` says in the Spark UI what the job does.
    """
    error = F.when(F.col("error").isNotNull(), F.struct("unit", "error"))
    # One row reaches the driver: a result of every task would not, where there are many tasks.
    counted = rows.agg(F.sum("rows"), F.collect_list(error).alias("failed"))
    with named_jobs(spark, stage, what):
        try:
            return {row["unit"]: row["error"] for row in counted.collect()[0]["failed"]}
        except SPARK_ERRORS as problem:
            raise JobError(stage, problem) from problem
