"""Models and lists: fetched once per host, and never used when they are not what was asked for."""

import hashlib
import multiprocessing
from pathlib import Path

import pytest

from tests.fault_server import serve
from udfs.storage.cache import ChecksumError, fetch

CONTENT = bytes(range(256)) * 4096
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def fetched(uri: str, directory: str) -> bytes:
    return fetch(uri, DIGEST, Path(directory)).read_bytes()


def test_four_processes_of_a_host_download_a_model_once(tmp_path):
    with serve(CONTENT) as server:
        with multiprocessing.get_context("fork").Pool(4) as pool:
            results = pool.starmap(fetched, [(server.url, str(tmp_path))] * 4, chunksize=1)
        assert all(result == CONTENT for result in results)
        assert len(server.gets) == 1


def test_a_download_with_another_checksum_is_refused_and_not_kept(tmp_path):
    with serve(CONTENT) as server, pytest.raises(ChecksumError, match="expected 0000"):
        fetch(server.url, "0" * 64, tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_a_local_file_with_another_checksum_is_refused(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes(CONTENT)
    assert fetch(str(path), DIGEST) == path
    path.write_bytes(CONTENT + b"x")
    with pytest.raises(ChecksumError, match="changed or damaged"):
        fetch(str(path), DIGEST)
