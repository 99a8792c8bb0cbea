"""Reading committed Parquet files as DataFrames, from any storage that `udfs.storage` knows."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

from udfs.storage.files import open_seekable
from udfs.storage.parquet import read_table

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


def rows_with_ids(
    uri: str, column: str, wanted: pa.Array, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a Parquet file whose `column` is among `wanted`.

    Runs on an executor. Only that column is read of row groups that hold none of them.
    """
    with open_seekable(uri) as source:
        file = pq.ParquetFile(source)
        for group in range(file.num_row_groups):
            ids = file.read_row_group(group, columns=[column]).column(column)
            found = pc.is_in(ids.cast(wanted.type), wanted)
            if not pc.any(found).as_py():
                continue
            rows = file.read_row_group(group, columns=list(schema.names)).filter(found)
            yield from rows.select(schema.names).cast(schema).combine_chunks().to_batches()


class Extent(NamedTuple):
    """How much a table holds, and a key that another content does not share."""

    key: str
    num_rows: int
    # UTF-8 bytes of the column `text`, 0 without one.
    text_size_bytes: int


class Documents(Protocol):
    """Rows of which single columns can be asked for: a DataFrame, or files (`FileTable`)."""

    @property
    def columns(self) -> list[str]:
        """Return the names of the columns."""
        ...

    def select(self, *names: str) -> DataFrame:
        """Return these columns of all rows."""
        ...


@dataclass(frozen=True, kw_only=True)
class FileTable:
    """Rows in committed Parquet files; `select` reads no other columns than those named."""

    spark: SparkSession
    uris: tuple[str, ...]
    schema: pa.Schema
    extent: Extent

    @property
    def columns(self) -> list[str]:
        """Return the names of the columns."""
        return list(self.schema.names)

    def select(self, *names: str) -> DataFrame:
        """Return these columns of all rows, one task per file."""
        chosen = pa.schema([self.schema.field(name) for name in names])
        return read_files(self.spark, self.uris, chosen)


def extent_of(documents: Documents, columns: Sequence[str]) -> Extent:
    """Return the extent of the named columns; a DataFrame is read once for it."""
    known = getattr(documents, "extent", None)
    if isinstance(known, Extent):
        return known
    rows = documents.select(*columns)
    total = F.sum(F.xxhash64(*columns).cast("decimal(38,0)")).cast("string")
    size = F.sum(F.octet_length("text")) if "text" in columns else F.lit(0)
    row = rows.agg(F.count("*").alias("rows"), total.alias("hash"), size.alias("size")).collect()[0]
    key = f"{'-'.join(columns)}/{row['rows']}/{row['hash']}"
    return Extent(key=key, num_rows=int(row["rows"]), text_size_bytes=int(row["size"] or 0))
