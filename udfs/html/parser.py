"""HTML to texts by one or more extractors, in a child process that may hang or die.

A parser written in C can loop, crash or fill the memory on a page. Each worker therefore forks one
child that does nothing but parse; a page that exceeds its time or takes the child down is reported,
and a new child goes on with the next page. The child serves file after file: a fork makes the
worker copy all memory that it writes afterwards, once. Many pages go to it at a time, since a
request costs as much as a twentieth of a page; what each may take is watched page by page, and
where a page has several views, view by view: one that fails costs the others nothing.
"""

import contextlib
import os
import select
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Self

from udfs.cpu_clock import count_child, forget_child
from udfs.html import child as pipes
from udfs.html.child import ALL, ERROR, NO_MEMORY, REPLY, REQUEST, serve
from udfs.html.extractor import Page, View
from udfs.html.extractors import DEFAULT, load_views
from udfs.html.shared_memory import SharedPages

DEFAULT_MAX_MEMORY_BYTES = 2 * 1024**3
NOT_UTF8 = "not_utf8"
_KILLED = "was killed by SIGKILL"
_WHAT_EARLIER_PAGES_MAY_CAUSE = ("parser_memory", "parser_error", "parser_crash")


def main_text(html: str) -> str:
    """Return the main content of a page as plain text: the reference's options (spec 1.2)."""
    (view,) = _views((DEFAULT,))
    return view(Page(html))


@cache
def _views(names: tuple[str, ...]) -> tuple[View, ...]:
    return tuple(load_views(names))


@dataclass(frozen=True, slots=True)
class Parsed:
    """A text of a page (UTF-8), or the `rule` and `error` that say why there is none."""

    text: bytes | None
    rule: str | None = None
    error: str | None = None


