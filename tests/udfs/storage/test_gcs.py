"""gs:// against a server that speaks Google's API, on this machine; not run on the cloud."""

import random
from dataclasses import replace

import pytest

from tests.fault_server import end_after, reset_after, serve, shortened_to, stall_after, status
from tests.gcs_store import gcs_store
from tests.s3_proxy import lost_answer, proxy_before, refusal
from udfs import storage
from udfs.storage import gcs
from udfs.storage.stream import MissingObjectError, ReadSettings, StorageError

QUICK = ReadSettings(
    max_attempts=4, min_wait_seconds=0.001, max_wait_seconds=0.005, read_timeout_seconds=1
)
CONTENT = random.Random(1).randbytes(300_000)

pytest.importorskip("google.cloud.storage")


@pytest.fixture(scope="module")
def store():
    with gcs_store() as url:
        yield url


@pytest.fixture
def bucket(store, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", store)
    gcs._clients.clear()
    bucket = gcs.client(QUICK).create_bucket("pool")
    yield "gs://pool"
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", store)
    gcs._clients.clear()
    bucket.delete(force=True)


@pytest.fixture
def proxy(store, bucket, monkeypatch):
    """Meet `proxy.faults` in order, one a request, then the store."""
    faults = []
    with proxy_before(store) as proxy:
        proxy.faults = faults
        proxy.plan = lambda _: faults.pop(0) if faults else None
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
        gcs._clients.clear()
        yield proxy
    gcs._clients.clear()


def test_what_is_written_to_gcs_can_be_read_listed_and_deleted(bucket, tmp_path):
    uri = storage.join(bucket, "run", "a b+c%2F?d#.json")
    storage.write_bytes(uri, b"0123456789", QUICK)
    storage.write_bytes(f"{bucket}/run/empty", b"", QUICK)
    (tmp_path / "shard").write_bytes(CONTENT)
    storage.upload(tmp_path / "shard", f"{bucket}/run/shard", QUICK)
    names = [uri, f"{bucket}/run/empty", f"{bucket}/run/shard"]
    assert storage.list_files(f"{bucket}/run", QUICK) == names
    assert storage.list_files(f"{bucket}/ru", QUICK) == []
    sizes = [10, 0, len(CONTENT)]
    listed = storage.list_objects(f"{bucket}/run", QUICK).values()
    assert [one.size_bytes for one in listed] == sizes
    assert all(one.version for one in listed)
    assert storage.read_bytes(uri, QUICK) == b"0123456789"
    assert storage.read_bytes(f"{bucket}/run/empty", QUICK) == b""
    with storage.open_stream(uri, 4, QUICK) as stream:
        assert (stream.read(), stream.size_bytes) == (b"456789", 10)
    with storage.open_seekable(f"{bucket}/run/shard", QUICK) as file:
        file.seek(-3, 2)
        assert file.read(2) == CONTENT[-3:-1]
    assert (storage.size_bytes(uri, QUICK), storage.exists(uri, QUICK)) == (10, True)
    storage.delete(uri, QUICK)
    storage.delete(uri, QUICK)
    assert not storage.exists(uri, QUICK)


def test_a_missing_object_or_bucket_is_a_clear_error(bucket):
    with pytest.raises(MissingObjectError, match="no such object"):
        storage.open_stream(f"{bucket}/absent", settings=QUICK)
    with pytest.raises(MissingObjectError, match="no such object or bucket"):
        storage.list_files("gs://no-such-bucket/x", QUICK)
    with pytest.raises(StorageError, match="gs://BUCKET/KEY"):
        storage.read_bytes("gs:///x", QUICK)


def test_a_large_file_is_stored_whole(bucket, tmp_path):
    data = random.Random(2).randbytes(9 << 20)
    (tmp_path / "large").write_bytes(data)
    storage.upload(tmp_path / "large", f"{bucket}/large", QUICK)
    assert storage.read_bytes(f"{bucket}/large", QUICK) == data


@pytest.mark.parametrize(
    "faults",
    [
        [refusal(status(503)), refusal(status(429)), refusal(status(500))],
        [reset_after(100_000), reset_after(0), reset_after(5)],
        [end_after(200_000), end_after(1)],
        [shortened_to(100_000), shortened_to(0)],
        [stall_after(123_456, 2.0)],
    ],
)
def test_a_read_goes_on_where_it_broke(proxy, bucket, faults):
    storage.write_bytes(f"{bucket}/warc", CONTENT, QUICK)
    proxy.faults[:] = faults
    reads = len(proxy.requests)
    with storage.open_stream(f"{bucket}/warc", settings=QUICK) as stream:
        assert b"".join(iter(lambda: stream.read(10_000), b"")) == CONTENT
    assert proxy.faults == []
    assert len(proxy.requests) == reads + len(faults) + 1


def test_a_read_that_goes_on_is_of_the_same_generation(bucket):
    storage.write_bytes(f"{bucket}/changing", b"a" * 100, QUICK)
    stream = storage.open_stream(f"{bucket}/changing", settings=QUICK)
    stream.read(10)
    storage.write_bytes(f"{bucket}/changing", b"b" * 100, QUICK)
    stream.close()
    with pytest.raises(StorageError, match="changed while it was being read"):
        stream.read(10)


def test_writes_are_repeated_and_leave_one_whole_object(proxy, bucket, tmp_path):
    (tmp_path / "shard").write_bytes(CONTENT)
    proxy.faults[:] = [refusal(status(503)), lost_answer, refusal(status(429))]
    # A refusal before the body was read may break the connection that the next request takes.
    patient = replace(QUICK, max_attempts=2 * QUICK.max_attempts)
    storage.upload(tmp_path / "shard", f"{bucket}/shard", patient)
    proxy.faults[:] = [refusal(status(503))]
    assert storage.list_files(bucket, QUICK) == [f"{bucket}/shard"]
    proxy.faults[:] = [refusal(status(503))]
    assert storage.size_bytes(f"{bucket}/shard", QUICK) == len(CONTENT)
    assert storage.read_bytes(f"{bucket}/shard", QUICK) == CONTENT


def test_refusals_are_clear_at_once(proxy, bucket):
    actions = (
        lambda: storage.read_bytes(f"{bucket}/a", QUICK),
        lambda: storage.write_bytes(f"{bucket}/a", b"", QUICK),
        lambda: storage.list_files(bucket, QUICK),
    )
    for action in actions:
        proxy.faults[:] = [refusal(status(403))]
        with pytest.raises(StorageError, match=r"access refused .*Storage Object Admin"):
            action()


def test_refused_credentials_are_clear_at_once(proxy, bucket):
    proxy.faults[:] = [refusal(status(401))]
    with pytest.raises(StorageError, match="Google refuses the credentials"):
        storage.read_bytes(f"{bucket}/a", QUICK)


def test_a_storm_that_does_not_end_says_what_to_do(monkeypatch):
    with serve(b"x", *[status(503)] * 4) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url.removesuffix("/some.warc.gz"))
        gcs._clients.clear()
        with pytest.raises(StorageError, match=r"gave up after 4 failures .* max_attempts"):
            storage.read_bytes("gs://pool/x", QUICK)
    gcs._clients.clear()


def test_missing_credentials_say_how_to_give_them(monkeypatch, tmp_path):
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    for name, value in {
        "GOOGLE_APPLICATION_CREDENTIALS": "", "CLOUDSDK_CONFIG": str(tmp_path),
        "NO_GCE_CHECK": "true", "HOME": str(tmp_path),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    gcs._clients.clear()
    with pytest.raises(StorageError, match="no Google credentials were found"):
        storage.read_bytes("gs://pool/x", QUICK)
