"""Tables between the steps of a stage: written once, found again by a resumed run.

A table is a folder of Parquet files with fixed names and bytes, and `parts.json`, which lists them
and is written last. The tasks write it themselves (`udfs.units.commit`), so that it needs no jars
and is the same on a local disk and on an object store.
"""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from dclm_spark.engine.shuffles import sized_shuffles
from dclm_spark.engine.tables import read_files, spark_schema
from udfs import storage
from udfs.units.parquet_output import ParquetOutput

# Rows of narrow tables in a row group, and the size of a file that is aimed at.
_ROW_GROUP_ROWS = 65_536
_FILE_SIZE_BYTES = 128 * 1024**2
_LISTING = "parts.json"
_WRITTEN = pa.schema(
    [
        pa.field("path", pa.string()),
        pa.field("rows", pa.int64()),
        pa.field("size_bytes", pa.int64()),
        pa.field("sha256", pa.string()),
    ]
)
Facts = Callable[[DataFrame], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class TableLayout:
    """How the rows of a table are cut into files.

    The hash of the columns `by` chooses the file of a row, and a file is sorted by all columns:
    the same rows give the same bytes. The number of files follows from `size_bytes`, an upper
    estimate of the table's size. Without `by` every partition that comes in is a file as it is,
    which has fixed bytes only where partitions are input files.
    """

    by: tuple[str, ...] = ()
    size_bytes: int = 0

    @property
    def num_files(self) -> int:
        """Return how many files the rows are cut into."""
        return max(1, math.ceil(self.size_bytes / _FILE_SIZE_BYTES))


@dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """Tables below `directory` that hold for `key`: input, settings and code they depend on."""

    spark: SparkSession
    directory: str
    key: str

    def keyed(self, *parts: str) -> "Checkpoints":
        """Return the tables of the same folder that depend on `parts` too."""
        return replace(self, key="/".join([self.key, *parts]))

    def below(self, name: str) -> "Checkpoints":
        """Return the tables of the folder `name` in this one."""
        return replace(self, directory=storage.join(self.directory, name))

    def table(
        self,
        name: str,
        build: Callable[[], DataFrame],
        layout: TableLayout,
        shuffled_size_bytes: int = 0,
        facts: Facts = lambda _: {},
    ) -> tuple[DataFrame, dict[str, Any]]:
        """Return the table `name` and its facts, building it unless it is there.

        It is there when its marker holds this key. `facts` are computed from the written table and
        kept beside it, with the number of its `rows`. The shuffles of `build` are cut for
        `shuffled_size_bytes`, the most that goes through one of them.
        """
        table = storage.join(self.directory, name)
        marker = f"{table}.json"
        if storage.exists(marker):
            stored = json.loads(storage.read_bytes(marker))
            if stored["key"] == self.key:
                return open_table(self.spark, table), stored["facts"]
        storage.delete(marker)
        with sized_shuffles(self.spark, shuffled_size_bytes):
            rows = write_table(build(), table, layout)
            written = open_table(self.spark, table)
            found = {"rows": rows, **facts(written)}
        text = json.dumps({"key": self.key, "facts": found}, sort_keys=True)
        storage.write_bytes(marker, text.encode())
        return written, found


def write_table(rows: DataFrame, table: str, layout: TableLayout) -> int:
    """Write the files of a table and the list of them; return the number of rows."""
    if layout.by:
        rows = rows.repartition(layout.num_files, *layout.by).sortWithinPartitions(*rows.columns)
    schema = to_arrow_schema(rows.schema)

    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        context = TaskContext.get()
        assert context is not None
        part = f"part-{context.partitionId():05d}.parquet"
        output: ParquetOutput | None = None
        for batch in batches:
            if batch.num_rows:
                output = output or ParquetOutput(
                    table, part, schema, row_group_rows=_ROW_GROUP_ROWS
                )
                output.write(batch)
        if output is not None:
            yield pa.RecordBatch.from_pylist([vars(output.close())], schema=_WRITTEN)

    for stale in storage.list_files(table):
        storage.delete(stale)
    parts = [row.asDict() for row in rows.mapInArrow(write, spark_schema(_WRITTEN)).collect()]
    parts.sort(key=lambda part: str(part["path"]))
    listing = {"schema": rows.schema.jsonValue(), "parts": parts}
    storage.write_bytes(storage.join(table, _LISTING), json.dumps(listing).encode())
    return sum(part["rows"] for part in parts)


def open_table(spark: SparkSession, table: str) -> DataFrame:
    """Return the rows that `write_table` wrote; local files are read by Spark itself."""
    uris = [storage.join(table, part["path"]) for part in table_parts(table)]
    if not storage.is_local(table) or not uris:
        return read_files(spark, uris, table_schema(table))
    paths = [f"file://{storage.local_path(uri).absolute()}" for uri in uris]
    schema = StructType.fromJson(_listing(table)["schema"])
    return spark.read.schema(schema).parquet(*paths)


def has_table(table: str) -> bool:
    """Return whether `write_table` has written the table whole."""
    return storage.exists(storage.join(table, _LISTING))


def table_parts(table: str) -> list[dict[str, Any]]:
    """Return path, rows, size_bytes and sha256 of each file of a table."""
    parts: list[dict[str, Any]] = _listing(table)["parts"]
    return parts


def table_schema(table: str) -> pa.Schema:
    """Return the schema of a table."""
    return to_arrow_schema(StructType.fromJson(_listing(table)["schema"]))


def _listing(table: str) -> dict[str, Any]:
    listing: dict[str, Any] = json.loads(storage.read_bytes(storage.join(table, _LISTING)))
    return listing
