"""Tables of a dedup run that are written once and read again when the run is resumed."""

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark import TaskContext
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from dclm_spark.run.tables import read_files, spark_schema
from udfs import storage

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
    """Write a table with `udfs.storage`, which needs no jars: a file for each partition.

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
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "part.parquet"
        for batch in batches:
            if batch.num_rows:
                writer = writer or pq.ParquetWriter(str(path), batch.schema, compression="zstd")
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
