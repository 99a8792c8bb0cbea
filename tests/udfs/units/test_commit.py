import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from udfs.units.commit import UnitClock, commit, group_by_unit
from udfs.units.parquet_output import ParquetOutput

SCHEMA = pa.schema([("text", pa.string()), ("n", pa.int64())])


def batches(rows, size):
    table = pa.table({"text": [f"text {n} " * (n % 50) for n in range(rows)], "n": range(rows)})
    return table.cast(SCHEMA).to_batches(max_chunksize=size)


@pytest.mark.parametrize("size", [1, 7, 1000, 5000])
def test_the_bytes_of_a_file_do_not_depend_on_how_batches_arrive(tmp_path, size):
    entries = []
    for name, step in (("a.parquet", size), ("b.parquet", 64)):
        output = ParquetOutput(str(tmp_path), name, SCHEMA)
        for batch in batches(3000, step):
            output.write(batch)
        entries.append(output.close())
    assert entries[0].sha256 == entries[1].sha256
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert pq.read_table(tmp_path / "a.parquet").num_rows == 3000


def test_a_file_appears_only_when_it_is_whole(tmp_path):
    output = ParquetOutput(str(tmp_path), "a.parquet", SCHEMA)
    output.write(batches(10, 10)[0])
    assert not (tmp_path / "a.parquet").exists()
    output.close()
    assert (tmp_path / "a.parquet").exists()


def test_the_manifest_names_files_with_their_checksums(tmp_path):
    output = ParquetOutput(str(tmp_path), "kept/u.parquet", SCHEMA)
    output.write(batches(10, 10)[0])
    entry = output.close()
    row = commit(str(tmp_path), "u", "key", [entry], {"x": 1}, UnitClock())
    manifest = json.loads((tmp_path / "manifests" / "u.json").read_text())
    assert manifest["files"][0]["sha256"] == entry.sha256
    assert manifest["key"] == "key"
    assert row.to_pylist() == [{"unit": "u", "rows": 10, "error": None}]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_sorted_batches_are_split_into_one_run_per_unit(size):
    table = pa.table({"unit": ["a"] * 3 + ["b"] + ["c"] * 4, "n": range(8)})
    runs = {
        unit: [n for batch in rows for n in batch.column("n").to_pylist()]
        for unit, rows in group_by_unit(iter(table.to_batches(max_chunksize=size)), "unit")
    }
    assert runs == {"a": [0, 1, 2], "b": [3], "c": [4, 5, 6, 7]}
