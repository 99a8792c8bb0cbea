"""A byte stream that survives what object stores do: it re-opens where the body broke."""

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from udfs.checks import above, at_least, check, check_order

Result = TypeVar("Result")

# What stands before the "@" of these is a container, and no user.
_CONTAINER_AT = "abfss://"
# Query fields that say which object is meant. Others may be secrets, whatever they are called.
_NAMING_FIELD = re.compile(
    r"(?:version|file|dataset|object)?_?id|file(?:name)?|name|path|generation|revision|ref|version"
    r"|download|format|alt|split|config|raw",
    re.IGNORECASE,
)


class StorageError(ValueError):
    """A URI cannot be read or written, and trying again will not help."""


class MissingObjectError(StorageError):
    """Nothing is stored at the URI."""


class ChangedObjectError(StorageError):
    """The object is not the one that a request was made for."""


class OutOfRangeError(StorageError):
    """The object has no byte at the offset asked for."""


class TransientStorageError(StorageError):
    """A failure that may pass: throttling, a broken connection, a stalled socket.

    `retry_after_seconds` is what the server asked for, 0 where it did not ask.
    """

    def __init__(self, message: str, retry_after_seconds: float = 0.0):
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, kw_only=True)
class ReadSettings:
    """How patiently remote storage is read.

    The defaults follow what Common Crawl asks of bulk readers: at most one retry a second, many
    retries, longer waits under pressure. A task has one connection.
    """

    # Input files that a whole cluster reads at a time; 0: ten where inputs come by http(s), else
    # as many as there are tasks.
    max_concurrent_reads: int = 0
    # Requests for input files by the whole cluster, retries included; 0: no limit. Every reader
    # gets its share, so it takes max_concurrent_reads too.
    max_requests_per_second: float = 0.0

    # Failures in a row, without a byte of progress between them, before a read gives up.
    max_attempts: int = 100
    min_wait_seconds: float = 1.0  # Shortest wait after a failure.
    max_wait_seconds: float = 60.0  # Longest; waits double.
    # A longer Retry-After than this is an error, not a wait.
    max_retry_after_seconds: float = 900.0
    # A socket that gives nothing for this long is taken for stalled and opened again.
    read_timeout_seconds: float = 60.0
    # Sent in the User-Agent, so that an operator can reach whoever runs the job.
    contact_url: str = ""

    def __post_init__(self) -> None:
        """Refuse limits that are no limits."""
        check(self, max_concurrent_reads=at_least(0), max_requests_per_second=at_least(0.0))
        check(self, max_attempts=at_least(1), read_timeout_seconds=above(0.0))
        check(self, min_wait_seconds=at_least(0.0), max_retry_after_seconds=at_least(0.0))
        check_order(self, "min_wait_seconds", "max_wait_seconds")

    @property
    def min_request_interval_seconds(self) -> float:
        """Return how long one reader waits between two requests."""
        if not self.max_requests_per_second:
            return 0.0
        return max(self.max_concurrent_reads, 1) / self.max_requests_per_second

    @property
    def user_agent(self) -> str:
        """Return the User-Agent header of every request."""
        contact = f"; +{self.contact_url}" if self.contact_url else ""
        return f"dclm-spark/0.1 (bulk reader, honours Retry-After{contact})"


class Body(Protocol):
    """One response body, positioned at the offset that was asked for."""

    # Size of the whole object, not of the rest; None where the server does not say.
    size_bytes: int | None
    etag: str | None

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, b"" at the end of the body."""

    def close(self) -> None:
        """Give the connection back."""


# Opens an object at (offset, etag, length): `etag` pins the version, `length` bounds the range.
Opener = Callable[[int, str | None, int | None], Body]


def byte_range(offset: int, length: int | None) -> str:
    """Return the Range header of a read.

    One from 0 to the end is asked for, too: its answer states the size of the object apart from
    the length of the body, so that a body that was cut short, and says so, is noticed.
    """
    return f"bytes={offset}-{'' if length is None else offset + length - 1}"


def shown(uri: str) -> str:
    """Return `uri` without user, password and query: what may be printed."""
    if "://" not in uri or uri.startswith(_CONTAINER_AT):
        return uri
    parts = urlsplit(uri)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def bucket_and_key(uri: str) -> tuple[str, str]:
    """Split scheme://bucket/key of an object store."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if not bucket:
        raise StorageError(f"{uri!r} names no bucket; an address is {scheme}://BUCKET/KEY.")
    return bucket, key


def without_secrets(uri: str) -> str:
    """Return `uri` without user, password and what signs a request: what may be kept on record.

    Of a query only those fields stay that usually say which object is meant. A record of an
    address that was signed anew is therefore the same.
    """
    if "://" not in uri or uri.startswith(_CONTAINER_AT):
        return uri
    if not uri.startswith(("http://", "https://")):
        # Elsewhere "?" and "#" are letters of a key.
        scheme, _, rest = uri.partition("://")
        host, slash, key = rest.partition("/")
        return f"{scheme}://{host.rpartition('@')[2]}{slash}{key}"
    parts = urlsplit(uri)
    fields = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(name, value) for name, value in fields if _NAMING_FIELD.fullmatch(name)]
    query = parts.query if len(kept) == len(fields) else urlencode(kept)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))


