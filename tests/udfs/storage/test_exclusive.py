"""Of several writers of one name, one is the first."""

import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.s3_store import CREDENTIALS, s3_store
from udfs import storage
from udfs.storage import gcs, s3
from udfs.storage.exclusive import write_new
from udfs.storage.stream import ReadSettings

WRITERS = 8
QUICK = ReadSettings(max_attempts=4, min_wait_seconds=0.001, max_wait_seconds=0.005)


def winners(uri):
    with ThreadPoolExecutor(WRITERS) as pool:
        stored = list(pool.map(lambda n: write_new(uri, f"{n}".encode(), QUICK), range(WRITERS)))
    return [str(n).encode() for n, one in enumerate(stored) if one]


def check_first_wins(uri):
    (winner,) = winners(uri)
    assert storage.read_bytes(uri) == winner
    assert not write_new(uri, b"later")
    storage.delete(uri)
    assert write_new(uri, b"again")
    assert storage.read_bytes(uri) == b"again"


def test_one_of_many_writers_creates_a_local_file(tmp_path):
    check_first_wins(str(tmp_path / "folder" / "name"))
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["name"]


@pytest.fixture
def aws(monkeypatch):
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    s3._clients.clear()
    yield monkeypatch
    s3._clients.clear()


def test_one_of_many_writers_creates_an_object_in_s3(tmp_path, aws):
    with s3_store(tmp_path) as url:
        aws.setenv("AWS_ENDPOINT_URL", url)
        # moto's servers of one process share their buckets: no other test has this one.
        s3.client(QUICK).create_bucket(Bucket="exclusive")
        check_first_wins("s3://exclusive/run/.driver")


def test_a_store_without_conditional_writes_is_written_to_all_the_same(aws):
    met = []

    class Store(BaseHTTPRequestHandler):
        def do_PUT(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            met.append(self.headers.get("If-None-Match"))
            self.send_response(501 if met[-1] else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Store) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        aws.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        assert write_new("s3://pool/name", b"x", QUICK)
        server.shutdown()
    assert met == ["*", None]


def test_one_of_many_writers_creates_an_object_in_gcs(monkeypatch):
    pytest.importorskip("google.cloud.storage")
    from tests.gcs_store import gcs_store

    with gcs_store() as url:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        gcs._clients.clear()
        gcs.client(QUICK).create_bucket("pool")
        check_first_wins("gs://pool/run/.driver")
        gcs._clients.clear()
