"""A proxy before an S3 store that answers some requests as overloaded and broken stores do."""

import http.client
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from tests.fault_server import Fault, Handler, reset_after, s3_error

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "content-length"}


@dataclass(frozen=True, kw_only=True)
class Request:
    """`attempt` counts the requests of this method and key, from 0."""

    method: str
    bucket: str
    key: str
    attempt: int
    headers: dict[str, str]


# Returns the fault that a request meets, None for none.
Plan = Callable[[Request], Fault | None]


def no_faults(_: Request) -> None:
    return None


@dataclass
class Proxy:
    """Requests are logged in order of arrival."""

    store: str
    plan: Plan = no_faults
    requests: list[Request] = field(default_factory=list)
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)
    seen: "Counter[tuple[str, str]]" = field(default_factory=Counter)

    def gets(self, bucket: str, suffix: str) -> "Counter[str]":
        """Return how often each key of `bucket` with an ending was asked for."""
        return Counter(
            request.key
            for request in self.requests
            if (request.method, request.bucket) == ("GET", bucket) and request.key.endswith(suffix)
        )


class ProxyHandler(Handler):
    state: Proxy  # type: ignore[assignment]

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.state.plan(self._noted())
        if fault is not None and getattr(fault, "refuses", False):
            self.close_connection = True
            fault(self, b"", 0)
            return
        self.answer, content = self._forwarded(body)
        if fault is None:
            self.begin(content, 0)
            if self.command != "HEAD":
                self.wfile.write(content)
        else:
            self.close_connection = True
            fault(self, content, 0)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET

    def begin(self, body: bytes, start: int, length: int | None = None) -> None:
        """Send the store's status and headers."""
        self.send_response(self.answer.status)
        size = str(len(body) if length is None else length)
        if self.command == "HEAD":
            size = self.answer.headers.get("Content-Length", "0")
        for name, value in self.answer.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", size)
        self.end_headers()

    def _noted(self) -> Request:
        parts = urlsplit(self.path)
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        # Lists are requests for the bucket; their prefix tells them apart.
        key = key or f"?{unquote(parts.query)}"
        with self.state.lock:
            attempt = self.state.seen[self.command, f"{bucket}/{key}"]
            self.state.seen[self.command, f"{bucket}/{key}"] += 1
            request = Request(
                method=self.command, bucket=bucket, key=key, attempt=attempt,
                headers=dict(self.headers),
            )  # fmt: skip
            self.state.requests.append(request)
        return request

    def _forwarded(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        # The signature covers the Host header, so it goes on as it came.
        headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
        connection = http.client.HTTPConnection(urlsplit(self.state.store).netloc, timeout=60)
        try:
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()


def refusal(fault: Fault) -> Fault:
    """Let `fault` answer in the place of the store, which hears nothing of the request."""

    def refuse(handler: Handler, body: bytes, start: int) -> None:
        fault(handler, body, start)

    refuse.refuses = True  # type: ignore[attr-defined]
    return refuse


def refused(status: int, code: str) -> Fault:
    return refusal(s3_error(status, code))


def another_etag(handler: Handler, body: bytes, start: int) -> None:
    """Break the body, as if of an object that was replaced since the first request."""
    handler.answer.headers.replace_header("ETag", '"another"')
    handler.begin(body, start)
    handler.wfile.write(body)


# The store does what it is told, and the client never hears of it.
lost_answer = reset_after(0)


@contextmanager
def proxy_before(store: str) -> Iterator[Proxy]:
    state = Proxy(store)
    handler = type("BoundHandler", (ProxyHandler,), {"state": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
