"""Objects in S3 and stores that speak its protocol, through boto3.

boto3 repeats no request here: all retrying is ours (`udfs.storage.stream`), so that a cap on
attempts and a wait mean the same for every request. The endpoint, region and credentials
are those that boto3 finds by itself (AWS_ENDPOINT_URL, profiles, instance roles).
"""

import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

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
_TRANSIENT_CODES = {"SlowDown", "RequestTimeout", "Throttling", "ThrottlingException",
                    "RequestLimitExceeded", "InternalError", "ServiceUnavailable"}  # fmt: skip
_CREDENTIAL_CODES = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}  # fmt: skip # noqa: E501


class UnsupportedRequestError(StorageError):
    """The store does not do what was asked for."""


# One client per process: boto3's connections must not be shared across a fork.
_clients: dict[tuple[int, ReadSettings], Any] = {}


def client(settings: ReadSettings) -> Any:
    """Return this process's S3 client, built at the first call."""
    key = (os.getpid(), settings)
    if key not in _clients:
        import boto3
        from botocore.config import Config

        _clients[key] = boto3.session.Session().client(
            "s3",
            config=Config(
                retries={"mode": "standard", "total_max_attempts": 1},
                connect_timeout=_CONNECT_TIMEOUT_SECONDS,
                read_timeout=settings.read_timeout_seconds,
                tcp_keepalive=True,
                user_agent_extra=settings.user_agent,
                # Stores that only speak the protocol refuse the newer default checksums.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
    return _clients[key]


def attempt(uri: str, operation: Callable[[], Result]) -> Result:
    """Return operation(), its boto3 errors turned into ours."""
    import urllib3.exceptions
    from botocore import exceptions

    try:
        return operation()
    except exceptions.ClientError as error:
        raise _client_error(uri, error.response) from None
    except exceptions.NoCredentialsError:
        raise StorageError(
            f"{uri}: no AWS credentials were found. Set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give the machine a role."
        ) from None
    except (
        exceptions.HTTPClientError,
        exceptions.IncompleteReadError,
        exceptions.ResponseStreamingError,
        urllib3.exceptions.HTTPError,
        OSError,
    ) as error:
        raise TransientStorageError(f"the connection broke ({type(error).__name__})") from None
    except exceptions.BotoCoreError as error:
        raise StorageError(f"{uri}: {type(error).__name__}: {error}") from None


def _client_error(uri: str, response: dict[str, Any]) -> StorageError:
    code = str(response.get("Error", {}).get("Code", ""))
    metadata = response.get("ResponseMetadata", {})
    status = int(metadata.get("HTTPStatusCode", 0))
    if status == 501 or code == "NotImplemented":
        return UnsupportedRequestError(f"{uri}: the store does not know such a request ({code}).")
    if code in _TRANSIENT_CODES or status == 429 or status >= 500:
        wait = str(metadata.get("HTTPHeaders", {}).get("retry-after", ""))
        return TransientStorageError(
            f"the store answers {status} {code}", float(wait) if wait.isdigit() else 0.0
        )
    if code in _CREDENTIAL_CODES:
        _clients.clear()
        return StorageError(
            f"{uri}: the AWS credentials have expired ({code}). Refresh them and run the same "
            "command again (finished work is kept); long jobs want a role, not session keys."
        )
    if code in ("NoSuchKey", "NoSuchBucket") or status == 404:
        return MissingObjectError(f"{uri}: there is no such object or bucket.")
    # 409: another conditional write is under way.
    if status == 412 or code == "ConditionalRequestConflict":
        return changed_error(uri)
    if status == 416:
        return OutOfRangeError(f"{uri}: it ends before the offset asked for.")
    if status in (401, 403):
        return StorageError(
            f"{uri}: access refused ({status} {code}). Check the credentials and that they may "
            "read and list the bucket (S3 also says 403 for a missing key if listing is denied)."
        )
    return StorageError(f"{uri}: the store answers {status} {code}.")


class _S3Body:
    def __init__(self, uri: str, response: dict[str, Any]):
        self._uri, self._response_body = uri, response["Body"]
        self.etag: str | None = response.get("ETag")
        total = str(response.get("ContentRange", "")).rpartition("/")[2]
        self.size_bytes: int | None = (
            int(total) if total.isdigit() else int(response["ContentLength"])
        )

    def read(self, size: int) -> bytes:
        return bytes(attempt(self._uri, lambda: self._response_body.read(size)))

    def close(self) -> None:
        self._response_body.close()


class S3Opener:
    """Opens one s3:// object at any offset."""

    def __init__(self, uri: str, settings: ReadSettings):
        self._uri, self._settings = uri, settings

    def __call__(self, offset: int, etag: str | None, length: int | None) -> Body:
        """Send one GetObject."""
        bucket, key = bucket_and_key(self._uri)
        arguments = {"Bucket": bucket, "Key": key}
        if etag:
            arguments["IfMatch"] = etag
        try:
            return self._get(**arguments, Range=byte_range(offset, length))
        except OutOfRangeError:
            if offset:
                raise
            # An empty object has no byte 0.
            return self._get(**arguments)

    def _get(self, **arguments: str) -> Body:
        store = client(self._settings)
        return _S3Body(self._uri, attempt(self._uri, lambda: store.get_object(**arguments)))


def write_bytes(uri: str, data: bytes, settings: ReadSettings) -> None:
    """Store `data` under `uri`, visible only when complete."""
    _call(uri, settings, "put_object", Key=bucket_and_key(uri)[1], Body=data)


def write_new(uri: str, data: bytes, settings: ReadSettings) -> bool:
    """Store `data` unless there is an object; a store without conditions stores it in any case."""
    key = bucket_and_key(uri)[1]
    try:
        _call(uri, settings, "put_object", Key=key, Body=data, IfNoneMatch="*")
    except ChangedObjectError:
        return False
    except UnsupportedRequestError:
        write_bytes(uri, data, settings)
    return True


def size_bytes(uri: str, settings: ReadSettings) -> int:
    """Return the size of the object."""
    return int(_call(uri, settings, "head_object", Key=bucket_and_key(uri)[1])["ContentLength"])


def delete(uri: str, settings: ReadSettings) -> None:
    """Remove the object; a missing one is no error."""
    _call(uri, settings, "delete_object", Key=bucket_and_key(uri)[1])


def _call(uri: str, settings: ReadSettings, method: str, **arguments: Any) -> Any:
    """Return the answer of one S3 operation on the bucket of `uri`, with retries."""
    bucket, _ = bucket_and_key(uri)

    def operation() -> Any:
        return getattr(client(settings), method)(Bucket=bucket, **arguments)

    return with_retries(uri, settings, lambda: attempt(uri, operation))


def list_objects(uri: str, settings: ReadSettings) -> Iterator[tuple[str, StoredObject]]:
    """Yield the keys below the "directory" `uri` and what is there, in the store's order."""
    _, key = bucket_and_key(uri)
    prefix = key.rstrip("/") + "/" if key.rstrip("/") else ""
    more: dict[str, str] = {}
    while True:
        page = _call(uri, settings, "list_objects_v2", Prefix=prefix, **more)
        for entry in page.get("Contents", []):
            yield entry["Key"], StoredObject(entry["Size"], entry.get("ETag", ""))
        if not page.get("IsTruncated"):
            return
        more = {"ContinuationToken": page["NextContinuationToken"]}


def upload_file(local_path: str, uri: str, settings: ReadSettings) -> None:
    """Store a local file under `uri`: in parts where it is large, visible only when complete."""
    from boto3.exceptions import Boto3Error

    bucket, key = bucket_and_key(uri)

    def operation() -> None:
        try:
            client(settings).upload_file(local_path, bucket, key)
        except Boto3Error as error:
            raise error.__context__ or error from None

    with_retries(uri, settings, lambda: attempt(uri, operation))
