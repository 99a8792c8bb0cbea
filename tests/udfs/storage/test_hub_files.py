"""hf://datasets/ as a store, against a server that speaks the hub's protocol; not the real hub."""

import json

import pyarrow as pa
import pytest

from tests.hub_server import COMMIT, serve_hub
from udfs import storage
from udfs.storage.exclusive import write_new
from udfs.storage.stream import MissingObjectError, ReadSettings, StorageError, shown

QUICK = ReadSettings(max_attempts=3, min_wait_seconds=0.001, max_wait_seconds=0.002)
LARGE = bytes(range(256)) * 4096
DATA = "hf://datasets/lab/pages"


@pytest.fixture
def served(monkeypatch):
    files = {("lab/pages", "old/large.bin"): LARGE, ("lab/secret", "a.bin"): b"secret"}
    with serve_hub(files) as server:
        server.private["lab/secret"] = "hf_token"
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield server


def test_what_is_written_to_a_data_set_is_read_listed_and_deleted(served, tmp_path):
    storage.write_bytes(f"{DATA}/data/a.json", b"{}", QUICK)
    (tmp_path / "b").write_bytes(LARGE)
    storage.upload(tmp_path / "b", f"{DATA}/data/b c.bin", QUICK)
    storage.write_bytes(f"{DATA}/README.md", b"# Pages", QUICK)
    names = [f"{DATA}/data/a.json", f"{DATA}/data/b c.bin"]
    assert storage.list_files(f"{DATA}/data", QUICK) == names
    assert len(storage.list_files(DATA, QUICK)) == 4
    listed = storage.list_objects(f"{DATA}/data", QUICK).values()
    assert [one.size_bytes for one in listed] == [2, len(LARGE)]
    assert all(one.version for one in listed)
    assert storage.read_bytes(f"{DATA}/data/a.json", QUICK) == b"{}"
    assert storage.size_bytes(f"{DATA}/old/large.bin", QUICK) == len(LARGE)
    storage.delete(f"{DATA}/data/a.json", QUICK)
    storage.delete(f"{DATA}/data/a.json", QUICK)
    assert not storage.exists(f"{DATA}/data/a.json", QUICK)
    assert storage.list_files(f"{DATA}/data", QUICK) == names[1:]
    assert storage.list_files(f"{DATA}/nowhere", QUICK) == []


def test_a_file_is_read_from_any_byte_and_where_it_was_redirected_to(served):
    with storage.open_stream(f"{DATA}/old/large.bin", 300_000, QUICK) as stream:
        assert stream.read() == LARGE[300_000:]
    pinned = f"hf://datasets/lab/pages@{COMMIT}/old/large.bin"
    with storage.open_seekable(pinned, QUICK) as file:
        file.seek(-100, 2)
        assert file.read(50) == LARGE[-100:-50]


def test_a_private_data_set_opens_with_the_token_alone(served, monkeypatch):
    uri = "hf://datasets/lab/secret/a.bin"
    with pytest.raises(StorageError, match="access refused"):
        storage.read_bytes(uri, QUICK)
    monkeypatch.setenv("HF_TOKEN", "hf_token")
    assert storage.read_bytes(uri, QUICK) == b"secret"


def test_a_commit_that_another_one_overtakes_is_made_again(served):
    served.failures.append(412)
    storage.write_bytes(f"{DATA}/a.json", b"1", QUICK)
    assert storage.read_bytes(f"{DATA}/a.json", QUICK) == b"1"
    served.failures.append(403)
    with pytest.raises(StorageError, match="the hub refuses; set HF_TOKEN"):
        storage.write_bytes(f"{DATA}/b.json", b"1", QUICK)


def test_only_a_branch_of_a_data_set_is_written_to(served):
    for uri in (f"hf://datasets/lab/pages@{COMMIT}/a", "hf://lab/model/a"):
        with pytest.raises(StorageError, match="only a branch of a data set is written to"):
            storage.write_bytes(uri, b"", QUICK)
    with pytest.raises(MissingObjectError):
        storage.size_bytes(f"{DATA}/nothing", QUICK)
    assert write_new(f"{DATA}/lease", b"1", QUICK)
    assert not write_new(f"{DATA}/lease", b"2", QUICK)
    assert shown(f"{DATA}@main/a") == f"{DATA}@main/a"


def test_parquet_goes_there_and_back(served, tmp_path):
    from udfs.storage.parquet import read_table
    from udfs.units.parquet_output import ParquetOutput

    batch = pa.record_batch({"text": [json.dumps(place) for place in range(1000)]})
    output = ParquetOutput(f"{DATA}/run", "data/unit.parquet", batch.schema)
    output.write(batch)
    output.close()
    rows = list(read_table(f"{DATA}/run/data/unit.parquet", ["text"]))
    assert pa.Table.from_batches(rows) == pa.Table.from_batches([batch])
