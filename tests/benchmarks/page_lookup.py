"""How long a page takes to be explained over very many rows, by the index.

    python -m tests.benchmarks.page_lookup --rows 10000000 --folder /tmp/ledger

The index is real, of a ledger with so many rows: a stage of documents with WARCs of 39,000 pages,
and later stages with as many rows. Its data files are one file, linked to under all their names.
"""

import argparse
import json
import math
import shutil
import statistics
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import functions as F

from dclm_spark.explain import explain
from dclm_spark.page_index.build import write_keyed
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
from dclm_spark.session import spark_session
from udfs.documents.schema import EXTRACTED
from udfs.units.parquet_output import ParquetOutput

PAGES = 39_000
# Of the rows that are asked for, so that each is another one.
LOOKUPS = 20
_ROW_SIZE_BYTES, _FILE_SIZE_BYTES = 16, 128 * 1024**2


def url_of(number: int, row: int) -> str:
    return f"https://www.host-{number}.example.org/page/{row}"


def write_ledger(output: Path, num_files: int, asked: list[tuple[int, int]]) -> None:
    """Write the data files of all stages: those asked for with their rows, links for the others."""
    for stage in INDEXED:
        folder = output / "stages" / stage
        (folder / "kept").mkdir(parents=True)
        (folder / "stage.json").write_text(json.dumps({"fingerprint": stage}))
        for number, _ in asked:
            _write_unit(folder, number)
        paths = [f"kept/{number}.parquet" for number in range(num_files)]
        target = output / INDEX / stage / FILES
        target.parent.mkdir(parents=True)
        pq.write_table(pa.table({"path": paths}), target, row_group_size=FILES_PER_GROUP)


def _write_unit(folder: Path, number: int) -> None:
    columns = {
        "doc_id": [f"{number}/{row}".encode() for row in range(PAGES)],
        "url": [url_of(number, row) for row in range(PAGES)],
        "text": ["a b c d " * 40] * PAGES,
        "fate": ["kept"] * PAGES,
        "warc_path": [str(number)] * PAGES,
        "warc_offset": list(range(PAGES)),
    }
    rows = pa.table(
        {
            field.name: pa.array(columns.get(field.name, [None] * PAGES), field.type)
            for field in EXTRACTED
        }
    )
    with ParquetOutput(str(folder), f"kept/{number}.parquet", EXTRACTED) as output:
        for batch in rows.to_batches(1024):
            output.write(batch)
        output.close()


def write_indexes(spark, output: Path, rows: int) -> None:
    """Write the tables of all stages; those by id are the same and are made once."""
    num_files = max(1, math.ceil(rows * _ROW_SIZE_BYTES / _FILE_SIZE_BYTES))
    number, row = (F.col("id") / PAGES).cast("int"), (F.col("id") % PAGES).cast("int")
    placed = spark.range(rows).select(number.alias("number"), row.alias("row"))
    name = F.concat(F.lit("https://www.host-"), "number", F.lit(".example.org/page/"), "row")
    keyed = placed.select(
        "number", "row", name.alias("url"),
        F.concat_ws("/", "number", "row").cast("binary").alias("doc_id"),
    )  # fmt: skip
    for table in ("by_id", "by_url"):
        write_keyed(keyed, KEYS[table], str(output / INDEX / FIRST / table), num_files)
    for stage in INDEXED[1:]:
        (output / INDEX / stage / "by_id").symlink_to(output / INDEX / FIRST / "by_id")
    marker = {stage: StageIndex(stage, rows, num_files) for stage in INDEXED}
    (output / INDEX / MARKER).write_text(json.dumps(marker))


def measure(output: Path, asked: list[tuple[int, int]]) -> dict[str, float]:
    """Return the seconds of one explanation: the first, the median, the slowest."""
    seconds = []
    for number, row in asked:
        started = time.perf_counter()
        (history,) = explain(str(output), url_of(number, row))
        seconds.append(time.perf_counter() - started)
        assert len(history) == len(INDEXED)
        assert history[0].row["warc_offset"] == row
    return {
        "first_seconds": seconds[0],
        "median_seconds": statistics.median(seconds),
        "slowest_seconds": max(seconds),
        "index_bytes": sum(
            path.stat().st_size for path in (output / INDEX).rglob("*.parquet")
        ),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="a folder that is not there yet")
    given = parser.parse_args()
    num_files = math.ceil(given.rows / PAGES)
    last = given.rows // PAGES - 1
    asked = [(max(0, last) * step // LOOKUPS, 1_789 * step % PAGES) for step in range(LOOKUPS)]
    write_ledger(given.folder, num_files, asked)
    spark = spark_session("page_lookup", "local[2]")
    started = time.perf_counter()
    write_indexes(spark, given.folder, given.rows)
    built = time.perf_counter() - started
    spark.stop()
    try:
        print(json.dumps({"build_seconds": built} | measure(given.folder, asked)))
    finally:
        shutil.rmtree(given.folder)


if __name__ == "__main__":
    main()
