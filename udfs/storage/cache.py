"""Models and lists by URI, fetched once per host and checked before use."""

import fcntl
import hashlib
import importlib.resources
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from udfs import storage
from udfs.storage.stream import shown, without_secrets

CACHE_VARIABLE = "DCLM_SPARK_CACHE"
ATTEMPTS = 3
_HUB = "https://huggingface.co"
_CHUNK_SIZE_BYTES = 1 << 20


class ChecksumError(ValueError):
    """A file's content is not what its SHA-256 says."""


def fetch(uri: str, sha256: str | None = None, cache_directory: Path | None = None) -> Path:
    """Return a local file with the content of `uri`, verified against `sha256` where given.

    Local paths and `package://module/file` are used where they lie. s3://, gs://, https:// and
    `hf://organisation/repository/file` are downloaded once per host, under a lock, into the folder
    named by DCLM_SPARK_CACHE (default ~/.cache/dclm_spark). Raises ChecksumError when the content
    is another one, also after a fresh download.
    """
    if uri.startswith("package://"):
        return _verified(_in_package(uri), uri, sha256)
    if storage.is_local(uri):
        path = storage.local_path(uri)
        if not path.exists():
            raise storage.MissingObjectError(f"{uri}: there is no such file; check the path")
        return _verified(path, uri, sha256)
    return _downloaded(uri, sha256, cache_directory or _default_directory())


def _default_directory() -> Path:
    return Path(os.environ.get(CACHE_VARIABLE, Path.home() / ".cache" / "dclm_spark"))


def _in_package(uri: str) -> Path:
    package, _, name = uri.removeprefix("package://").partition("/")
    try:
        return Path(str(importlib.resources.files(package))) / name
    except ModuleNotFoundError:
        raise ValueError(f"{uri}: the package {package!r} is not installed; install it") from None


def _downloaded(uri: str, sha256: str | None, directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256(f"{without_secrets(uri)}\0{sha256}".encode()).hexdigest()[:32]
    target = directory / f"{key}-{shown(uri).rsplit('/', 1)[-1]}"
    with _locked(directory / f"{key}.lock"):
        if target.exists():
            return target
        for attempt in range(1, ATTEMPTS + 1):
            path = _download(uri, directory)
            try:
                _verified(path, uri, sha256).replace(target)
            except ChecksumError:
                path.unlink()
                if attempt == ATTEMPTS:
                    raise
            else:
                break
    return target


def _download(uri: str, directory: Path) -> Path:
    handle, name = tempfile.mkstemp(dir=directory, suffix=".partial")
    with os.fdopen(handle, "wb") as file, storage.open_stream(_resolved(uri)) as stream:
        while chunk := stream.read(_CHUNK_SIZE_BYTES):
            file.write(chunk)
    return Path(name)


def _resolved(uri: str) -> str:
    """Return the https address of an hf:// URI; others as they are."""
    if not uri.startswith("hf://"):
        return uri
    organisation, repository, name = uri.removeprefix("hf://").split("/", 2)
    return f"{_HUB}/{organisation}/{repository}/resolve/main/{name}"


def _verified(path: Path, uri: str, sha256: str | None) -> Path:
    if sha256 is None:
        return path
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise ChecksumError(
            f"{shown(uri)}: SHA-256 is {found}, expected {sha256}; the file was changed or "
            "damaged: check the URI, or give the checksum of the new file"
        )
    return path


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock between the processes of this host."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)
