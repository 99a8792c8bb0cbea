"""Objects in Azure (abfss://), through azure-storage-blob (the extra `azure`).

Accounts are named as Spark names them; what is asked is their Blob service, which those with and
those without folders have. AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_KEY or
AZURE_STORAGE_SAS_TOKEN are taken where they are set, else what azure-identity finds: a managed
identity on a cluster. The library repeats no request: all retrying is ours.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from udfs.storage.stored_object import StoredObject
from udfs.storage.stream import (
    Body,
    MissingObjectError,
    OutOfRangeError,
    ReadSettings,
    StorageError,
    TransientStorageError,
    bucket_and_key,
    changed_error,
    with_retries,
)

Result = TypeVar("Result")

_CONNECT_TIMEOUT_SECONDS = 20
# A body is read in requests of this size, all of one version of the object.
_PART_SIZE_BYTES = 8 * 1024**2
# One client per process and account: connections must not be shared across a fork.
_clients: dict[tuple[int, str, ReadSettings], Any] = {}


def client(account: str, settings: ReadSettings) -> Any:
    """Return this process's client of an account (`name.dfs.core.windows.net`)."""
    key = (os.getpid(), account, settings)
    if key not in _clients:
        _clients[key] = _new_client(account, settings)
    return _clients[key]


def _new_client(account: str, settings: ReadSettings) -> Any:
    try:
        from azure.storage.blob import BlobServiceClient
    except ImportError:
        raise StorageError(
            "abfss:// needs the packages azure-storage-blob and azure-identity: install "
            "dclm-spark[azure]."
        ) from None
    options: dict[str, Any] = {
        "retry_total": 0,
        "connection_timeout": _CONNECT_TIMEOUT_SECONDS,
        "read_timeout": settings.read_timeout_seconds,
        "max_single_get_size": _PART_SIZE_BYTES,
        "max_chunk_get_size": _PART_SIZE_BYTES,
        "user_agent": settings.user_agent,
    }
    given = os.environ.get("AZURE_STORAGE_CONNECTION_STRING")
    if given:
        return BlobServiceClient.from_connection_string(given, **options)
    address = f"https://{account.replace('.dfs.', '.blob.', 1)}"
    return BlobServiceClient(address, credential=_credential(), **options)


def _credential() -> Any:
    for name in ("AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN"):
        if os.environ.get(name):
            return os.environ[name]
    try:
        from azure.identity import DefaultAzureCredential
    except ImportError:
        raise StorageError(
            "abfss:// without AZURE_STORAGE_KEY needs azure-identity: install dclm-spark[azure]."
        ) from None
    return DefaultAzureCredential()


def container_and_account(uri: str) -> tuple[str, str]:
    """Return the container and the account of an abfss:// URI; StorageError where one is absent."""
    container, found, account = bucket_and_key(uri)[0].partition("@")
    if not found or not container or "." not in account:
        raise StorageError(f"{uri}: expected abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/path.")
    return container, account


def _container(uri: str, settings: ReadSettings) -> Any:
    container, account = container_and_account(uri)
    return client(account, settings).get_container_client(container)


def attempt(uri: str, operation: Callable[[], Result]) -> Result:
    """Return operation(), the errors of Azure's libraries turned into ours."""
    from azure.core.exceptions import (
        AzureError,
        ClientAuthenticationError,
        HttpResponseError,
        ServiceRequestError,
        ServiceResponseError,
    )

    try:
        return operation()
    except (ServiceRequestError, ServiceResponseError) as error:
        raise TransientStorageError(f"the connection broke ({type(error).__name__})") from None
    except HttpResponseError as error:
        if isinstance(error, ClientAuthenticationError) and not error.status_code:
            _clients.clear()
            raise _refused(uri, "no credentials were found or they are not valid") from None
        raise _status_error(uri, error) from None
    except AzureError as error:
        # A body that breaks.
        raise TransientStorageError(f"the answer broke ({type(error).__name__})") from None


def _status_error(uri: str, error: Any) -> StorageError:
    status = int(error.status_code or 0)
    if status in (408, 429) or status >= 500:
        headers = getattr(error.response, "headers", {})
        wait = str(headers.get("Retry-After", ""))
        return TransientStorageError(
            f"the store answers {status}", float(wait) if wait.isdigit() else 0.0
        )
    if status == 404:
        return MissingObjectError(f"{uri}: there is no such object or container.")
    if status in (409, 412):
        return changed_error(uri)
    if status == 416:
        return OutOfRangeError(f"{uri}: it ends before the offset asked for.")
    if status in (401, 403):
        return _refused(uri, f"access refused ({status})")
    return StorageError(f"{uri}: the store answers {status}.")


