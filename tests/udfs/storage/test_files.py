import pickle
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.fault_server import end_after, reset_after, serve, shortened_to, stall_after, status
from udfs import storage
from udfs.storage.stream import (
    MissingObjectError,
    Patience,
    ReadSettings,
    StorageError,
    TransientStorageError,
    shown,
)

QUICK = ReadSettings(
    max_attempts=8, min_wait_seconds=0.001, max_wait_seconds=0.005, read_timeout_seconds=0.4
)
CONTENT = random.Random(1).randbytes(700_000)


def read_all(url: str, settings: ReadSettings = QUICK) -> bytes:
    with storage.open_stream(url, settings=settings) as stream:
        return b"".join(iter(lambda: stream.read(10_000), b""))


def test_one_request_reads_an_object_when_nothing_fails():
    with serve(CONTENT) as server:
        with storage.open_stream(server.url, settings=QUICK) as stream:
            assert stream.read() == CONTENT
            assert (stream.size_bytes, stream.etag) == (len(CONTENT), '"one"')
        assert len(server.gets) == 1
        assert "dclm-spark" in server.gets[0]["User-Agent"]


@pytest.mark.parametrize(
    ("faults", "requests"),
    [
        ([status(503)] * 6, 7),
        ([status(429), status(500), status(502)], 4),
        ([reset_after(100_000), reset_after(0), reset_after(5)], 4),
        ([stall_after(123_456, 1.0)], 2),
        ([end_after(300_000), end_after(200_000)], 3),
        ([shortened_to(300_000), shortened_to(200_000)], 3),
        ([reset_after(300_000), status(503), end_after(1), stall_after(2, 1.0)], 5),
    ],
)
def test_a_read_goes_on_where_it_broke(faults, requests):
    with serve(CONTENT, *faults) as server:
        assert read_all(server.url) == CONTENT
        assert len(server.gets) == requests


def test_a_read_that_goes_on_pins_the_version_and_the_offset():
    with serve(CONTENT, end_after(300_000)) as server:
        assert read_all(server.url) == CONTENT
        assert server.gets[1]["Range"] == "bytes=300000-"
        assert server.gets[1]["If-Match"] == '"one"'


def test_an_empty_object_is_read_as_one():
    with serve(b"", status(416)) as server:
        assert read_all(server.url) == b""
        assert [get.get("Range") for get in server.gets] == ["bytes=0-", None]


def test_a_read_may_start_at_an_offset():
    with serve(CONTENT) as server, storage.open_stream(server.url, 600_000, QUICK) as stream:
        assert (stream.tell(), stream.size_bytes) == (600_000, len(CONTENT))
        assert stream.read() == CONTENT[600_000:]


def test_a_server_that_knows_no_ranges_is_read_up_to_the_offset():
    def whole(handler, body, start):
        handler.headers.replace_header("Range", "") if "Range" in handler.headers else None
        handler.begin(handler.state.content, 0)
        handler.wfile.write(handler.state.content)

    with serve(CONTENT, end_after(300_000), whole) as server:
        assert read_all(server.url) == CONTENT


def test_an_object_that_changes_while_read_is_an_error():
    with serve(CONTENT, end_after(300_000)) as server:
        stream = storage.open_stream(server.url, settings=QUICK)
        server.etag = '"two"'
        with pytest.raises(StorageError, match="changed while it was being read"):
            stream.read()


@pytest.mark.parametrize(("code", "words"), [(403, "access refused"), (404, "no such object")])
def test_a_refusal_is_not_retried(code, words):
    with serve(CONTENT, status(code)) as server:
        with pytest.raises(StorageError, match=words):
            read_all(server.url)
        assert len(server.gets) == 1


def test_a_storm_that_does_not_end_is_an_error_that_says_what_to_do():
    with serve(CONTENT, *[status(503)] * 20) as server:
        with pytest.raises(StorageError, match=r"gave up after 8 failures.*503.*run the same"):
            read_all(server.url)
        assert len(server.gets) == 8


def test_progress_renews_patience():
    with serve(CONTENT, *[end_after(30_000)] * 20) as server:
        assert read_all(server.url) == CONTENT
        assert len(server.gets) == 21


