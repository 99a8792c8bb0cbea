"""Temporary files lie where Spark puts its own, and none outlives its use."""

import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from udfs.documents.schema import EXTRACTED
from udfs.storage.scratch import ScratchFile, scratch_folder
from udfs.units.fates import FateOutputs
from udfs.units.parquet_output import ParquetOutput

SCHEMA = pa.schema([("text", pa.string())])
BATCH = pa.RecordBatch.from_pydict({"text": ["a b c"] * 1000}, schema=SCHEMA)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    local = tmp_path / "local"
    local.mkdir()
    monkeypatch.setenv("SPARK_LOCAL_DIRS", str(local))
    return local


def test_sparks_folder_comes_before_yarns_and_the_systems(tmp_path, monkeypatch):
    spark, yarn = tmp_path / "spark", tmp_path / "yarn"
    for one in (spark, yarn):
        one.mkdir()
    monkeypatch.setenv("LOCAL_DIRS", str(yarn))
    assert scratch_folder() == str(yarn)
    monkeypatch.setenv("SPARK_LOCAL_DIRS", f"{tmp_path / 'gone'},{spark}")
    assert scratch_folder() == str(spark)


def test_a_file_is_written_and_read_by_its_path(folder):
    with ScratchFile() as file:
        file.path.write_bytes(b"some bytes")
        assert file.path.read_bytes() == b"some bytes"
        assert file.path.stat().st_size == 10
    assert list(folder.iterdir()) == []


def fail(folder, unit):
    document = dict.fromkeys(EXTRACTED.names) | {"doc_id": b"1", "text": "a", "fate": "kept"}
    with (
        ParquetOutput(str(folder), f"{unit}.parquet", SCHEMA) as output,
        FateOutputs(str(folder), unit, EXTRACTED) as outputs,
    ):
        output.write(BATCH)
        outputs.write(pa.RecordBatch.from_pylist([document], EXTRACTED))
        raise ValueError("planted")


def open_files():
    folder = Path("/proc/self/fd")
    return sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0


def test_a_hundred_failed_attempts_leave_nothing(folder, tmp_path):
    before = open_files()
    for attempt in range(100):
        with pytest.raises(ValueError, match="planted"):
            fail(tmp_path, str(attempt))
    assert list(folder.iterdir()) == []
    assert not list(tmp_path.rglob("*.parquet"))
    assert open_files() <= before + 1


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="a file keeps its name here")
def test_a_killed_process_leaves_nothing(folder, tmp_path):
    code = (
        "import os, signal, pyarrow as pa\n"
        "from udfs.units.parquet_output import ParquetOutput\n"
        "schema = pa.schema([('text', pa.string())])\n"
        f"output = ParquetOutput({str(tmp_path)!r}, 'a.parquet', schema)\n"
        "output.write(pa.RecordBatch.from_pydict({'text': ['a'] * 5000}, schema=schema))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    assert list(folder.iterdir()) == []
