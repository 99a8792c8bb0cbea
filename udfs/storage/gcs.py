"""Objects in Google Cloud Storage (gs://), through google-cloud-storage (the extra `gcs`).

The credentials are Google's application defaults: on Dataproc the cluster's service account, no
keys. The library repeats no request here: all retrying is ours (`udfs.storage.stream`). Its
downloads are pushed or cut into chunks; a body is read here as one stream of the JSON API instead.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import quote

from udfs.storage.stored_object import StoredObject
from udfs.storage.stream import (
    Body,
    ChangedObjectError,
    MissingObjectError,
    OutOfRangeError,
    ReadSettings,
    StorageError,
    TransientStorageError,
    bucket_and_key,
    byte_range,
    changed_error,
    with_retries,
)

Result = TypeVar("Result")

_CONNECT_TIMEOUT_SECONDS = 20
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
# One client per process: connections must not be shared across a fork.
_clients: dict[tuple[int, ReadSettings], Any] = {}


def client(settings: ReadSettings) -> Any:
    """Return this process's client, built at the first call.

    STORAGE_EMULATOR_HOST names another server than Google's, which is used without credentials.
    """
    key = (os.getpid(), settings)
    if key not in _clients:
        _clients[key] = _new_client(settings)
    return _clients[key]


def _new_client(settings: ReadSettings) -> Any:
    try:
        import google.auth
        from google.api_core.client_info import ClientInfo
        from google.auth.credentials import AnonymousCredentials
        from google.auth.exceptions import DefaultCredentialsError
        from google.auth.transport.requests import AuthorizedSession
        from google.cloud import storage
    except ImportError:
        raise StorageError(
            "gs:// needs the package google-cloud-storage: install dclm-spark[gcs]."
        ) from None
    credentials, project = AnonymousCredentials(), None
    if not os.environ.get("STORAGE_EMULATOR_HOST"):
        try:
            credentials, project = google.auth.default(scopes=[_SCOPE])
        except DefaultCredentialsError:
            raise StorageError(
                "gs://: no Google credentials were found. Give the machine a service account, or "
                "run `gcloud auth application-default login`."
            ) from None
    # Else the library asks for each bucket's metadata, for traces, which takes another permission.
    os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
    session = AuthorizedSession(credentials)
    session.headers["User-Agent"] = settings.user_agent
    return storage.Client(
        # Nothing that is done here needs a project.
        project=project or "none",
        credentials=credentials,
        client_info=ClientInfo(user_agent=settings.user_agent),
        _http=session,
    )


def attempt(uri: str, operation: Callable[[], Result]) -> Result:
    """Return operation(), the errors of Google's libraries turned into ours."""
    import urllib3.exceptions
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import GoogleAuthError

    try:
        return operation()
    except GoogleAPICallError as error:
        headers = getattr(error.response, "headers", {})
        raise _status_error(uri, int(error.code or 0), headers) from None
    except GoogleAuthError as error:
        if error.retryable:
            raise TransientStorageError(f"no token ({type(error).__name__})") from None
        _clients.clear()
        raise StorageError(
            f"{uri}: Google refuses the credentials ({type(error).__name__}). Refresh them, or "
            "give the machine a service account, and run the same command again."
        ) from None
    # The errors of requests are OSErrors.
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise TransientStorageError(f"the connection broke ({type(error).__name__})") from None


def _status_error(uri: str, status: int, headers: Any) -> StorageError:
    if status in (408, 429) or status >= 500:
        wait = str(headers.get("Retry-After", ""))
        seconds = float(wait) if wait.isdigit() else 0.0
        return TransientStorageError(f"the store answers {status}", seconds)
    if status == 404:
        return MissingObjectError(f"{uri}: there is no such object or bucket.")
    if status == 412:
        return changed_error(uri)
    if status == 416:
        return OutOfRangeError(f"{uri}: it ends before the offset asked for.")
    if status in (401, 403):
        return StorageError(
            f"{uri}: access refused ({status}). Check that the service account may read, list and "
            "write the bucket (the role Storage Object Admin), then run the same command again."
        )
    return StorageError(f"{uri}: the store answers {status}.")


