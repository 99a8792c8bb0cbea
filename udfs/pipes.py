"""Pipes between a worker and its parser, with deadlines where the worker waits."""

import contextlib
import fcntl
import os
import select
import time

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
