import pytest

from tests.fault_server import s3_error, serve, status
from udfs import storage
from udfs.storage import s3
from udfs.storage.stream import MissingObjectError, ReadSettings, StorageError

QUICK = ReadSettings(max_attempts=4, min_wait_seconds=0.001, max_wait_seconds=0.005)


@pytest.fixture(scope="module")
def store():
    server_module = pytest.importorskip("moto.server")
    server = server_module.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def bucket(store, aws):
    aws.setenv("AWS_ENDPOINT_URL", store)
    client = s3.client(QUICK)
    client.create_bucket(Bucket="pool")
    yield "s3://pool"
    for key, _ in list(s3.list_objects("s3://pool", QUICK)):
        client.delete_object(Bucket="pool", Key=key)
    client.delete_bucket(Bucket="pool")


@pytest.fixture
def aws(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "verysecret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    s3._clients.clear()
    yield monkeypatch
    s3._clients.clear()


def test_what_is_written_to_s3_can_be_read_listed_and_deleted(bucket, tmp_path):
    uri = storage.join(bucket, "run", "a.json")
    storage.write_bytes(uri, b"0123456789", QUICK)
    (tmp_path / "shard").write_bytes(b"shard")
    storage.upload(tmp_path / "shard", f"{bucket}/run/shard", QUICK)
    assert storage.list_files(f"{bucket}/run", QUICK) == [uri, f"{bucket}/run/shard"]
    assert storage.list_files(f"{bucket}/ru", QUICK) == []
    listed = storage.list_objects(f"{bucket}/run", QUICK).values()
    assert [one.size_bytes for one in listed] == [10, 5]
    assert all(one.version for one in listed)
    assert storage.list_files("s3a://pool/run", QUICK)[0] == "s3a://pool/run/a.json"
    assert storage.read_bytes(uri, QUICK) == b"0123456789"
    with storage.open_stream(uri, 4, QUICK) as stream:
        assert (stream.read(), stream.size_bytes) == (b"456789", 10)
    with storage.open_seekable(uri, QUICK) as file:
        file.seek(-3, 2)
        assert file.read(2) == b"78"
    assert (storage.size_bytes(uri, QUICK), storage.exists(uri, QUICK)) == (10, True)
    storage.write_bytes(storage.join(bucket, "empty"), b"", QUICK)
    assert storage.read_bytes(storage.join(bucket, "empty"), QUICK) == b""
    storage.delete(uri, QUICK)
    storage.delete(uri, QUICK)
    assert not storage.exists(uri, QUICK)


def test_a_missing_key_or_bucket_is_a_clear_error(bucket):
    with pytest.raises(MissingObjectError, match="no such object"):
        storage.open_stream(f"{bucket}/absent", settings=QUICK)
    with pytest.raises(MissingObjectError, match="no such object or bucket"):
        storage.list_files("s3://no-such-bucket/x", QUICK)


def test_an_object_replaced_while_read_is_an_error(bucket, monkeypatch):
    uri = f"{bucket}/changing"
    storage.write_bytes(uri, b"a" * 100, QUICK)
    stream = storage.open_stream(uri, settings=QUICK)
    stream.read(10)
    storage.write_bytes(uri, b"b" * 100, QUICK)
    stream.close()
    with pytest.raises(StorageError, match="changed while it was being read"):
        stream.read(10)


def test_throttling_and_broken_bodies_are_retried(aws):
    from tests.fault_server import end_after, reset_after

    content = bytes(range(256)) * 1000
    faults = [s3_error(503, "SlowDown"), end_after(99_999), status(500), reset_after(5_000)]
    with serve(content, *faults) as server:
        aws.setenv("AWS_ENDPOINT_URL", server.url.removesuffix("/some.warc.gz"))
        with storage.open_stream("s3://pool/some.warc.gz", settings=QUICK) as stream:
            assert b"".join(iter(lambda: stream.read(10_000), b"")) == content
        ranges = [get.get("Range") for get in server.gets[:3]]
        assert ranges == ["bytes=0-", "bytes=0-", "bytes=99999-"]
        assert server.gets[2]["If-Match"] == '"one"'


@pytest.mark.parametrize(
    ("code", "name", "words"),
    [
        (400, "ExpiredToken", "credentials have expired"),
        (403, "AccessDenied", "access refused"),
        (403, "SignatureDoesNotMatch", "access refused"),
    ],
)
def test_refusals_are_clear_at_once_and_tell_no_secret(aws, code, name, words):
    with serve(b"x", s3_error(code, name)) as server:
        aws.setenv("AWS_ENDPOINT_URL", server.url.removesuffix("/some.warc.gz"))
        with pytest.raises(StorageError, match=words) as caught:
            storage.open_stream("s3://pool/some.warc.gz", settings=QUICK)
        assert len(server.gets) == 1
    assert "verysecret" not in str(caught.value)


def test_missing_credentials_say_how_to_give_them(aws):
    aws.delenv("AWS_ACCESS_KEY_ID")
    aws.delenv("AWS_SECRET_ACCESS_KEY")
    aws.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    with pytest.raises(StorageError, match="no AWS credentials"):
        storage.open_stream("s3://pool/x", settings=QUICK)
