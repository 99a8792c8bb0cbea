"""Files on this machine: read from an offset on, and replaced in one step."""

import os
import secrets
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from udfs.storage.stream import MissingObjectError, StorageError

TEMPORARY_SUFFIX = ".being-written"


def local_path(uri: str) -> Path:
    """Return the path of a local URI."""
    if uri.startswith("file:"):
        return Path(unquote(urlsplit(uri).path))
    return Path(uri)


def open_local(uri: str) -> BinaryIO:
    """Open a local file; raise StorageError (MissingObjectError where there is nothing)."""
    try:
        return local_path(uri).open("rb")
    except (FileNotFoundError, NotADirectoryError):
        raise MissingObjectError(f"{local_path(uri)}: there is no such file.") from None
    except OSError as error:
        raise StorageError(f"{local_path(uri)}: {error.strerror}.") from None


class LocalBody:
    """The bytes of a local file from an offset on."""

    def __init__(self, uri: str, offset: int):
        self._file = open_local(uri)
        status = os.fstat(self._file.fileno())
        self.size_bytes: int | None = status.st_size
        self.etag: str | None = f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}"
        self._file.seek(offset)

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes."""
        return self._file.read(size)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Replacement:
    """A file that takes the place of `path` when the block ends without an error."""

    def __init__(self, path: Path):
        self._path = path
        self._temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}{TEMPORARY_SUFFIX}")

    def __enter__(self) -> BinaryIO:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._temporary.open("wb")
        return self._file

    def __exit__(self, kind: object, *_: object) -> None:
        with self._file:
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())
        if kind is not None:
            self._temporary.unlink(missing_ok=True)
            return
        self._temporary.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