class Patience:
    """Counts failures in a row and waits ever longer between them."""

    def __init__(self, settings: ReadSettings, uri: str):
        self._settings, self._uri, self._failures = settings, shown(uri), 0

    def progress(self) -> None:
        """Forget earlier failures."""
        self._failures = 0

    def wait(self, failure: TransientStorageError) -> None:
        """Sleep before the next attempt, or raise when patience is used up."""
        settings = self._settings
        self._failures += 1
        if self._failures >= settings.max_attempts:
            raise StorageError(
                f"{self._uri}: gave up after {self._failures} failures in a row, the last one: "
                f"{failure}. Finished work is kept: run the same command again later, or raise "
                f"max_attempts (now {settings.max_attempts})."
            ) from failure
        if failure.retry_after_seconds > settings.max_retry_after_seconds:
            raise StorageError(
                f"{self._uri}: the server asks to wait {failure.retry_after_seconds:.0f} s, more "
                f"than max_retry_after_seconds = {settings.max_retry_after_seconds:.0f}. "
                "Run the same command again after that."
            ) from failure
        time.sleep(max(failure.retry_after_seconds, self._backoff_seconds()))

    def _backoff_seconds(self) -> float:
        lowest, highest = self._settings.min_wait_seconds, self._settings.max_wait_seconds
        ceiling = min(highest, lowest * 2.0 ** min(self._failures, 30))
        return random.uniform(lowest, max(lowest, ceiling))


def with_retries(uri: str, settings: ReadSettings, operation: Callable[[], Result]) -> Result:
    """Return operation(), repeated while it raises TransientStorageError."""
    patience = Patience(settings, uri)
    while True:
        try:
            return operation()
        except TransientStorageError as failure:
            patience.wait(failure)


class Stream:
    """A forward-only read of one object: one request, and one more for every break.

    A re-opened body starts at the first byte that was not delivered and must be of the same
    version (ETag, size); a body that ends early is a break like any other.
    """

    def __init__(self, uri: str, opener: Opener, offset: int, settings: ReadSettings):
        self.uri = shown(uri)
        self._opener, self._position = opener, offset
        self._patience = Patience(settings, uri)
        self._min_interval_seconds = settings.min_request_interval_seconds
        self._body: Body | None = None
        self.size_bytes: int | None = None
        self.etag: str | None = None
        self._retrying(self._connect)

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes (all that is left if negative), b"" at the end."""
        if size < 0:
            return b"".join(iter(lambda: self.read(1 << 20), b""))
        return self._retrying(lambda: self._read_once(size)) if size else b""

    def tell(self) -> int:
        """Return the offset of the next byte in the object."""
        return self._position

    def close(self) -> None:
        """Drop the connection."""
        body, self._body = self._body, None
        if body is not None:
            body.close()

    def flush(self) -> None:
        """Do nothing; some readers call it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _retrying(self, operation: Callable[[], Result]) -> Result:
        while True:
            try:
                return operation()
            except TransientStorageError as failure:
                self.close()
                self._patience.wait(failure)

    def _connect(self) -> None:
        if self._body is not None:
            return
        _wait_for_turn(self._min_interval_seconds)
        body = self._opener(self._position, self.etag, None)
        changed = (self.etag is not None and body.etag != self.etag) or (
            self.size_bytes is not None and body.size_bytes != self.size_bytes
        )
        if changed:
            body.close()
            raise changed_error(self.uri)
        self._body, self.etag, self.size_bytes = body, body.etag, body.size_bytes

    def _read_once(self, size: int) -> bytes:
        self._connect()
        assert self._body is not None
        data = self._body.read(size)
        self._position += len(data)
        if data:
            self._patience.progress()
        elif self.size_bytes is not None and self._position < self.size_bytes:
            raise TransientStorageError(
                f"the body ended at byte {self._position} of {self.size_bytes}"
            )
        return data


# When this process last opened an object under a limit on requests.
_last_turn_seconds = [0.0]


def _wait_for_turn(min_interval_seconds: float) -> None:
    if min_interval_seconds:
        time.sleep(max(0.0, _last_turn_seconds[0] + min_interval_seconds - time.monotonic()))
        _last_turn_seconds[0] = time.monotonic()


def changed_error(uri: str) -> StorageError:
    """Return the error for an object that was replaced between two requests of one read."""
    return ChangedObjectError(
        f"{shown(uri)} changed while it was being read (its ETag or size differs): "
        "what was read so far is void. Run again once the object no longer changes."
    )
