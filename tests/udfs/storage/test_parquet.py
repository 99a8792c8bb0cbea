"""Reading committed Parquet files: the rows, and the memory that it takes."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from udfs.storage.parquet import column_names, read_table

ROOT = Path(__file__).parents[3]
GROUP_SIZE_BYTES = 4 << 20
READ = """
import resource, sys
from udfs.storage.parquet import read_table

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = sum(batch.num_rows for batch in read_table(sys.argv[1], ["data"]))
print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def written(path, groups):
    """Write row groups of four incompressible rows each."""
    schema = pa.schema([("data", pa.binary())])
    with pq.ParquetWriter(path, schema, compression="none") as writer:
        for _ in range(groups):
            rows = [os.urandom(GROUP_SIZE_BYTES // 4) for _ in range(4)]
            writer.write_batch(pa.RecordBatch.from_arrays([pa.array(rows)], schema=schema))
    return str(path)


def test_rows_come_in_order_with_the_columns_asked_for(tmp_path):
    table = pa.table({"a": list(range(5000)), "b": ["x"] * 5000})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=700)
    batches = list(read_table(str(tmp_path / "t.parquet"), ["a"]))
    assert [value for batch in batches for value in batch.column("a").to_pylist()] == [*range(5000)]
    assert {tuple(batch.schema.names) for batch in batches} == {("a",)}
    assert column_names(str(tmp_path / "t.parquet")) == ["a", "b"]


def test_a_file_takes_the_memory_of_a_row_group_however_long_it_is(tmp_path):
    grown = {}
    for groups in (4, 48):
        path = written(tmp_path / f"{groups}.parquet", groups)
        done = subprocess.run(
            [sys.executable, "-c", READ, path],
            cwd=ROOT, capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        rows, grown[groups] = map(int, done.stdout.split())
        assert rows == 4 * groups
    # In KiB. All 48 groups are 192 MiB.
    assert grown[48] - grown[4] < 50 * 1024