class _GcsBody:
    def __init__(self, uri: str, response: Any):
        self._uri, self._response = uri, response
        headers = response.headers
        self.etag: str | None = headers.get("X-Goog-Generation")
        total = headers.get("Content-Range", "").rpartition("/")[2]
        total = total or headers.get("Content-Length", "")
        self.size_bytes: int | None = int(total) if total.isdigit() else None

    def read(self, size: int) -> bytes:
        return bytes(attempt(self._uri, lambda: self._response.raw.read(size)))

    def close(self) -> None:
        self._response.close()


class GcsOpener:
    """Opens one gs:// object at any offset; a read that goes on pins the object's generation."""

    def __init__(self, uri: str, settings: ReadSettings):
        self._uri, self._settings = uri, settings

    def __call__(self, offset: int, etag: str | None, length: int | None) -> Body:
        """Send one GET for the content."""
        try:
            return self._get(etag, {"Range": byte_range(offset, length)})
        except OutOfRangeError:
            if offset:
                raise
            # An empty object has no byte 0.
            return self._get(etag, {})
        except MissingObjectError:
            # The generation that was read first is gone.
            if etag:
                raise changed_error(self._uri) from None
            raise

    def _get(self, generation: str | None, headers: dict[str, str]) -> Body:
        bucket, key = bucket_and_key(self._uri)
        store = client(self._settings)
        address = f"{store.api_endpoint}/download/storage/v1/b/{bucket}/o/{quote(key, safe='')}"
        query = {"alt": "media"} | ({"generation": generation} if generation else {})
        # Objects that were stored compressed come as they are stored, not unpacked.
        headers = headers | {"Accept-Encoding": "gzip"}
        timeout = (_CONNECT_TIMEOUT_SECONDS, self._settings.read_timeout_seconds)

        def operation() -> Any:
            return store._http.get(
                address, params=query, headers=headers, stream=True, timeout=timeout
            )

        response = attempt(self._uri, operation)
        if response.status_code not in (200, 206):
            response.close()
            raise _status_error(self._uri, response.status_code, response.headers)
        return _GcsBody(self._uri, response)


def _blob(uri: str, settings: ReadSettings) -> Any:
    bucket, key = bucket_and_key(uri)
    return client(settings).bucket(bucket).blob(key)


def _call(uri: str, settings: ReadSettings, operation: Callable[[Any], Result]) -> Result:
    """Return operation(object), with retries."""
    return with_retries(
        uri, settings, lambda: attempt(uri, lambda: operation(_blob(uri, settings)))
    )


def write_bytes(uri: str, data: bytes, settings: ReadSettings) -> None:
    """Store `data` under `uri`, visible only when complete."""
    _call(uri, settings, lambda blob: blob.upload_from_string(data, retry=None))


def write_new(uri: str, data: bytes, settings: ReadSettings) -> bool:
    """Store `data` unless there is an object."""
    try:
        _call(
            uri,
            settings,
            lambda blob: blob.upload_from_string(data, retry=None, if_generation_match=0),
        )
    except ChangedObjectError:
        return False
    return True


def upload_file(local_path: str, uri: str, settings: ReadSettings) -> None:
    """Store a local file under `uri`: in parts where it is large, visible only when complete."""
    _call(uri, settings, lambda blob: blob.upload_from_filename(local_path, retry=None))


def size_bytes(uri: str, settings: ReadSettings) -> int:
    """Return the size of the object."""

    def operation(blob: Any) -> int:
        blob.reload(retry=None)
        return int(blob.size)

    return _call(uri, settings, operation)


def delete(uri: str, settings: ReadSettings) -> None:
    """Remove the object; a missing one is no error."""
    try:
        _call(uri, settings, lambda blob: blob.delete(retry=None))
    except MissingObjectError:
        return


def list_objects(uri: str, settings: ReadSettings) -> Iterator[tuple[str, StoredObject]]:
    """Yield the keys below the "directory" `uri` and what is there, in the store's order."""
    bucket, key = bucket_and_key(uri)
    prefix = key.rstrip("/") + "/" if key.rstrip("/") else ""

    def operation(_: Any) -> list[tuple[str, StoredObject]]:
        pages = client(settings).list_blobs(bucket, prefix=prefix or None, retry=None)
        return [(blob.name, StoredObject(blob.size, str(blob.generation))) for blob in pages]

    yield from _call(uri, settings, operation)