def _refused(uri: str, reason: str) -> StorageError:
    return StorageError(
        f"{uri}: {reason}. Give the machine's identity the role Storage Blob Data Contributor, or "
        "set AZURE_STORAGE_KEY, then run the same command again."
    )


class _AzureBody:
    def __init__(self, uri: str, download: Any):
        self._uri, self._download = uri, download
        self.etag: str | None = download.properties.etag
        self.size_bytes: int | None = _whole_size(download)

    def read(self, size: int) -> bytes:
        return bytes(attempt(self._uri, lambda: self._download.read(size)))

    def close(self) -> None:
        # Parts are requests of their own; there is no connection to give back.
        return


def _whole_size(download: Any) -> int | None:
    served = str(download.properties.content_range or "").rpartition("/")[2]
    return int(served) if served.isdigit() else int(download.properties.size)


class AzureOpener:
    """Opens one abfss:// object at any offset; a read that goes on pins the object's version."""

    def __init__(self, uri: str, settings: ReadSettings):
        self._uri, self._settings = uri, settings

    def __call__(self, offset: int, etag: str | None, length: int | None) -> Body:
        """Ask for the content from `offset` on."""
        try:
            return self._download(etag, {"offset": offset, "length": length})
        except OutOfRangeError:
            if offset:
                raise
            # An empty object has no byte 0.
            return self._download(etag, {})

    def _download(self, etag: str | None, part: dict[str, int | None]) -> Body:
        from azure.core import MatchConditions

        blob = _blob(self._uri, self._settings)
        pinned = {"etag": etag, "match_condition": MatchConditions.IfNotModified} if etag else {}

        def operation() -> Any:
            return blob.download_blob(max_concurrency=1, **part, **pinned)

        return _AzureBody(self._uri, attempt(self._uri, operation))


def _blob(uri: str, settings: ReadSettings) -> Any:
    return _container(uri, settings).get_blob_client(bucket_and_key(uri)[1])


def _call(uri: str, settings: ReadSettings, operation: Callable[[Any], Result]) -> Result:
    """Return operation(object), with retries."""
    return with_retries(
        uri, settings, lambda: attempt(uri, lambda: operation(_blob(uri, settings)))
    )


def write_bytes(uri: str, data: bytes, settings: ReadSettings) -> None:
    """Store `data` under `uri`, visible only when complete."""
    _call(uri, settings, lambda blob: blob.upload_blob(data, overwrite=True))


def write_new(uri: str, data: bytes, settings: ReadSettings) -> bool:
    """Store `data` unless there is an object."""
    from azure.core.exceptions import ResourceExistsError

    def operation(blob: Any) -> bool:
        try:
            blob.upload_blob(data, overwrite=False)
        except ResourceExistsError:
            return False
        return True

    return _call(uri, settings, operation)


def upload_file(local_path: str, uri: str, settings: ReadSettings) -> None:
    """Store a local file under `uri`: in parts where it is large, visible only when complete."""

    def operation(blob: Any) -> None:
        with Path(local_path).open("rb") as file:
            blob.upload_blob(file, overwrite=True)

    _call(uri, settings, operation)


def size_bytes(uri: str, settings: ReadSettings) -> int:
    """Return the size of the object."""
    return _call(uri, settings, lambda blob: int(blob.get_blob_properties().size))


def delete(uri: str, settings: ReadSettings) -> None:
    """Remove the object; a missing one is no error."""
    try:
        _call(uri, settings, lambda blob: blob.delete_blob())
    except MissingObjectError:
        return


def list_objects(uri: str, settings: ReadSettings) -> Iterator[tuple[str, StoredObject]]:
    """Yield the keys below the "directory" `uri` and what is there, in the store's order.

    Accounts with folders list these as objects, which are left out.
    """
    key = bucket_and_key(uri)[1].rstrip("/")
    prefix = f"{key}/" if key else None

    def operation() -> list[tuple[str, StoredObject]]:
        found = _container(uri, settings).list_blobs(name_starts_with=prefix, include=["metadata"])
        files = (one for one in found if (one.metadata or {}).get("hdi_isfolder") != "true")
        return [(one.name, StoredObject(one.size, str(one.etag))) for one in files]

    yield from with_retries(uri, settings, lambda: attempt(uri, operation))
