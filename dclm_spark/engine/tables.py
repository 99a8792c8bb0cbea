"""Reading committed Parquet files as DataFrames, from any storage that `udfs.storage` knows."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark import TaskContext
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema
from pyspark.sql.types import StructType

from udfs import storage
from udfs.storage.files import read_table
from udfs.storage.scratch import ScratchFile

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


_WRITTEN = pa.schema([("part", pa.string()), ("rows", pa.int64())])


def checkpoint(
    spark: SparkSession,
    directory: str,
    name: str,
    key: str,
    build: Callable[[], DataFrame],
    facts: Callable[[DataFrame], dict[str, Any]] = lambda _: {},
) -> tuple[DataFrame, dict[str, Any]]:
    """Return the table `name` below `directory` and its facts, building it unless it is there.

    It is there when its marker holds `key`, which must name everything that the rows depend on:
    input, settings, code version. `facts` are computed from the written table and kept beside it.
    """
    table, marker = storage.join(directory, name), storage.join(directory, f"{name}.json")
    if storage.exists(marker):
        stored = json.loads(storage.read_bytes(marker))
        if stored["key"] == key:
            return open_table(spark, table), stored["facts"]
    storage.delete(marker)
    if storage.is_local(table):
        build().write.mode("overwrite").parquet(table)
    else:
        write_by_tasks(build(), table)
    written = open_table(spark, table)
    found = facts(written)
    text = json.dumps({"key": key, "facts": found}, sort_keys=True)
    storage.write_bytes(marker, text.encode())
    return written, found


def open_table(spark: SparkSession, table: str) -> DataFrame:
    """Return the rows of a table that a checkpoint wrote."""
    if storage.is_local(table):
        return spark.read.parquet(table)
    return read_parts(spark, table)


def write_by_tasks(rows: DataFrame, table: str) -> None:
    """Write a table with `udfs.storage.files`, which needs no jars: a file for each partition.

    A list of the files, written last, tells them from what an earlier attempt left.
    """

    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        context = TaskContext.get()
        assert context is not None
        part = f"part-{context.partitionId():05d}.parquet"
        written = _write_part(batches, storage.join(table, part))
        yield pa.RecordBatch.from_pydict({"part": [part], "rows": [written]}, schema=_WRITTEN)

    for stale in storage.list_files(table):
        storage.delete(stale)
    done = rows.mapInArrow(write, spark_schema(_WRITTEN)).where("rows > 0").collect()
    listing = {"schema": rows.schema.jsonValue(), "parts": sorted(row["part"] for row in done)}
    storage.write_bytes(storage.join(table, "parts.json"), json.dumps(listing).encode())


def _write_part(batches: Iterator[pa.RecordBatch], uri: str) -> int:
    rows, writer = 0, None
    with ScratchFile() as file:
        path = str(file.path)
        for batch in batches:
            if batch.num_rows:
                writer = writer or pq.ParquetWriter(path, batch.schema, compression="zstd")
                writer.write_batch(batch)
                rows += batch.num_rows
        if writer is not None:
            writer.close()
            storage.upload(path, uri)
    return rows


def read_parts(spark: SparkSession, table: str) -> DataFrame:
    """Return the rows that `write_by_tasks` wrote."""
    listing = json.loads(storage.read_bytes(storage.join(table, "parts.json")))
    schema = to_arrow_schema(StructType.fromJson(listing["schema"]))
    return read_files(spark, [storage.join(table, part) for part in listing["parts"]], schema)
