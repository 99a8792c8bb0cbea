"""Objects in S3 and stores that speak its protocol, through boto3.

boto3 repeats no request here: all retrying is ours (`udfs.resuming`), so that a cap on attempts
and a wait mean the same for every request. The endpoint, region and credentials are those that
boto3 finds by itself (AWS_ENDPOINT_URL, profiles, instance roles). gs:// is Google's store spoken
to in the same protocol, with the HMAC keys in GS_ACCESS_KEY_ID and GS_SECRET_ACCESS_KEY.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import urlsplit

from udfs.resuming import (
    Body,
    MissingObjectError,
    ReadSettings,
    StorageError,
    TransientStorageError,
    changed_error,
    with_retries,
)

Result = TypeVar("Result")

_CONNECT_TIMEOUT_SECONDS = 20
_TRANSIENT_CODES = {"SlowDown", "RequestTimeout", "Throttling", "ThrottlingException",
                    "RequestLimitExceeded", "InternalError", "ServiceUnavailable"}  # fmt: skip
_CREDENTIAL_CODES = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}  # fmt: skip # noqa: E501
# One client per process: boto3's connections must not be shared across a fork.
_clients: dict[tuple[int, str, ReadSettings], Any] = {}
_GOOGLE_ENDPOINT = "https://storage.googleapis.com"


def client(settings: ReadSettings, uri: str = "s3://") -> Any:
    """Return this process's client for the store of `uri`, built at the first call."""
    scheme = uri.partition("://")[0]
    key = (os.getpid(), scheme, settings)
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
            **(_google_access(uri) if scheme == "gs" else {}),
        )
    return _clients[key]


def _google_access(uri: str) -> dict[str, str | None]:
    names = ("GS_ACCESS_KEY_ID", "GS_SECRET_ACCESS_KEY")
    if missing := [name for name in names if not os.environ.get(name)]:
        raise StorageError(
            f"{uri}: {' and '.join(missing)} not set. gs:// needs an HMAC key of a service account "
            "(Cloud Storage, Settings, Interoperability) in these variables, on the driver and on "
            "executors (spark.executorEnv.*)."
        )
    return {
        "endpoint_url": os.environ.get("GS_ENDPOINT_URL", _GOOGLE_ENDPOINT),
        "aws_access_key_id": os.environ[names[0]],
        "aws_secret_access_key": os.environ[names[1]],
        "region_name": "auto",
    }


def bucket_and_key(uri: str) -> tuple[str, str]:
    """Split s3://bucket/key or gs://bucket/key."""
    parts = urlsplit(uri, allow_fragments=False)
    key = uri.split("://", 1)[1].partition("/")[2]
    if not parts.netloc:
        raise StorageError(f"{uri!r} names no bucket; an address is s3://BUCKET/KEY.")
    return parts.netloc, key


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
    if status == 412:
        return changed_error(uri)
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
        arguments: dict[str, Any] = {"Bucket": bucket, "Key": key}
        if offset or length is not None:
            end = "" if length is None else str(offset + length - 1)
            arguments["Range"] = f"bytes={offset}-{end}"
        if etag:
            arguments["IfMatch"] = etag
        store = client(self._settings, self._uri)
        return _S3Body(self._uri, attempt(self._uri, lambda: store.get_object(**arguments)))


def call(uri: str, settings: ReadSettings, method: str, **arguments: Any) -> Any:
    """Return the answer of one S3 operation on the bucket of `uri`, with retries."""
    bucket, _ = bucket_and_key(uri)

    def operation() -> Any:
        return getattr(client(settings, uri), method)(Bucket=bucket, **arguments)

    return with_retries(uri, settings, lambda: attempt(uri, operation))


def list_keys(uri: str, settings: ReadSettings) -> Iterator[str]:
    """Yield the keys below the "directory" `uri`, in the store's order."""
    _, key = bucket_and_key(uri)
    prefix = key.rstrip("/") + "/" if key.rstrip("/") else ""
    more: dict[str, str] = {}
    while True:
        page = call(uri, settings, "list_objects_v2", Prefix=prefix, **more)
        yield from (entry["Key"] for entry in page.get("Contents", []))
        if not page.get("IsTruncated"):
            return
        more = {"ContinuationToken": page["NextContinuationToken"]}


def upload_file(local_path: str, uri: str, settings: ReadSettings) -> None:
    """Store a local file under `uri`: in parts where it is large, visible only when complete."""
    from boto3.exceptions import Boto3Error

    bucket, key = bucket_and_key(uri)

    def operation() -> None:
        try:
            client(settings, uri).upload_file(local_path, bucket, key)
        except Boto3Error as error:
            raise error.__context__ or error from None

    with_retries(uri, settings, lambda: attempt(uri, operation))
