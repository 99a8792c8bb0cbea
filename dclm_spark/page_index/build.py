"""Writing the index of a run: for each stage, sorted tables of hashes and the places of their rows.

A table is cut by the hash of its key into files of 128 MiB and less, each sorted by the key, so
that a look-up reads the end of one file and one row group. `files.parquet` says which file a number
in the tables stands for.
"""

import io
import json
import math
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dclm_spark.engine.checkpoints import TableLayout, write_table
from dclm_spark.engine.manifests import StageOutput
from dclm_spark.engine.run_record import check_one_source
from dclm_spark.engine.tables import spark_schema, work_frame
from dclm_spark.errors import StageError
from dclm_spark.page_index.lookup import (
    FILES,
    FILES_PER_GROUP,
    FIRST,
    INDEX,
    INDEXED,
    KEYS,
    MARKER,
    StageIndex,
)
from dclm_spark.removal.tombstones import committed_output
from udfs import storage
from udfs.documents.sites import sites
from udfs.rules.urls import hosts
from udfs.storage.parquet import column_names, read_table

_FILE_SIZE_BYTES = 128 * 1024**2
# Key, number of the file and of the row, compressed.
_ROW_SIZE_BYTES = 16
_WORK = pa.schema([pa.field("number", pa.int32()), pa.field("uri", pa.string())])
_PLACED = pa.schema(
    [
        pa.field("number", pa.int32()),
        pa.field("row", pa.int32()),
        pa.field("doc_id", pa.binary()),
        pa.field("url", pa.string()),
        pa.field("site", pa.string()),
    ]
)


def write_index(spark: SparkSession, output: str) -> dict[str, StageIndex]:
    """Index all stages of the finished run in `output`; those that did not change stay.

    Raises StageError when a table has not as many rows as the stage.
    """
    check_one_source(output)
    uri = storage.join(output, INDEX, MARKER)
    known: dict[str, StageIndex] = {}
    if storage.exists(uri):
        known = {
            name: StageIndex(*one) for name, one in json.loads(storage.read_bytes(uri)).items()
        }
    found = {}
    for stage in INDEXED:
        committed = committed_output(stage, storage.join(output, "stages", stage))
        if not committed.units.num_rows:
            continue
        before = known.get(stage)
        unchanged = before is not None and before.fingerprint == committed.fingerprint
        found[stage] = before if before and unchanged else _index_stage(spark, output, committed)
        storage.write_bytes(uri, json.dumps(known | found).encode())
    return found


def _index_stage(spark: SparkSession, output: str, stage: StageOutput) -> StageIndex:
    folder = storage.join(output, INDEX, stage.stage)
    paths = stage.unit_files["path"].to_pylist()
    sink = io.BytesIO()
    pq.write_table(pa.table({"path": paths}), sink, row_group_size=FILES_PER_GROUP)
    storage.write_bytes(storage.join(folder, FILES), sink.getvalue())
    total = stage.rows("")
    num_files = max(1, math.ceil(total * _ROW_SIZE_BYTES / _FILE_SIZE_BYTES))
    names = KEYS if stage.stage == FIRST else {"by_id": KEYS["by_id"]}
    rows = _placed(spark, stage.directory, paths, addresses=stage.stage == FIRST)
    for name, column in names.items():
        written = write_keyed(rows, column, storage.join(folder, name), num_files)
        if written != total:
            raise StageError(f"index {name} of {stage.stage}: {written} rows of {total}")
    return StageIndex(fingerprint=stage.fingerprint, num_rows=total, num_files=num_files)


def write_keyed(rows: DataFrame, column: str, table: str, num_files: int) -> int:
    """Write (key, number, row), sorted by the hash of `column`; return the number of rows.

    The file of a key is the partition that Spark gives to its low 31 bits.
    """
    key = F.xxhash64(F.coalesce(F.col(column), F.lit("").cast(rows.schema[column].dataType)))
    low = F.col("key").bitwiseAND(F.lit(2**31 - 1)).cast("int")
    keyed = rows.select(key.alias("key"), "number", "row").withColumn("bucket", low)
    cut = keyed.repartition(num_files, "bucket").sortWithinPartitions("key", "number", "row")
    return write_table(cut.drop("bucket"), table, TableLayout())


def _placed(spark: SparkSession, directory: str, paths: list[str], *, addresses: bool) -> DataFrame:
    """Return the place and the keys of each row of a stage, one task a file."""
    work = [
        {"number": number, "uri": storage.join(directory, path)}
        for number, path in enumerate(paths)
    ]

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for one in batch.to_pylist():
                yield from _rows_of(one["number"], one["uri"], addresses)

    return work_frame(spark, work, _WORK).mapInArrow(read, spark_schema(_PLACED))


def _rows_of(number: int, uri: str, addresses: bool) -> Iterator[pa.RecordBatch]:
    first = 0
    wanted = ["doc_id", *(["url"] if addresses and "url" in column_names(uri) else [])]
    for batch in read_table(uri, wanted):
        count = batch.num_rows
        urls = batch.column("url") if "url" in wanted else pa.nulls(count, pa.string())
        columns = {
            "number": pa.array([number] * count, pa.int32()),
            "row": pa.array(range(first, first + count), pa.int32()),
            "doc_id": batch.column("doc_id").cast(pa.binary()),
            "url": urls.cast(pa.string()),
            "site": sites(hosts(urls)) if "url" in wanted else pa.nulls(count, pa.string()),
        }
        yield pa.RecordBatch.from_pydict(columns, schema=_PLACED)
        first += count
