"""Files by URI: local paths (or file://), object stores, https:// and http:// (read only)."""

import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from udfs.storage.local import TEMPORARY_SUFFIX, LocalBody, Replacement, local_path, open_local
from udfs.storage.stored_object import StoredObject
from udfs.storage.stream import (
    Body,
    MissingObjectError,
    Opener,
    ReadSettings,
    StorageError,
    Stream,
    bucket_and_key,
    shown,
    with_retries,
)

__all__ = [
    "MissingObjectError", "ReadSettings", "StorageError", "StoredObject", "Stream", "delete",
    "exists", "is_local", "join", "list_files", "list_objects", "local_path", "open_seekable",
    "open_stream", "read_bytes", "size_bytes", "upload", "write_bytes",
]  # fmt: skip

_DEFAULT = ReadSettings()
_SCHEMES = ("file", "s3", "gs", "abfss", "hf", "https", "http")
_STORES = ("s3", "gs", "abfss", "hf")


def open_stream(uri: str, offset: int = 0, settings: ReadSettings = _DEFAULT) -> Stream:
    """Open `uri` for one forward read from byte `offset`: a single request while nothing breaks.

    Raises StorageError (MissingObjectError where there is nothing) with a message for the user.
    """
    return Stream(uri, _opener(uri, settings), offset, settings)


def read_bytes(uri: str, settings: ReadSettings = _DEFAULT) -> bytes:
    """Return the whole content of `uri`; meant for small files."""
    with open_stream(uri, settings=settings) as stream:
        return stream.read()


def open_seekable(uri: str, settings: ReadSettings = _DEFAULT) -> BinaryIO:
    """Return a seekable binary file, as Parquet readers want it; remote reads are ranged."""
    if is_local(uri):
        return open_local(uri)
    return cast(BinaryIO, _RangedFile(uri, settings))


def write_bytes(uri: str, data: bytes, settings: ReadSettings = _DEFAULT) -> None:
    """Store `data` under `uri`; a reader sees the old content or all of the new."""
    if is_local(uri):
        with Replacement(local_path(uri)) as file:
            file.write(data)
    else:
        _object_store(uri, "write to").write_bytes(uri, data, settings)


def upload(path: str | Path, uri: str, settings: ReadSettings = _DEFAULT) -> None:
    """Store the local file `path` under `uri`; a reader sees the old content or all of the new."""
    if is_local(uri):
        with Path(path).open("rb") as source, Replacement(local_path(uri)) as file:
            shutil.copyfileobj(source, file, 1 << 20)
        return
    _object_store(uri, "upload to").upload_file(str(path), uri, settings)


def list_files(uri: str, settings: ReadSettings = _DEFAULT) -> list[str]:
    """Return the URIs of all files below the directory `uri`, sorted; [] where there is none.

    Files that are still being written are left out.
    """
    if is_local(uri):
        root = local_path(uri)
        found = (Path(folder) / name for folder, _, names in os.walk(root) for name in names)
        return sorted(str(file) for file in found if file.suffix != TEMPORARY_SUFFIX)
    return list(list_objects(uri, settings))


def list_objects(uri: str, settings: ReadSettings = _DEFAULT) -> dict[str, StoredObject]:
    """Return what the listing of a store tells of the files below a folder, by their URIs.

    The URIs are those of `list_files`.
    """
    found = _object_store(uri, "list").list_objects(uri, settings)
    bucket = f"{uri.partition('://')[0]}://{bucket_and_key(uri)[0]}"
    return dict(sorted((f"{bucket}/{key}", one) for key, one in found if not key.endswith("/")))


def exists(uri: str, settings: ReadSettings = _DEFAULT) -> bool:
    """Say whether a file (not a directory) is stored at `uri`."""
    try:
        size_bytes(uri, settings)
    except MissingObjectError:
        return False
    return True


def size_bytes(uri: str, settings: ReadSettings = _DEFAULT) -> int:
    """Return the size of the file at `uri`; raise MissingObjectError where there is none."""
    if is_local(uri):
        path = local_path(uri)
        if not path.is_file():
            raise MissingObjectError(f"{path}: there is no such file.")
        return path.stat().st_size
    if _scheme(uri) in _STORES:
        return _object_store(uri, "read").size_bytes(uri, settings)
    size = _http_size(uri, settings)
    if size is None:
        raise StorageError(f"{shown(uri)}: the server does not say how large it is.")
    return size


def delete(uri: str, settings: ReadSettings = _DEFAULT) -> None:
    """Remove the file at `uri`; a missing file is no error."""
    if is_local(uri):
        local_path(uri).unlink(missing_ok=True)
    else:
        _object_store(uri, "delete").delete(uri, settings)


