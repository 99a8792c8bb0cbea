"""HTML to main text with resiliparse, in a child process that may hang or die.

A parser written in C can loop, crash or fill the memory on a page. Each worker therefore forks one
child that does nothing but parse; a page that exceeds its time or takes the child down is reported,
and a new child goes on with the next page. The child serves file after file: a fork makes the
worker copy all memory that it writes afterwards, once. One page at a time lies in memory that both
share; its text comes back through a pipe.
"""

import contextlib
import ctypes
import fcntl
import mmap
import os
import resource
import select
import signal
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

from udfs.cpu_clock import count_child, forget_child

Parser = Callable[[str], str]

_HEADER = struct.Struct("<BQ")
_TEXT, _ERROR, _NO_MEMORY = 0, 1, 2
_PIPE_SIZE_BYTES = 1024 * 1024
_SHARED_SIZE_BYTES = 4 * 1024 * 1024
_SET_PARENT_DEATH_SIGNAL = 1
DEFAULT_MAX_MEMORY_BYTES = 2 * 1024**3
_WHAT_EARLIER_PAGES_MAY_CAUSE = ("parser_memory", "parser_error", "parser_crash")


@cache
def extractor_version() -> str:
    """Return the name and version of the extractor, as documents record it."""
    from importlib.metadata import version

    return f"resiliparse {version('resiliparse')}"


def main_text(html: str) -> str:
    """Return the main content of a page as plain text: the reference's options (spec 1.2)."""
    return _resiliparse()(html)


@cache
def _resiliparse() -> Parser:
    from resiliparse.extract.html2text import extract_plain_text

    # Everything else is resiliparse's default: formatting, list bullets, alt texts and comment
    # sections on; links, form fields and noscript off; nothing skipped.
    return lambda html: str(extract_plain_text(html, main_content=True))


@dataclass(frozen=True, slots=True)
class Parsed:
    """The text of a page (UTF-8), or the `rule` and `error` that say why there is none."""

    text: bytes | None
    rule: str | None = None
    error: str | None = None


class SupervisedParser:
    """Parses pages in a child process, within `timeout_seconds` and `max_memory_bytes` each.

    `max_memory_bytes` is what the child may allocate beyond what it was forked with.
    """

    def __init__(
        self,
        timeout_seconds: float,
        parser: Parser = main_text,
        max_memory_bytes: int = DEFAULT_MAX_MEMORY_BYTES,
    ):
        self._timeout_seconds, self._parser = timeout_seconds, parser
        self._max_memory_bytes = max_memory_bytes
        self._child = self._pages_of_child = 0
        self._requests = self._replies = -1
        self._shared = mmap.mmap(-1, _SHARED_SIZE_BYTES)

    def parse(self, html_utf8: bytes) -> Parsed:
        """Return the text of one page; never raises for what the page or the parser does."""
        parsed = self._parse(html_utf8)
        if parsed.rule in _WHAT_EARLIER_PAGES_MAY_CAUSE and self._pages_of_child > 1:
            # A page's fate must not depend on what earlier pages left in the child's memory.
            self.close()
            parsed = self._parse(html_utf8)
        return parsed

    def _parse(self, html_utf8: bytes) -> Parsed:
        self._make_room(len(html_utf8))
        self._start()
        self._pages_of_child += 1
        deadline = time.monotonic() + self._timeout_seconds
        try:
            self._shared[: len(html_utf8)] = html_utf8
            _write(self._requests, _HEADER.pack(_TEXT, len(html_utf8)), deadline)
            kind, reply = _reply(self._replies, deadline)
        except TimeoutError:
            self.close()
            reason = f"the parser took more than {self._timeout_seconds:g} s (timeout_seconds)"
            return Parsed(None, "parser_timeout", reason)
        except (EOFError, BrokenPipeError):
            return Parsed(None, "parser_crash", f"the parser process {self._end_of_child()}")
        except BaseException:
            # A reply that nobody read would pass for the next page's.
            self.close()
            raise
        if kind == _NO_MEMORY:
            self.close()
            limit = f"{self._max_memory_bytes} bytes (max_parser_memory_bytes)"
            return Parsed(None, "parser_memory", f"the parser needed more than {limit}")
        if kind == _ERROR:
            return Parsed(None, "parser_error", reply.decode("utf-8", "replace"))
        return Parsed(reply)

    def close(self) -> None:
        """End the child."""
        if self._child:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGKILL)
            self._end_of_child()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make_room(self, size: int) -> None:
        """Share more memory with a new child if the page is larger than what is shared."""
        if size > len(self._shared):
            self.close()
            self._shared = mmap.mmap(-1, 2 * size)

    def _start(self) -> None:
        if self._child:
            return
        self._pages_of_child = 0
        _resiliparse()
        child_reads, self._requests = os.pipe()
        self._replies, child_writes = os.pipe()
        parent = os.getpid()
        self._child = os.fork()
        if not self._child:
            limit = self._max_memory_bytes
            _serve(child_reads, child_writes, self._shared, self._parser, parent, limit)
        count_child(self._child)
        os.close(child_reads)
        os.close(child_writes)
        for pipe in (self._requests, self._replies):
            os.set_blocking(pipe, False)
            with contextlib.suppress(OSError):
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_SIZE_BYTES)

    def _end_of_child(self) -> str:
        """Reap the child and say how it ended."""
        child, self._child = self._child, 0
        os.close(self._requests)
        os.close(self._replies)
        try:
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        except ChildProcessError:
            return "ended"
        finally:
            forget_child(child)
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"


