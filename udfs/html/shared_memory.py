"""Memory that a worker shares with its parser: pages one way, what became of them the other.

A text is that of one page by one view; texts are numbered page after page, view after view.

The parser writes to the second of two areas only, so that no page can change another one. What it
wrote stays when it dies: the texts of the pages before, and which page it was at since when.
"""

import ctypes
import mmap
import time
from collections.abc import Sequence
from itertools import pairwise

from udfs.html.extractor import Page

MAX_TEXTS = 256
# More at a time would leave the processor's caches, and save little.
PAGES_SIZE_BYTES = TEXTS_SIZE_BYTES = 1024 * 1024
# Numbers in front of the texts: text in work, since when, ends of pages, ends of texts.
_AT, _SINCE, _PAGE_ENDS, _TEXT_ENDS = 0, 1, 2, 3 + MAX_TEXTS
_STATE_NUMBERS = _TEXT_ENDS + MAX_TEXTS + 1
_NOT_UTF8 = 1 << 62


class SharedPages:
    """Room for pages of `size_bytes` in all and for their texts; untouched room is no memory."""

    def __init__(self, size_bytes: int = PAGES_SIZE_BYTES) -> None:
        self.size_bytes = size_bytes
        self._pages = mmap.mmap(-1, size_bytes)
        self._answers = mmap.mmap(-1, 8 * _STATE_NUMBERS + TEXTS_SIZE_BYTES)
        self._state = memoryview(self._answers)[: 8 * _STATE_NUMBERS].cast("q")
        self._texts = memoryview(self._answers)[8 * _STATE_NUMBERS :]

    @property
    def at(self) -> int:
        """Return the number of the text in work: those before it are done."""
        return self._state[_AT]

    @property
    def seconds_at(self) -> float:
        """Return for how long that text has been in work."""
        return (time.monotonic_ns() - self._state[_SINCE]) * 1e-9

    def begin(self, number: int) -> None:
        """Say that text `number` is in work from now on."""
        self._state[_SINCE] = time.monotonic_ns()
        self._state[_AT] = number

    def put(self, pages: Sequence[bytes], first: int, views: int = 1) -> int:
        """Store pages from number `first` on (which has room), as many as fit; return how many.

        Each will have as many texts as there are `views`.
        """
        state, end, count = self._state, 0, 0
        for number in range(first, min(len(pages), first + MAX_TEXTS // views)):
            start, end = end, end + len(pages[number])
            if count and end > PAGES_SIZE_BYTES:
                break
            self._pages[start:end] = pages[number]
            count += 1
            state[_PAGE_ENDS + count] = end
        self.begin(0)
        return count

    def page(self, number: int) -> Page | None:
        """Return a page, None where it is not UTF-8."""
        ends = self._state[_PAGE_ENDS + number : _PAGE_ENDS + number + 2]
        try:
            return Page(memoryview(self._pages)[ends[0] : ends[1]], "utf-8")
        except UnicodeDecodeError:
            return None

    def put_text(self, number: int, text: bytes | None) -> bool:
        """Store a text, None of a page that is not UTF-8; False where it does not fit."""
        ends, slot = self._state, _TEXT_ENDS + number
        start = ends[slot] & ~_NOT_UTF8
        end = start + len(text or b"")
        if end > TEXTS_SIZE_BYTES:
            return False
        if text is not None:
            self._texts[start:end] = text
        ends[slot + 1] = end | (_NOT_UTF8 if text is None else 0)
        return True

    def texts(self, count: int) -> list[bytes | None]:
        """Return the first `count` texts, None of pages that are not UTF-8."""
        ends = self._state[_TEXT_ENDS : _TEXT_ENDS + count + 1].tolist()
        return [
            None if end & _NOT_UTF8 else bytes(self._texts[start & ~_NOT_UTF8 : end])
            for start, end in pairwise(ends)
        ]

    def protect_pages(self) -> None:
        """Let this process no longer write to the pages."""
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._pages))
        ctypes.CDLL(None).mprotect(
            ctypes.c_void_p(start), ctypes.c_size_t(self.size_bytes), mmap.PROT_READ
        )

    def forget(self) -> None:
        """Give the memory of large pages back."""
        beyond = self.size_bytes - PAGES_SIZE_BYTES
        if beyond > 0 and hasattr(mmap, "MADV_REMOVE"):
            self._pages.madvise(mmap.MADV_REMOVE, PAGES_SIZE_BYTES, beyond)
