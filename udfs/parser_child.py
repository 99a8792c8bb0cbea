"""The life of the process that parses pages for a worker: it does nothing else."""

import ctypes
import os
import resource
import signal
import struct
import sys
from collections.abc import Callable
from pathlib import Path

from udfs import pipes
from udfs.shared_pages import SharedPages

Parser = Callable[[str], str]

REQUEST = struct.Struct("<Q")
REPLY = struct.Struct("<BQ")
# What a reply says of the page that the child stopped at; ALL: that it stopped at none.
ALL, LONG_TEXT, ERROR, NO_MEMORY = range(4)
_SET_PARENT_DEATH_SIGNAL = 1


def serve(
    requests: int,
    replies: int,
    shared: SharedPages,
    parser: Parser,
    parent: int,
    max_memory_bytes: int,
) -> None:
    """Answer requests until the parent is gone; the child's whole life."""
    try:
        _leave_parent(requests, replies, parent)
        shared.protect_pages()
        _limit_memory(max_memory_bytes)
        while True:
            (count,) = REQUEST.unpack(pipes.read(requests, REQUEST.size))
            kind, content = _parse_pages(shared, parser, count)
            pipes.write(replies, REPLY.pack(kind, len(content)) + content)
    except BaseException:
        os._exit(0)


def _parse_pages(shared: SharedPages, parser: Parser, count: int) -> tuple[int, bytes]:
    """Parse pages until one is no ordinary one; return what it is, and its text or error."""
    try:
        for number in range(count):
            shared.begin(number)
            text = _text_of(shared.page(number), parser)
            if not shared.put_text(number, text):
                return LONG_TEXT, text or b""
        shared.begin(count)
    except MemoryError:
        return NO_MEMORY, b""
    except Exception as error:
        return ERROR, f"{type(error).__name__}: {error}"[:500].encode("utf-8", "replace")
    return ALL, b""


def _text_of(html: str | None, parser: Parser) -> bytes | None:
    return None if html is None else parser(html).encode("utf-8", "replace")


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
