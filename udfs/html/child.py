"""The life of the process that parses pages for a worker: it does nothing else."""

import contextlib
import ctypes
import fcntl
import os
import resource
import select
import signal
import struct
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from udfs.html import child
from udfs.html.extractor import Page, View
from udfs.html.shared_memory import SharedPages

PIPE_SIZE_BYTES = 1024 * 1024


def prepare(pipe: int) -> None:
    """Let the worker's end of a pipe never block, and much be on its way."""
    os.set_blocking(pipe, False)
    with contextlib.suppress(OSError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_SIZE_BYTES)


def read(pipe: int, size: int, deadline: float | None = None, begun: bytes = b"") -> bytes:
    """Return `size` bytes, `begun` first, or more where they have come; EOFError, TimeoutError."""
    parts = [begun] if begun else []
    size -= len(begun)
    while size > 0:
        wait(pipe, select.POLLIN, deadline)
        try:
            part = os.read(pipe, PIPE_SIZE_BYTES)
        except BlockingIOError:
            continue
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def write(pipe: int, data: bytes, deadline: float | None = None) -> None:
    """Write all of `data`; BrokenPipeError, TimeoutError."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(pipe, view) :]
        except BlockingIOError:
            wait(pipe, select.POLLOUT, deadline)


def wait(pipe: int, event: int, deadline: float | None) -> None:
    """Wait until `pipe` is ready; the child has no deadline and simply blocks."""
    if deadline is not None and not is_ready(pipe, event, deadline - time.monotonic()):
        raise TimeoutError


def is_ready(pipe: int, event: int, seconds: float) -> bool:
    """Wait for `pipe` for at most `seconds`; say whether it is ready, or closed."""
    poll = select.poll()
    poll.register(pipe, event)
    return bool(poll.poll(max(0.0, seconds) * 1000))


# The first view of the first page, and how many texts are wanted from there on.
REQUEST = struct.Struct("<QQ")
REPLY = struct.Struct("<BQ")
# What a reply says of the text that the child stopped at; ALL: that it stopped at none.
ALL, LONG_TEXT, ERROR, NO_MEMORY = range(4)
_SET_PARENT_DEATH_SIGNAL = 1


def serve(
    requests: int,
    replies: int,
    shared: SharedPages,
    views: Sequence[View],
    parent: int,
    max_memory_bytes: int,
) -> None:
    """Answer requests until the parent is gone; the child's whole life."""
    try:
        _leave_parent(requests, replies, parent)
        shared.protect_pages()
        _limit_memory(max_memory_bytes)
        while True:
            first, count = REQUEST.unpack(child.read(requests, REQUEST.size))
            kind, content = _make_texts(shared, views, first, count)
            child.write(replies, REPLY.pack(kind, len(content)) + content)
    except BaseException:
        os._exit(0)


def _make_texts(
    shared: SharedPages, views: Sequence[View], first: int, count: int
) -> tuple[int, bytes]:
    """Make texts until one is no ordinary one; return what it is, and the text or the error."""
    page: Page | None = None
    try:
        for number in range(count):
            shared.begin(number)
            place, view = divmod(first + number, len(views))
            if view == 0 or number == 0:
                # A page forgets what it was parsed into before the next one is parsed.
                page = None
                page = shared.page(place)
            text = _text_of(page, views[view])
            if not shared.put_text(number, text):
                return LONG_TEXT, text or b""
        shared.begin(count)
    except MemoryError:
        return NO_MEMORY, b""
    except Exception as error:
        return ERROR, f"{type(error).__name__}: {error}"[:500].encode("utf-8", "replace")
    return ALL, b""


def _text_of(page: Page | None, view: View) -> bytes | None:
    return None if page is None else view(page).encode("utf-8", "replace")


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
