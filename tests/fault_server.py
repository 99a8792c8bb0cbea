"""A local HTTP server that misbehaves as told: one fault is used up by each request."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Fault = Callable[["Handler", bytes, int], None]


@dataclass
class FaultServer:
    """`faults` are used up in order, one a GET; afterwards the server behaves."""

    content: bytes
    etag: str = '"one"'
    faults: list[Fault] = field(default_factory=list)
    gets: list[dict[str, str]] = field(default_factory=list)
    heads: int = 0
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: FaultServer

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.state.heads += 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.state.content)))
        self.end_headers()

    def do_GET(self) -> None:
        self.close_connection = True
        self.state.gets.append(dict(self.headers))
        start, end = 0, len(self.state.content)
        if self.headers.get("Range"):
            first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
            start, end = int(first), int(last) + 1 if last else end
        if self.state.faults:
            self.state.faults.pop(0)(self, self.state.content[start:end], start)
        elif self.headers.get("If-Match", self.state.etag) != self.state.etag:
            self.refuse(412)
        else:
            self.begin(self.state.content[start:end], start)
            self.wfile.write(self.state.content[start:end])

    def begin(self, body: bytes, start: int, length: int | None = None) -> None:
        self.send_response(206 if self.headers.get("Range") else 200)
        if self.headers.get("Range"):
            total = len(self.state.content)
            self.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{total}")
        self.send_header("ETag", self.state.etag)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()

    def refuse(self, status: int, retry_after: str = "") -> None:
        self.send_response(status)
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.send_header("Content-Length", "0")
        self.end_headers()


def status(code: int, retry_after: str = "") -> Fault:
    return lambda handler, body, start: handler.refuse(code, retry_after)


def s3_error(code: int, name: str) -> Fault:
    """Answer as S3 does, with an error document."""
    body = f"<Error><Code>{name}</Code><Message>m</Message></Error>".encode()

    def fault(handler: Handler, _body: bytes, _start: int) -> None:
        handler.send_response(code)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(b"" if handler.command == "HEAD" else body)

    return fault


def reset_after(count: int) -> Fault:
    """Send `count` bytes of the body, then reset the connection."""

    def fault(handler: Handler, body: bytes, start: int) -> None:
        import socket
        import struct

        handler.begin(body, start)
        handler.wfile.write(body[:count])
        handler.wfile.flush()
        time.sleep(0.05)
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()

    return fault


def stall_after(count: int, seconds: float) -> Fault:
    def fault(handler: Handler, body: bytes, start: int) -> None:
        handler.begin(body, start)
        handler.wfile.write(body[:count])
        handler.wfile.flush()
        time.sleep(seconds)

    return fault


def end_after(count: int) -> Fault:
    """End the body early but cleanly: the connection closes as if all had been sent."""

    def fault(handler: Handler, body: bytes, start: int) -> None:
        handler.begin(body, start)
        handler.wfile.write(body[:count])

    return fault


def shortened_to(count: int) -> Fault:
    """Send `count` bytes and a Content-Length that agrees: nothing in the body looks wrong."""

    def fault(handler: Handler, body: bytes, start: int) -> None:
        handler.begin(body, start, count)
        handler.wfile.write(body[:count])

    return fault


@contextmanager
def serve(content: bytes, *faults: Fault) -> Iterator[FaultServer]:
    state = FaultServer(content, faults=list(faults))
    handler = type("BoundHandler", (Handler,), {"state": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}/some.warc.gz"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
