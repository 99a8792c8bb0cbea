"""How long a page takes to be explained over very many rows, by the index.

    python -m tests.benchmarks.page_lookup --rows 100000000 --folder /tmp/ledger --s3

The index is real, of a ledger with so many rows: a stage of documents with WARCs of 39,000 pages,
a hundred of which are a site, and later stages with as many rows. A look-up opens one file of a
table, so that of each table only the files (of 8.4 million rows) are written that the rows asked
for are in, and of the ledger the data files with them. They are written without Spark, in the
layout of `dclm_spark.page_index.build.write_keyed` (`--compare` has Spark write them too and
compares rows and row groups). `--s3` looks up on a local S3 server, too.
"""

import argparse
import json
import math
import os
import shutil
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import boto3
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from pyspark.sql import functions as F

from dclm_spark.engine.checkpoints import _ROW_GROUP_ROWS
from dclm_spark.engine.shuffles import partitions_of
from dclm_spark.explain import LISTED, explain
from dclm_spark.page_index.build import write_keyed
from dclm_spark.page_index.lookup import (
    _SEED,
    FILES,
    FILES_PER_GROUP,
    FIRST,
    INDEX,
    INDEXED,
    KEYS,
    MARKER,
    PageIndex,
    StageIndex,
    file_of,
    key_of,
)
from dclm_spark.session import spark_session
from tests.s3_store import CREDENTIALS, s3_store
from udfs.documents.schema import EXTRACTED
from udfs.units.commit import FORMAT_VERSION
from udfs.units.parquet_output import ParquetOutput

PAGES = 39_000
# Of the rows that are asked for, so that each is another one.
LOOKUPS = 10
# WARC files of a site, and the files of each table that are written.
SITE_FILES, WRITTEN_FILES = 100, 2
LISTED_PAGES = (1, 2, 1_000, 60_000)
KEYED = pa.schema([("key", pa.int64()), ("number", pa.int32()), ("row", pa.int32())])
BATCH_ROWS = 10_000
_ROW_SIZE_BYTES, _FILE_SIZE_BYTES = 16, 128 * 1024**2


def url_of(number: int, row: int) -> str:
    return f"https://www.host-{number}.{site_of_file(number)}/page/{row}"


def site_of_file(number: int) -> str:
    return f"site-{number // SITE_FILES}.example"


def num_files_of(rows: int) -> int:
    return max(1, math.ceil(rows * _ROW_SIZE_BYTES / _FILE_SIZE_BYTES))