def absolute(location: str) -> str:
    """Return a local path as an absolute one; URIs stay as they are."""
    if "://" in location:
        return location.rstrip("/")
    return str(Path(location).absolute())


def join(base: str, *parts: str) -> str:
    """Return `base`/`parts`; a part that leaves `base` (absolute, `..`) is refused.

    The query of a web address stays at the end: some stores sign a whole folder.
    """
    for part in parts:
        segments = part.split("/")
        if "\0" in part or "\\" in part or any(name in ("", ".", "..") for name in segments):
            raise StorageError(
                f"{part!r} is no name inside {shown(base)}: allowed are relative names "
                "without '..', backslashes, empty or '.' parts."
            )
    query = ""
    if base.startswith(("http://", "https://")):
        base, mark, query = base.partition("?")
        query = mark + query
    return ("/".join([base.rstrip("/"), *parts]) or "/") + query


def is_local(uri: str) -> bool:
    """Say whether `uri` is a local path or file://; an unknown scheme is an error."""
    return _scheme(uri) == "file"


def _scheme(uri: str) -> str:
    scheme = uri.partition("://")[0].lower() if "://" in uri else "file"
    if scheme == "s3a":
        scheme = "s3"
    if scheme not in _SCHEMES or not uri:
        raise StorageError(
            f"{shown(uri)!r} cannot be read: allowed are local paths, {', '.join(_SCHEMES)}."
        )
    return scheme


def _opener(uri: str, settings: ReadSettings) -> Opener:
    scheme = _scheme(uri)
    if scheme == "file":
        return lambda offset, etag, length: LocalBody(uri, offset)
    if scheme == "s3":
        from udfs.storage.s3 import S3Opener

        return S3Opener(uri, settings)
    if scheme == "gs":
        from udfs.storage.gcs import GcsOpener

        return GcsOpener(uri, settings)
    if scheme == "abfss":
        from udfs.storage.azure import AzureOpener

        return AzureOpener(uri, settings)
    if scheme == "hf":
        from udfs.storage.hub_files import hub_opener

        return hub_opener(uri, settings)
    from udfs.storage.http import HttpOpener

    return HttpOpener(uri, settings)


def _http_size(uri: str, settings: ReadSettings) -> int | None:
    from udfs.storage.http import content_length, request

    with with_retries(uri, settings, lambda: request(uri, "HEAD", {}, settings)) as response:
        return content_length(response)


class _ObjectStore(Protocol):
    """What the modules of the stores have in common: s3, gcs, azure, hub_files."""

    def write_bytes(self, uri: str, data: bytes, settings: ReadSettings) -> None: ...
    def upload_file(self, local_path: str, uri: str, settings: ReadSettings) -> None: ...
    def size_bytes(self, uri: str, settings: ReadSettings) -> int: ...
    def delete(self, uri: str, settings: ReadSettings) -> None: ...
    def list_objects(
        self, uri: str, settings: ReadSettings
    ) -> Iterator[tuple[str, StoredObject]]: ...


def _object_store(uri: str, action: str) -> _ObjectStore:
    scheme = _scheme(uri)
    if scheme == "s3":
        from udfs.storage import s3

        return s3
    if scheme == "gs":
        from udfs.storage import gcs

        return gcs
    if scheme == "abfss":
        from udfs.storage import azure

        return azure
    if scheme == "hf":
        from udfs.storage import hub_files

        return hub_files
    raise StorageError(
        f"Cannot {action} {shown(uri)}: http(s) is read only; use s3://, gs://, abfss://, "
        "hf://datasets/ or a path."
    )


class _RangedFile(io.RawIOBase):
    """Random access to a remote object; every read is one ranged request of that length."""

    def __init__(self, uri: str, settings: ReadSettings):
        self._uri, self._settings = uri, settings
        self._opener = _opener(uri, settings)
        self._size, self._position = size_bytes(uri, settings), 0
        self._etag: str | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), self._size - self._position)
        if wanted <= 0:
            return 0
        with Stream(self._uri, self._ranged(wanted), self._position, self._settings) as stream:
            filled = 0
            while filled < wanted and (data := stream.read(wanted - filled)):
                view[filled : filled + len(data)] = data
                filled += len(data)
        self._etag = stream.etag
        self._position += filled
        return filled

    def _ranged(self, length: int) -> Opener:
        end = self._position + length

        def open_range(offset: int, etag: str | None, _: int | None) -> Body:
            return self._opener(offset, etag or self._etag, end - offset)

        return open_range