def kept_parser(
    timeout_seconds: float, max_memory_bytes: int = DEFAULT_MAX_MEMORY_BYTES
) -> SupervisedParser:
    """Return the parser of this process for pages of all files; it ends with the process."""
    return _parser_of_process(os.getpid(), timeout_seconds, max_memory_bytes)


@cache
def _parser_of_process(
    process: int, timeout_seconds: float, max_memory_bytes: int
) -> SupervisedParser:
    return SupervisedParser(timeout_seconds, max_memory_bytes=max_memory_bytes)


def _serve(
    requests: int,
    replies: int,
    shared: mmap.mmap,
    parser: Parser,
    parent: int,
    max_memory_bytes: int,
) -> None:
    """Answer requests until the parent is gone; the child's whole life."""
    try:
        _leave_parent(requests, replies, parent)
        _limit_memory(max_memory_bytes)
        pages = memoryview(shared)
        while True:
            _, size = _HEADER.unpack(_read(requests, _HEADER.size))
            kind, reply = _TEXT, b""
            try:
                html = str(pages[:size], "utf-8", "replace")
                reply = parser(html).encode("utf-8", "replace")
            except MemoryError:
                kind = _NO_MEMORY
            except Exception as error:
                kind, reply = _ERROR, f"{type(error).__name__}: {error}"[:500].encode()
            _write(replies, _HEADER.pack(kind, len(reply)) + reply)
    except BaseException:
        os._exit(0)


def _limit_memory(max_bytes: int) -> None:
    """Let the child allocate `max_bytes` more than it was forked with.

    RLIMIT_DATA rather than RLIMIT_AS: mapped models and libraries of the parent do not count.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return
    data = next(line for line in status.read_text().splitlines() if line.startswith("VmData:"))
    limit = int(data.split()[1]) * 1024 + max_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _leave_parent(requests: int, replies: int, parent: int) -> None:
    """Keep nothing of the parent's: its sockets, its signal handlers, its life after death."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)
    first, second = sorted((requests, replies))
    os.closerange(3, first)
    os.closerange(first + 1, second)
    os.closerange(second + 1, os.sysconf("SC_OPEN_MAX"))


def _reply(pipe: int, deadline: float) -> tuple[int, bytes]:
    """Return kind and content of the one reply that is on its way."""
    data = _read(pipe, _HEADER.size, deadline)
    kind, size = _HEADER.unpack_from(data)
    missing = _HEADER.size + size - len(data)
    if missing > 0:
        data += _read(pipe, missing, deadline)
    return kind, data[_HEADER.size :]


def _read(pipe: int, size: int, deadline: float | None = None) -> bytes:
    """Return `size` bytes or, where more have come already, more."""
    parts: list[bytes] = []
    while size > 0:
        _wait(pipe, select.POLLIN, deadline)
        try:
            part = os.read(pipe, _PIPE_SIZE_BYTES)
        except BlockingIOError:
            continue
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _write(pipe: int, data: bytes, deadline: float | None = None) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(pipe, view) :]
        except BlockingIOError:
            _wait(pipe, select.POLLOUT, deadline)


def _wait(pipe: int, event: int, deadline: float | None) -> None:
    """Wait until `pipe` is ready; the child has no deadline and simply blocks."""
    if deadline is None:
        return
    poll = select.poll()
    poll.register(pipe, event)
    if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        raise TimeoutError
