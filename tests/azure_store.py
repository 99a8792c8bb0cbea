"""A server that speaks Azure's Blob protocol, on this machine: Azurite, of npm's `azurite`."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_START_SECONDS = 60
# The account and key that Azurite knows, as its documentation says them.
ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def program() -> str:
    """Return the server's program: AZURITE, or the one on the path; skip without."""
    found = os.environ.get("AZURITE") or shutil.which("azurite-blob")
    return found or pytest.skip("azurite-blob is not installed: npm install -g azurite")


@contextmanager
def azure_store(folder: Path) -> Iterator[str]:
    """Run a store below `folder`; give its connection string."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [
            program(), "--silent", "--skipApiVersionCheck", "--disableTelemetry",
            "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder),
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait(port, process)
        yield connection(f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()


def connection(url: str) -> str:
    return (
        f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={_KEY};"
        f"BlobEndpoint={url}/{ACCOUNT};"
    )


def _wait(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=2).close()
            return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError("azurite-blob did not start")