class SupervisedParser:
    """Parses pages in a child process, within `timeout_seconds` and `max_memory_bytes` each.

    A page has a text by each of the `views`, the reference's where none is given, and each text has
    its own time. `max_memory_bytes` is what the child may allocate beyond what it was forked with.
    """

    def __init__(
        self,
        timeout_seconds: float,
        *views: View,
        max_memory_bytes: int = DEFAULT_MAX_MEMORY_BYTES,
    ):
        self._timeout_seconds = timeout_seconds
        self._views = views or _views((DEFAULT,))
        self._max_memory_bytes = max_memory_bytes
        self._child = self._texts_of_child = 0
        self._requests = self._replies = -1
        self._shared = SharedPages()

    def parse(self, html_utf8: bytes) -> Parsed:
        """Return the text of one page by the first view, as `parse_all` does."""
        return self.parse_all([html_utf8])[0]

    def parse_all(self, pages: Sequence[bytes]) -> list[Parsed]:
        """Return the texts of all pages, page after page and for each page view after view.

        Never raises for what the pages or the views do. A page that is not UTF-8 gets the rule
        "not_utf8".
        """
        parsed: list[Parsed] = []
        while len(parsed) < len(pages) * len(self._views):
            parsed += self._parse_some(pages, len(parsed))
        return parsed

    def _parse_some(self, pages: Sequence[bytes], first: int) -> list[Parsed]:
        """Make texts from number `first` on, as many as fit and no more than up to one that fails.

        A page's fate must not depend on what earlier pages left in the child's memory: a page that
        fails behind others is not among the result, so that it comes first in the next child.
        """
        page, view = divmod(first, len(self._views))
        self._make_room(len(pages[page]))
        self._start()
        count = self._shared.put(pages, page, len(self._views)) * len(self._views) - view
        last = self._last_text(view, count)
        done = self._shared.at
        parsed = [_parsed(text) for text in self._shared.texts(done)]
        self._shared.forget()
        self._texts_of_child += done
        if last is None or done == count:
            return parsed
        if last.rule in _WHAT_EARLIER_PAGES_MAY_CAUSE and self._texts_of_child:
            self.close()
            return parsed
        self._texts_of_child += 1
        return [*parsed, last]

    def _last_text(self, view: int, count: int) -> Parsed | None:
        """Let `count` texts be made; return what the child stopped at, None for no text."""
        try:
            pipes.write(self._requests, REQUEST.pack(view, count))
            self._wait()
            kind, content = self._reply()
        except TimeoutError:
            return self._overdue()
        except (EOFError, BrokenPipeError):
            return _crash(self._end_of_child())
        except BaseException:
            # A reply that nobody read would pass for the next pages'.
            self.close()
            raise
        if kind == NO_MEMORY:
            self.close()
            limit = f"{self._max_memory_bytes} bytes (max_parser_memory_bytes)"
            return Parsed(None, "parser_memory", f"the parser needed more than {limit}")
        if kind == ERROR:
            return Parsed(None, "parser_error", content.decode("utf-8", "replace"))
        return None if kind == ALL else Parsed(content)

    def _wait(self) -> None:
        """Wait for the reply for as long as no text takes too long."""
        limit = self._timeout_seconds
        while not pipes.is_ready(self._replies, select.POLLIN, limit - self._shared.seconds_at):
            if self._shared.seconds_at >= limit:
                raise TimeoutError

    def _reply(self) -> tuple[int, bytes]:
        """Return kind and content of the one reply that is on its way."""
        deadline = time.monotonic() + self._timeout_seconds
        data = pipes.read(self._replies, REPLY.size, deadline)
        kind, size = REPLY.unpack_from(data)
        return kind, pipes.read(self._replies, size, deadline, begun=data[REPLY.size :])

    def _overdue(self) -> Parsed | None:
        at = self._shared.at
        end = self._kill()
        if self._shared.at > at:
            # It was done in the very moment before its end.
            return None
        if end != _KILLED:
            # It had crashed; a busy machine takes its time to bury a large process.
            return _crash(end)
        reason = f"the parser took more than {self._timeout_seconds:g} s (timeout_seconds)"
        return Parsed(None, "parser_timeout", reason)

    def close(self) -> None:
        """End the child."""
        if self._child:
            self._kill()

    def _kill(self) -> str:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._child, signal.SIGKILL)
        return self._end_of_child()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make_room(self, size: int) -> None:
        """Share more memory with a new child if the page is larger than what is shared."""
        if size > self._shared.size_bytes:
            self.close()
            self._shared = SharedPages(2 * size)

    def _start(self) -> None:
        if self._child:
            return
        self._texts_of_child = 0
        child_reads, self._requests = os.pipe()
        self._replies, child_writes = os.pipe()
        parent = os.getpid()
        self._child = os.fork()
        if not self._child:
            limit = self._max_memory_bytes
            serve(child_reads, child_writes, self._shared, self._views, parent, limit)
        count_child(self._child)
        os.close(child_reads)
        os.close(child_writes)
        for pipe in (self._requests, self._replies):
            pipes.prepare(pipe)

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


def _crash(end: str) -> Parsed:
    return Parsed(None, "parser_crash", f"the parser process {end}")


def _parsed(text: bytes | None) -> Parsed:
    return Parsed(None, NOT_UTF8) if text is None else Parsed(text)


def kept_parser(
    timeout_seconds: float,
    max_memory_bytes: int = DEFAULT_MAX_MEMORY_BYTES,
    extractors: tuple[str, ...] = (DEFAULT,),
) -> SupervisedParser:
    """Return the parser of this process for pages of all files; it ends with the process."""
    return _parser_of_process(os.getpid(), timeout_seconds, max_memory_bytes, extractors)


@cache
def _parser_of_process(
    process: int, timeout_seconds: float, max_memory_bytes: int, extractors: tuple[str, ...]
) -> SupervisedParser:
    views = _views(extractors)
    return SupervisedParser(timeout_seconds, *views, max_memory_bytes=max_memory_bytes)
