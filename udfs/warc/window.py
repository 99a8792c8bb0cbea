"""The part of a file that its decoders have at hand, and the pieces that they decode it to."""

from dataclasses import dataclass
from typing import Protocol

CHUNK_SIZE_BYTES = 256 * 1024
# How far back the search for the next member may go when one turns out to be damaged.
LOOK_BACK_SIZE_BYTES = 4 * 1024 * 1024
# The most that a piece decodes to at a time.
PIECE_SIZE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Piece:
    """Decoded bytes; `offset` is where their member (in plain files: they) begin in the file."""

    data: bytes
    offset: int
    begins_member: bool
    # Why the member cannot be read to its end; its data ends here.
    error: str | None = None
    # With an error: bytes of the file from the damage to where reading goes on.
    lost_size_bytes: int = 0


class Readable(Protocol):
    """What pieces are read from."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, b"" at the end."""


class Window:
    """The part of the file at hand; `at` is the file offset of the next byte to decode."""

    def __init__(self, stream: Readable):
        self._stream = stream
        self.data, self.base, self.at = b"", 0, 0

    def rest(self, size: int) -> memoryview:
        """Return up to `size` bytes from `at` on, of those at hand."""
        start = self.at - self.base
        return memoryview(self.data)[start : start + size]

    def more(self, keep_from: int) -> bool:
        """Read on; keep what lies behind `keep_from`, within limits. False at the end."""
        chunk = self._stream.read(CHUNK_SIZE_BYTES)
        keep_from = max(self.base, keep_from, self.at - LOOK_BACK_SIZE_BYTES)
        self.data = self.data[keep_from - self.base :] + chunk
        self.base = keep_from
        return bool(chunk)

    def have(self, size: int) -> bool:
        """Say whether `size` more bytes are there, reading on if need be."""
        while self.base + len(self.data) - self.at < size:
            if not self.more(self.at):
                return False
        return True

    def skip(self, size: int) -> bool:
        """Go on by `size` bytes; return False where the file ends before.

        What was passed over stays at hand within limits.
        """
        start, end = self.at, self.at + size
        while self.at < end and (self.base + len(self.data) > self.at or self.more(start)):
            self.at = min(end, self.base + len(self.data))
        return self.at == end

    def left(self) -> int:
        """Return how many bytes the file has behind `at`, as far as that is known."""
        end = getattr(self._stream, "size_bytes", None) or self.base + len(self.data)
        return max(0, int(end) - self.at)

    def tell(self) -> int:
        """Return `at`."""
        return self.at

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes and go on behind them, b"" at the end."""
        if not self.have(1):
            return b""
        data = bytes(self.rest(size if size >= 0 else len(self.data)))
        self.at += len(data)
        return data
