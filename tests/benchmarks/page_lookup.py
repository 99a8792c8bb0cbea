"""How long a page takes to be explained over very many rows, by the index.

    python -m tests.benchmarks.page_lookup --rows 100000000 --folder /tmp/ledger --s3

The index is real, of a ledger with so many rows: a stage of documents with WARCs of 39,000 pages,
a hundred of which are a site, and later stages with as many rows. A look-up opens one file of a
table, so that of each table only the files (of 8.4 million rows) are written that the rows asked
for are in, and of the ledger the data files with them. `--s3` looks up on a local S3 server, too.
"""

import argparse
import json
import math
import os
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import functions as F

from dclm_spark.explain import LISTED, explain
from dclm_spark.page_index.build import write_keyed
from dclm_spark.page_index.lookup import (
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
from udfs.units.parquet_output import ParquetOutput

PAGES = 39_000
# Of the rows that are asked for, so that each is another one.
LOOKUPS = 10
# WARC files of a site, and the files of each table that are written.
SITE_FILES, WRITTEN_FILES = 100, 2
LISTED_PAGES = (1, 2, 1_000, 60_000)
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
    """Write the data files of all stages: those asked for with their rows, links for the others."""
    for stage in INDEXED:
        folder = output / "stages" / stage
        (folder / "kept").mkdir(parents=True)
        (folder / "stage.json").write_text(json.dumps({"fingerprint": stage}))
        for number in sorted({number for number, _ in asked}):
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
    num_files = num_files_of(rows)
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
        low = F.xxhash64(KEYS[table]).bitwiseAND(F.lit(2**31 - 1)).cast("int")
        written = F.pmod(F.hash(low), F.lit(num_files)) < WRITTEN_FILES
        folder = str(output / INDEX / FIRST / table)
        write_keyed(keyed.where(written), KEYS[table], folder, num_files)
    for stage in INDEXED[1:]:
        (output / INDEX / stage / "by_id").symlink_to(output / INDEX / FIRST / "by_id")
    marker = {stage: StageIndex(stage, rows, num_files) for stage in INDEXED}
    (output / INDEX / MARKER).write_text(json.dumps(marker))


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
    with s3_store(output) as url:
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
    given = parser.parse_args()
    num_files = math.ceil(given.rows / PAGES)
    asked = asked_rows(given.rows)
    write_ledger(given.folder, num_files, asked)
    spark = spark_session("page_lookup", "local[2]")
    started = time.perf_counter()
    write_indexes(spark, given.folder, given.rows)
    built = time.perf_counter() - started
    spark.stop()
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