def test_retry_after_is_honoured(monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr("udfs.storage.stream.time.sleep", waits.append)
    with serve(b"x", status(429, "7"), status(503, "Wed, 21 Oct 2015 07:28:00 GMT")) as server:
        assert storage.read_bytes(server.url, QUICK) == b"x"
    assert waits[0] == 7.0
    assert waits[1] < 1.0


def test_a_retry_after_of_hours_is_an_error():
    with serve(b"x", status(503, "7200")) as server, pytest.raises(StorageError, match="7200 s"):
        read_all(server.url)


def test_waits_grow_from_the_least_to_the_longest(monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr("udfs.storage.stream.time.sleep", waits.append)
    patience = Patience(ReadSettings(), "s3://b/k")
    for _ in range(99):
        patience.wait(TransientStorageError("503"))
    assert all(1.0 <= wait <= 60.0 for wait in waits)
    assert max(waits[:2]) <= 4.0
    assert max(waits[10:]) > 30.0


def test_a_server_that_is_not_there_is_a_clear_error():
    with serve(b"x") as server:
        url = server.url
    with pytest.raises(StorageError, match="gave up"):
        read_all(url, ReadSettings(max_attempts=2, min_wait_seconds=0.001, max_wait_seconds=0.002))


def test_secrets_in_an_address_are_not_printed():
    with serve(b"x", status(403)) as server:
        secret = server.url + "?X-Amz-Signature=SECRET&Credential=AKIA"
        with pytest.raises(StorageError) as caught:
            read_all(secret)
    assert "SECRET" not in str(caught.value)
    assert "AKIA" not in str(caught.value)
    assert shown("https://user:pass@host/a?b=c") == "https://host/a"


def test_errors_survive_the_way_to_the_driver():
    error = TransientStorageError("broke", 3.0)
    assert str(pickle.loads(pickle.dumps(error))) == "broke"


def test_a_written_file_is_whole_and_nothing_else_is_left(tmp_path):
    target = str(tmp_path / "a" / "b.json")
    storage.write_bytes(target, b"old")
    storage.write_bytes(target, b"new")
    assert storage.read_bytes(target) == b"new"
    assert storage.read_bytes(f"file://{target}") == b"new"
    assert storage.list_files(str(tmp_path)) == [target]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.json"]


def test_a_failed_write_leaves_the_old_content(tmp_path):
    target = str(tmp_path / "b.json")
    storage.write_bytes(target, b"old")
    with pytest.raises(TypeError):
        storage.write_bytes(target, "text")  # type: ignore[arg-type]
    assert storage.read_bytes(target) == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["b.json"]


def test_files_being_written_are_not_listed(tmp_path):
    (tmp_path / ".x.parquet.0123.being-written").write_bytes(b"half")
    assert storage.list_files(str(tmp_path)) == []
    assert storage.list_files(str(tmp_path / "absent")) == []


def test_a_local_file_can_be_uploaded_asked_for_and_deleted(tmp_path):
    source, target = tmp_path / "source", str(tmp_path / "deep" / "target")
    source.write_bytes(b"12345")
    storage.upload(source, target)
    assert storage.exists(target)
    assert storage.size_bytes(target) == 5
    storage.delete(target)
    storage.delete(target)
    assert not storage.exists(target)
    with pytest.raises(MissingObjectError, match="no such file"):
        storage.open_stream(target)


@pytest.mark.parametrize("part", ["../x", "a/../x", "/etc", "a//b", "", ".", "a\\b", "a\0"])
def test_names_that_leave_the_directory_are_refused(part):
    with pytest.raises(StorageError, match="no name inside"):
        storage.join("s3://bucket/run", part)


def test_joined_names_stay_below_the_base():
    assert storage.join("s3://bucket/run/", "a/b", "c") == "s3://bucket/run/a/b/c"
    assert storage.join("/", "a") == "/a"
    assert storage.join("/data") == "/data"


def test_an_unknown_scheme_names_the_allowed_ones():
    allowed = r"allowed are local paths, file, s3, gs, abfss, hf, https, http"
    with pytest.raises(StorageError, match=allowed):
        storage.open_stream("gopher://x/y")
    with pytest.raises(StorageError, match="read only"):
        storage.write_bytes("https://x/y", b"")


def test_parquet_is_read_from_a_remote_file_by_ranges(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": list(range(50_000)), "b": ["x" * 20] * 50_000}), path)
    with serve(path.read_bytes(), status(503), end_after(3)) as server:
        file = storage.open_seekable(server.url, QUICK)
        with file:
            table = pq.ParquetFile(pa.PythonFile(file, mode="r")).read(columns=["a"])
    assert table["a"].to_pylist() == list(range(50_000))
    with storage.open_seekable(str(path)) as file:
        assert pq.ParquetFile(file).metadata.num_rows == 50_000


def test_listed_files_are_sorted(tmp_path):
    for name in ("b", "a/c", "a/b"):
        storage.write_bytes(storage.join(str(tmp_path), name), b"")
    assert storage.list_files(str(tmp_path)) == [
        str(Path(tmp_path, name)) for name in ("a/b", "a/c", "b")
    ]
