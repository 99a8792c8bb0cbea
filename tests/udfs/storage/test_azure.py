"""abfss:// against a server that speaks Azure's protocol, on this machine; not run on Azure."""

import random

import pytest

from tests.azure_store import ACCOUNT, azure_store
from udfs import storage
from udfs.storage import azure
from udfs.storage.exclusive import write_new
from udfs.storage.stream import (
    ChangedObjectError,
    MissingObjectError,
    OutOfRangeError,
    ReadSettings,
    StorageError,
    shown,
    without_secrets,
)

pytest.importorskip("azure.storage.blob")
QUICK = ReadSettings(
    max_attempts=3, min_wait_seconds=0.001, max_wait_seconds=0.005, read_timeout_seconds=5
)
CONTENT = random.Random(1).randbytes(20_000_000)
ROOT = f"abfss://pool@{ACCOUNT}.dfs.core.windows.net"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with azure_store(tmp_path_factory.mktemp("azure")) as connection:
        yield connection


@pytest.fixture
def container(server, monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", server)
    azure._clients.clear()
    account = azure.client(f"{ACCOUNT}.dfs.core.windows.net", QUICK)
    account.create_container("pool")
    yield ROOT
    account.delete_container("pool")
    azure._clients.clear()


def test_what_is_written_to_azure_is_read_listed_and_deleted(container, tmp_path):
    uri = storage.join(container, "run", "a b+c%2F?d#.json")
    storage.write_bytes(uri, b"0123456789", QUICK)
    storage.write_bytes(f"{container}/run/empty", b"", QUICK)
    (tmp_path / "shard").write_bytes(CONTENT)
    storage.upload(tmp_path / "shard", f"{container}/run/shard", QUICK)
    names = [uri, f"{container}/run/empty", f"{container}/run/shard"]
    assert storage.list_files(f"{container}/run", QUICK) == names
    assert storage.list_files(f"{container}/ru", QUICK) == []
    sizes = [10, 0, len(CONTENT)]
    listed = storage.list_objects(f"{container}/run", QUICK).values()
    assert [one.size_bytes for one in listed] == sizes
    assert all(one.version for one in listed)
    assert storage.read_bytes(uri, QUICK) == b"0123456789"
    assert storage.read_bytes(names[1], QUICK) == b""
    assert storage.read_bytes(names[2], QUICK) == CONTENT
    assert storage.size_bytes(names[2], QUICK) == len(CONTENT)
    storage.delete(uri, QUICK)
    storage.delete(uri, QUICK)
    assert storage.list_files(container, QUICK) == names[1:]


def test_a_read_begins_at_any_byte_and_ends_where_the_object_does(container):
    uri = f"{container}/shard"
    storage.write_bytes(uri, CONTENT, QUICK)
    with storage.open_stream(uri, 15_000_000, QUICK) as stream:
        assert stream.read() == CONTENT[15_000_000:]
    with storage.open_seekable(uri, QUICK) as file:
        file.seek(-100, 2)
        assert file.read(50) == CONTENT[-100:-50]
    with pytest.raises(OutOfRangeError):
        azure.AzureOpener(uri, QUICK)(len(CONTENT) + 1, None, None)


def test_an_object_that_changes_while_it_is_read_is_noticed(container):
    uri = f"{container}/shard"
    storage.write_bytes(uri, CONTENT, QUICK)
    first = azure.AzureOpener(uri, QUICK)(0, None, None)
    assert first.size_bytes == len(CONTENT)
    storage.write_bytes(uri, CONTENT[::-1], QUICK)
    with pytest.raises(ChangedObjectError):
        azure.AzureOpener(uri, QUICK)(10, first.etag, None)


def test_of_several_writers_of_a_new_object_one_is_the_first(container):
    assert write_new(f"{container}/lease", b"1", QUICK)
    assert not write_new(f"{container}/lease", b"2", QUICK)
    assert storage.read_bytes(f"{container}/lease", QUICK) == b"1"


def test_what_is_missing_is_told_from_what_is_refused(container, monkeypatch):
    with pytest.raises(MissingObjectError, match="no such object or container"):
        storage.read_bytes(f"{container}/nothing", QUICK)
    elsewhere = container.replace("pool@", "none@")
    with pytest.raises(MissingObjectError):
        storage.list_files(elsewhere, QUICK)
    given = azure.os.environ["AZURE_STORAGE_CONNECTION_STRING"]
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", given.replace("Eby8", "AAAA"))
    azure._clients.clear()
    with pytest.raises(StorageError, match="Storage Blob Data Contributor"):
        storage.read_bytes(f"{container}/nothing", QUICK)
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", given)
    azure._clients.clear()


def test_a_server_that_does_not_answer_is_asked_again(monkeypatch):
    from tests.azure_store import connection

    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", connection("http://127.0.0.1:9"))
    azure._clients.clear()
    with pytest.raises(StorageError, match="gave up after 3 failures"):
        storage.write_bytes(f"{ROOT}/a", b"", QUICK)
    azure._clients.clear()


@pytest.mark.parametrize("uri", ["abfss://pool/a", "abfss://@account.dfs.core.windows.net/a"])
def test_an_address_without_container_or_account_is_refused(uri):
    with pytest.raises(StorageError, match=r"expected abfss://CONTAINER@ACCOUNT"):
        storage.size_bytes(uri, QUICK)


def test_the_container_is_no_secret():
    assert shown(f"{ROOT}/a") == without_secrets(f"{ROOT}/a") == f"{ROOT}/a"
