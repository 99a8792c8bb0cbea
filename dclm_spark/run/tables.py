"""Reading committed Parquet files as DataFrames, from any storage that `udfs.storage` knows."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

from udfs.parquet_files import read_table

_TASK = "task"


def spark_schema(schema: pa.Schema) -> StructType:
    """Return the Spark schema of an Arrow schema."""
    return from_arrow_schema(schema)


def work_frame(
    spark: SparkSession,
    rows: Sequence[dict[str, Any]],
    schema: pa.Schema,
    max_tasks: int | None = None,
) -> DataFrame:
    """Return one row per piece of work, each in a partition (and so a task) of its own.

    With `max_tasks`, no more partitions than that, which share the rows evenly.
    """
    num_tasks = max(min(len(rows), max_tasks or len(rows)), 1)
    places = pa.array([index % num_tasks for index in range(len(rows))], pa.int64())
    table = pa.Table.from_pylist(list(rows), schema=schema).append_column(_TASK, places)
    work = F.broadcast(spark.createDataFrame(table))
    # A range has as many rows in each partition. repartition() gives some tasks several rows and
    # others none, as each of its sources deals from a random place on.
    tasks = spark.range(0, num_tasks, 1, num_tasks).withColumnRenamed("id", _TASK)
    return tasks.join(work, _TASK).select(*schema.names)


def read_files(
    spark: SparkSession,
    uris: Sequence[str],
    schema: pa.Schema,
    *,
    transform: Callable[[pa.RecordBatch], pa.RecordBatch] | None = None,
    output_schema: pa.Schema | None = None,
) -> DataFrame:
    """Return the rows of Parquet files as a DataFrame, one task per file.

    `schema` names the columns to read; `transform` maps each batch before it leaves Python.
    """
    files = work_frame(spark, [{"uri": uri} for uri in uris], pa.schema([("uri", pa.string())]))
    columns = list(schema.names)
    result = output_schema or schema

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for uri in batch.column("uri").to_pylist():
                for rows in read_table(uri, columns):
                    yield (transform(rows) if transform else rows).select(result.names)

    return files.mapInArrow(read, spark_schema(result))
