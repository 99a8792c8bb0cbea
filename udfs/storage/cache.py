"""Models and lists by URI, fetched once per host and checked before use."""

import fcntl
import hashlib
import importlib.resources
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from udfs import storage
from udfs.home_folder import temporary_folder, writable_home
from udfs.storage import hub
from udfs.storage.stream import shown, without_secrets

CACHE_VARIABLE = "DCLM_SPARK_CACHE"
ATTEMPTS = 3
_CHUNK_SIZE_BYTES = 1 << 20


class ChecksumError(ValueError):
    """A file's content is not what its SHA-256 says."""


def fetch(uri: str, sha256: str | None = None, cache_directory: Path | None = None) -> Path:
    """Return a local file with the content of `uri`, verified against `sha256` where given.

    Local paths and `package://module/file` are used where they lie. s3://, gs:// and https:// are
    downloaded once per host, under a lock, into the folder named by DCLM_SPARK_CACHE (default
    ~/.cache/dclm_spark); `hf://organisation/repository@revision/file` is kept by the hub's client.
    Raises ChecksumError when the content is another one, also after a fresh download.
    """
    if uri.startswith("package://"):
        return _verified(_in_package(uri), uri, sha256)
    if uri.startswith(hub.SCHEME) and sha256 is None:
        return hub.download(uri, _hub_directory(cache_directory))
    if not uri.startswith(hub.SCHEME) and storage.is_local(uri):
        path = storage.local_path(uri)
        if not path.exists():
            raise storage.MissingObjectError(f"{uri}: there is no such file; check the path")
        return _verified(path, uri, sha256)
    return _downloaded(uri, sha256, cache_directory)


def default_directory() -> Path:
    """Return the folder of this host's downloads: one that can be written, below the home or not.

    Executors may run as a user without a home folder.
    """
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named)
    home = writable_home()
    if home is not None:
        return home / ".cache" / "dclm_spark"
    return temporary_folder("dclm_spark")


def _hub_directory(given: Path | None) -> Path | None:
    """Return where the hub's client keeps files; None for the client's own choice."""
    if given is not None:
        return given / "hub"
    if any(os.environ.get(name) for name in hub.CACHE_VARIABLES):
        return None
    if writable_home() is not None and not os.environ.get(CACHE_VARIABLE):
        return None
    return default_directory() / "hub"


def _in_package(uri: str) -> Path:
    package, _, name = uri.removeprefix("package://").partition("/")
    try:
        path = Path(str(importlib.resources.files(package))) / name
    except ModuleNotFoundError:
        raise ValueError(f"{uri}: the package {package!r} is not installed; install it") from None
    if not path.is_file():
        raise storage.MissingObjectError(f"{uri}: the package {package!r} has no file {name!r}")
    return path


def _downloaded(uri: str, sha256: str | None, given: Path | None) -> Path:
    directory = given or default_directory()
    directory.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256(f"{without_secrets(uri)}\0{sha256}".encode()).hexdigest()[:32]
    target = directory / f"{key}-{shown(uri).rsplit('/', 1)[-1]}"
    with _locked(directory / f"{key}.lock"):
        if target.exists():
            return target
        for attempt in range(1, ATTEMPTS + 1):
            path = (
                hub.download(uri, _hub_directory(given), again=attempt > 1)
                if uri.startswith(hub.SCHEME)
                else _download(uri, directory)
            )
            try:
                _publish(_verified(path, uri, sha256), target)
            except ChecksumError:
                if not uri.startswith(hub.SCHEME):
                    path.unlink()
                if attempt == ATTEMPTS:
                    raise
            else:
                break
    return target


def _download(uri: str, directory: Path) -> Path:
    handle, name = tempfile.mkstemp(dir=directory, suffix=".partial")
    with os.fdopen(handle, "wb") as file, storage.open_stream(uri) as stream:
        while chunk := stream.read(_CHUNK_SIZE_BYTES):
            file.write(chunk)
    return Path(name)


def _publish(path: Path, target: Path) -> None:
    """Give a verified download its final name; the hub's file stays in the hub's cache."""
    if path.parent == target.parent:
        path.replace(target)
        return
    # Replaced, not made: a link to a file that was deleted from the hub's cache may be there.
    link = target.with_name(f"{target.name}.link")
    link.unlink(missing_ok=True)
    link.symlink_to(path.absolute())
    link.replace(target)


def content_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hex digits; it is read again only where it changed."""
    status = path.stat()
    return _content_sha256(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _content_sha256(path: Path, modified_ns: int, size_bytes: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