def asked_rows(rows: int) -> list[tuple[int, int]]:
    """Return rows all over the ledger whose keys lie in the files that are written."""
    count, num_files, found = num_files_of(rows), max(1, rows // PAGES), []
    for step in range(10**6):
        number, row = 7_919 * step % num_files, 1_789 * step % PAGES
        keys = (f"{number}/{row}", url_of(number, row), site_of_file(number))
        if all(file_of(key_of(key.encode()), count) < WRITTEN_FILES for key in keys):
            found.append((number, row))
            if len(found) == LOOKUPS:
                break
    return found


def write_ledger(output: Path, num_files: int, asked: list[tuple[int, int]]) -> None:
    """Write the data files of all stages, those asked for with their rows, and the run's record."""
    (output / "run.json").parent.mkdir(parents=True)
    (output / "run.json").write_text(json.dumps({"format_version": FORMAT_VERSION}))
    for stage in INDEXED:
        folder = output / "stages" / stage
        folder.mkdir(parents=True)
        (folder / "stage.json").write_text(json.dumps({"fingerprint": stage}))
        if stage == FIRST:
            for number in sorted({number for number, _ in asked}):
                _write_unit(folder, number)
        else:
            (folder / "kept").symlink_to(output / "stages" / FIRST / "kept")
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


def keys_of(table: str, number: int) -> npt.NDArray[np.int64]:
    """Return the keys of all rows of a file in a table."""
    if table == "by_site":
        return np.full(PAGES, key_of(site_of_file(number).encode()), np.int64)
    start = url_of(number, 0).removesuffix("0") if table == "by_url" else f"{number}/"
    # As `key_of`, without its conversion of single numbers, which takes longer than the hash.
    keys = (xxhash.xxh64_intdigest(f"{start}{row}".encode(), _SEED) for row in range(PAGES))
    return np.fromiter(keys, np.uint64, PAGES).astype(np.int64)


def rows_in_files(table: str, rows: int, numbers: range) -> list[pa.Table]:
    """Return the rows (key, number, row) of some files of the ledger, by the file that they are in.

    Only the first files of a table are asked for.
    """
    found: list[list[pa.Table]] = [[] for _ in range(WRITTEN_FILES)]
    for number in numbers:
        keys = keys_of(table, number)[: rows - number * PAGES]
        places = partitions_of((keys & (2**31 - 1)).astype(np.uint32), num_files_of(rows))
        for file in range(WRITTEN_FILES):
            row = np.flatnonzero(places == file).astype(np.int32)
            columns = [keys[row], np.full(len(row), number, np.int32), row]
            found[file].append(pa.table(columns, schema=KEYED))
    return [pa.concat_tables(parts) for parts in found]


def write_table(pool: ProcessPoolExecutor, table: str, folder: Path, rows: int) -> None:
    """Write the first files of a table, sorted as `write_keyed` sorts them."""
    numbers = math.ceil(rows / PAGES)
    blocks = [range(at, min(at + 100, numbers)) for at in range(0, numbers, 100)]
    parts = list(pool.map(rows_in_files, [table] * len(blocks), [rows] * len(blocks), blocks))
    for file in range(min(WRITTEN_FILES, num_files_of(rows))):
        whole = pa.concat_tables([part[file] for part in parts])
        order = [(name, "ascending") for name in KEYED.names]
        part = f"part-{file:05d}.parquet"
        with ParquetOutput(
            str(folder), part, KEYED, row_group_rows=_ROW_GROUP_ROWS
        ) as output:  # fmt: skip
            for batch in whole.sort_by(order).to_batches(BATCH_ROWS):
                output.write(batch)
            output.close()


def write_indexes(output: Path, rows: int) -> None:
    """Write the tables of all stages; those by id are the same and are made once."""
    with ProcessPoolExecutor(2) as pool:
        for table in KEYS:
            write_table(pool, table, output / INDEX / FIRST / table, rows)
    for stage in INDEXED[1:]:
        (output / INDEX / stage / "by_id").symlink_to(output / INDEX / FIRST / "by_id")
    marker = {stage: StageIndex(stage, rows, num_files_of(rows)) for stage in INDEXED}
    (output / INDEX / MARKER).write_text(json.dumps(marker))


def compare_with_spark(output: Path, rows: int) -> None:
    """Have Spark write the tables, and assert that its files are the ones that are there."""
    spark, num_files = spark_session("page_lookup", "local[2]"), num_files_of(rows)
    number, row = (F.col("id") / PAGES).cast("int"), (F.col("id") % PAGES).cast("int")
    placed = spark.range(rows).select(number.alias("number"), row.alias("row"))
    site = F.concat(F.lit("site-"), (F.col("number") / SITE_FILES).cast("int"), F.lit(".example"))
    start = F.concat(F.lit("https://www.host-"), "number", F.lit("."), site, F.lit("/page/"))
    named = {
        "by_id": F.concat_ws("/", "number", "row").cast("binary"),
        "by_url": F.concat(start, "row"),
        "by_site": site,
    }
    for table, value in named.items():
        keyed = placed.select("number", "row", value.alias(KEYS[table]))
        write_keyed(keyed, KEYS[table], str(output / "spark" / table), num_files)
        for ours in (output / INDEX / FIRST / table).iterdir():
            theirs = pq.read_table(output / "spark" / table / ours.name)
            assert pq.read_table(ours).equals(theirs.cast(KEYED)), (table, ours.name)
            groups = [pq.ParquetFile(path).num_row_groups for path in
                      (ours, output / "spark" / table / ours.name)]  # fmt: skip
            assert groups[0] == groups[1], groups
    spark.stop()
    shutil.rmtree(output / "spark")


def measure(output: str, asked: list[tuple[int, int]]) -> dict[str, Any]:
    """Return the seconds of one explanation (first, median, slowest), and of pages of a site."""
    seconds = []
    for number, row in asked:
        started = time.perf_counter()
        (history,) = explain(output, url_of(number, row))
        seconds.append(time.perf_counter() - started)
        assert len(history) == len(INDEXED)
        assert history[0].row["warc_offset"] == row
    return {
        "first_seconds": round(seconds[0], 3),
        "median_seconds": round(statistics.median(seconds), 3),
        "slowest_seconds": round(max(seconds), 3),
        "site_page_seconds": listed(output, site_of_file(asked[0][0])),
    }


def listed(output: str, site: str) -> dict[int, float]:
    """Return the seconds that the places of 50 pages of a site take, by the number of the page."""
    index, seconds = PageIndex.open(output), {}
    assert index is not None
    for page in LISTED_PAGES:
        started = time.perf_counter()
        found = index.by_site(site, (page - 1) * LISTED, LISTED)
        seconds[page] = round(time.perf_counter() - started, 3)
        # A small ledger has not so many pages.
        assert len(found) in (0, LISTED)
        assert found or page > LISTED_PAGES[1]
    return seconds


def measure_on_s3(output: Path, asked: list[tuple[int, int]]) -> dict[str, Any]:
    """Copy the ledger to a local S3 server and measure there."""
    os.environ |= CREDENTIALS
    # Links of the index are copied, too.
    with TemporaryDirectory(dir=output.parent) as store, s3_store(Path(store), 4) as url:
        os.environ["AWS_ENDPOINT_URL"] = url
        client = boto3.client("s3", endpoint_url=url)
        client.create_bucket(Bucket="ledger")
        for folder, _, names in os.walk(output, followlinks=True):
            for path in (Path(folder, name) for name in names):
                client.upload_file(str(path), "ledger", str(path.relative_to(output)))
        return measure("s3://ledger", asked)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="a folder that is not there yet")
    parser.add_argument("--s3", action="store_true", help="look up on a local S3 server, too")
    parser.add_argument("--compare", action="store_true", help="have Spark write the index, too")
    given = parser.parse_args()
    num_files = math.ceil(given.rows / PAGES)
    asked = asked_rows(given.rows)
    write_ledger(given.folder, num_files, asked)
    started = time.perf_counter()
    write_indexes(given.folder, given.rows)
    built = time.perf_counter() - started
    if given.compare:
        compare_with_spark(given.folder, given.rows)
    written = sum(path.stat().st_size for path in (given.folder / INDEX / FIRST).rglob("part-*"))
    found = {"rows": given.rows, "build_seconds": round(built, 1), "written_bytes": written}
    try:
        found["local"] = measure(str(given.folder), asked)
        if given.s3:
            found["s3"] = measure_on_s3(given.folder, asked)
        print(json.dumps(found))
    finally:
        shutil.rmtree(given.folder)


if __name__ == "__main__":
    main()
