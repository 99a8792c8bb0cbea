"""The chunked transfer coding undone; a wrong size or a cut costs what it hits."""

import re

# Some servers pad sizes with zeros or blanks.
_SIZE = rb"[ \t]{0,16}0{0,32}([0-9A-Fa-f]{1,8})[ \t]{0,16}(?:;[^\r\n]{0,4096})?"
_SIZE_LINE = re.compile(_SIZE + rb"\r{0,2}\n")
_CERTAIN_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]{0,16}\r\n")
_LINE_AND_SIZE = re.compile(rb"\n" + _SIZE + rb"(?=\r{0,2}\n)")
_CUT_SIZE = re.compile(rb"[ \t]*[0-9A-Fa-f]{1,32}[ \t]*(?:;[^\r\n]*)?\r{0,2}")
# One that is a number, but no size: with a sign or "0x", or too large.
_WRONG_SIZE_LINE = re.compile(
    rb"[ \t]{0,16}[-+]?(?:0[xX])?[0-9A-Fa-f]{1,64}[ \t]{0,16}(?:;[^\r\n]{0,4096})?\r{0,2}\n"
)
# A line that may be a damaged size.
_SHORT_LINE = re.compile(rb"[^\r\n<]{1,32}\r{0,2}\n")
_LINE_END = re.compile(rb"\r{0,2}\n")
_LINE_ENDS = re.compile(rb"[\r\n]{0,16}")
_ONLY_LINE_ENDS = re.compile(rb"[\r\n]*")
_CUT_OFF = "the chunks are cut off"


def begins_chunks(body: bytes) -> bool:
    """Say whether a body begins with a chunk that another one follows, or the end of them."""
    line = _CERTAIN_SIZE_LINE.match(body)
    if line is None:
        return False
    end = line.end() + int(line[1], 16)
    return body.startswith(b"\r\n", end) and bool(_CERTAIN_SIZE_LINE.match(body, end + 2))


def unchunked(body: bytes) -> tuple[bytes, str | None]:
    """Return the chunks joined, and what is wrong with them; a body without chunks as it is."""
    start = _end(_LINE_ENDS, body, 0)
    is_size = _SIZE_LINE.match(body, start) or _CUT_SIZE.fullmatch(body, start)
    is_size = is_size or _WRONG_SIZE_LINE.match(body, start)
    if not is_size and _next_size_line(body, 0, may_be_last=False) is None:
        return body, None
    chunks = _Chunks(body, start)
    while chunks.take():
        pass
    return b"".join(chunks.parts), chunks.damage


class _Chunks:
    """The chunks of a body up to `at`, where the next size begins."""

    def __init__(self, body: bytes, at: int) -> None:
        self._body, self._at = body, at
        self.parts: list[bytes] = []
        self.damage: str | None = None

    def take(self) -> bool:
        """Take what follows; return False where nothing more can be taken."""
        line = _SIZE_LINE.match(self._body, self._at)
        if line is None:
            return self._take_behind_damaged_size()
        size = int(line[1], 16)
        if size:
            self._take_chunk(line.end(), line.end() + size)
        return size > 0

    def _take_chunk(self, start: int, end: int) -> None:
        body = self._body
        if end <= len(body) and (_LINE_END.match(body, end) or _SIZE_LINE.match(body, end)):
            self.parts.append(body[start:end])
            self._at = _end(_LINE_END, body, end)
            return
        # The size is wrong, or the body is cut off within the chunk.
        found = _next_size_line(body, start)
        self._take_up_to(found, start, end)

    def _take_behind_damaged_size(self) -> bool:
        """Take what stands behind a size that cannot be read, up to the next one that can."""
        body, at = self._body, self._at
        is_end = _CUT_SIZE.fullmatch(body, at) or _ONLY_LINE_ENDS.fullmatch(body, at)
        start = _end(_WRONG_SIZE_LINE, body, at)
        start = start if start > at else _end(_SHORT_LINE, body, at)
        found = None if is_end else _next_size_line(body, max(0, start - 1))
        # Of a body without any right size all is taken, but for the wrong one.
        all_is_left = not (is_end or self.parts)
        self._take_up_to(found, start, len(body) if all_is_left else start)
        return found is not None

    def _take_up_to(self, size_line: tuple[int, int] | None, start: int, end: int) -> None:
        """Take body[start:end], or what is there before the next size line where one is found."""
        damage = _CUT_OFF
        if size_line is not None:
            damage = f"the chunk at byte {start} of the body has no right size"
            end, self._at = size_line
        else:
            self._at = len(self._body)
        self.parts.append(self._body[start:end])
        self.damage = self.damage or damage


def _end(pattern: re.Pattern[bytes], body: bytes, at: int) -> int:
    """Return where a match at `at` ends, or `at` where there is none."""
    found = pattern.match(body, at)
    return found.end() if found else at


def _next_size_line(body: bytes, start: int, may_be_last: bool = True) -> tuple[int, int] | None:
    """Return where the data of a damaged chunk ends, and where the next size line begins.

    A size line is believed that is the last, or whose own chunk is followed by another.
    """
    for found in _LINE_AND_SIZE.finditer(body, start):
        size, line_start = int(found[1], 16), found.start() + 1
        chunk_end = _end(_SIZE_LINE, body, line_start) + size
        if _is_followed(body, chunk_end) if size else may_be_last:
            data_end = found.start()
            while data_end > start and body[data_end - 1 : data_end] == b"\r":
                data_end -= 1
            return data_end, line_start
    return None


def _is_followed(body: bytes, end: int) -> bool:
    """Say whether a chunk that ends at `end` is followed by a size, or by the end of the body."""
    at = _end(_LINE_END, body, end)
    is_end = _CUT_SIZE.fullmatch(body, at) or not body[at : at + 32].strip(b"\r\n")
    return end <= len(body) and bool(_SIZE_LINE.match(body, at) or is_end)
