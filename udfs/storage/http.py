"""Objects behind http:// and https://, such as Common Crawl's data.commoncrawl.org."""

import base64
import email.utils
import http.client
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import cast
from urllib.parse import unquote, urlsplit, urlunsplit

from udfs.storage.stream import (
    Body,
    MissingObjectError,
    OutOfRangeError,
    ReadSettings,
    StorageError,
    TransientStorageError,
    byte_range,
    changed_error,
    shown,
)

_TRANSIENT_STATUSES = {408, 425, 429, 500, 502, 503, 504, 509, 520, 522, 524, 529}


class _HttpBody:
    def __init__(self, response: http.client.HTTPResponse, size_bytes: int | None):
        self._response = response
        self.size_bytes = size_bytes
        self.etag: str | None = response.headers.get("ETag")

    def read(self, size: int) -> bytes:
        try:
            return self._response.read1(size)
        except (OSError, http.client.HTTPException) as error:
            raise TransientStorageError(f"the body broke ({error!r})") from error

    def close(self) -> None:
        self._response.close()


class HttpOpener:
    """Opens one http(s) URL at any offset."""

    def __init__(self, url: str, settings: ReadSettings, headers: Mapping[str, str] | None = None):
        self._url, self._settings, self._headers = url, settings, dict(headers or {})

    def __call__(self, offset: int, etag: str | None, length: int | None) -> Body:
        """Send one GET; a server that ignores Range is read up to the offset."""
        headers = self._headers | {"Range": byte_range(offset, length)}
        # A weak validator never satisfies If-Match; the stream compares it after the answer.
        if etag and not etag.startswith("W/"):
            headers["If-Match"] = etag
        try:
            response = request(self._url, "GET", headers, self._settings)
        except OutOfRangeError:
            if offset:
                raise
            # An empty object has no byte 0.
            response = request(self._url, "GET", self._headers, self._settings)
        first, total = _served_range(response)
        body = _HttpBody(response, total)
        if first > offset:
            body.close()
            raise StorageError(f"{shown(self._url)}: asked from byte {offset}, got from {first}.")
        _skip(body, offset - first)
        return body


def _served_range(response: http.client.HTTPResponse) -> tuple[int, int | None]:
    """Return the offset of the first byte served and the size of the whole object."""
    if response.status == 206:
        match = re.match(
            r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip()
        )
        if match:
            return int(match[1]), None if match[2] == "*" else int(match[2])
    return 0, content_length(response)


def _skip(body: _HttpBody, count: int) -> None:
    while count > 0:
        data = body.read(min(count, 1 << 20))
        if not data:
            raise TransientStorageError("the body ended before the offset asked for")
        count -= len(data)


def content_length(response: http.client.HTTPResponse) -> int | None:
    """Return the Content-Length of `response`, None where it has none."""
    value = response.headers.get("Content-Length", "")
    return int(value) if value.isdigit() else None


def request(
    url: str, method: str, headers: dict[str, str], settings: ReadSettings
) -> http.client.HTTPResponse:
    """Send one request; raise TransientStorageError for what may pass, StorageError otherwise."""
    headers = {"User-Agent": settings.user_agent, "Accept-Encoding": "identity"} | headers
    address, authorization = _credentials_apart(url)
    authorization = headers.pop("Authorization", authorization)
    prepared = urllib.request.Request(address, headers=headers, method=method)
    if authorization:
        # Not for the server that a redirect names.
        prepared.add_unredirected_header("Authorization", authorization)
    try:
        response = urllib.request.urlopen(prepared, timeout=settings.read_timeout_seconds)
    except urllib.error.HTTPError as error:
        raise _status_error(url, error) from None
    except urllib.error.URLError as error:
        raise _connection_error(url, error.reason) from None
    except (OSError, http.client.HTTPException) as error:
        raise TransientStorageError(f"no connection ({error!r})") from None
    return cast(http.client.HTTPResponse, response)


def _credentials_apart(url: str) -> tuple[str, str]:
    """Return `url` without user and password, and the header that stands for them ("": none)."""
    parts = urlsplit(url)
    user, found, host = parts.netloc.rpartition("@")
    if not found:
        return url, ""
    token = base64.b64encode(unquote(user).encode()).decode()
    return urlunsplit(parts._replace(netloc=host)), f"Basic {token}"


def _status_error(url: str, error: urllib.error.HTTPError) -> StorageError:
    status, place = error.code, shown(url)
    retry_after_seconds = _retry_after_seconds(error.headers.get("Retry-After"))
    error.close()
    if status in _TRANSIENT_STATUSES:
        return TransientStorageError(f"the server answers {status}", retry_after_seconds)
    if status in (404, 410):
        return MissingObjectError(f"{place}: the server answers {status}, there is no such object.")
    if status == 412:
        return changed_error(url)
    if status == 416:
        return OutOfRangeError(f"{place}: it ends before the offset asked for.")
    if status in (401, 403):
        return StorageError(
            f"{place}: access refused ({status}). This is not retried: on a public store it often "
            "means a temporary block of too many requests. Check the address and the permissions; "
            "wait some hours, use fewer tasks, or read from s3:// with credentials."
        )
    return StorageError(f"{place}: the server answers {status}.")


def _connection_error(url: str, reason: object) -> StorageError:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return StorageError(f"{shown(url)}: its TLS certificate is not trusted ({reason.reason}).")
    if isinstance(reason, socket.gaierror) and reason.errno == socket.EAI_NONAME:
        return StorageError(f"{shown(url)}: the host name is not known. Check the address.")
    return TransientStorageError(f"no connection ({reason!r})")


def _retry_after_seconds(value: str | None) -> float:
    """Return the seconds that a Retry-After header (a number or a date) asks for."""
    if not value:
        return 0.0
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return 0.0
