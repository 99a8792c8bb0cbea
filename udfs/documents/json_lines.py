"""JSON Lines in any compression: a document a line; damage costs the line or member it hits."""

import codecs
import json
import re
from collections.abc import Iterator

from udfs import storage
from udfs.documents.extract import ExtractionSettings
from udfs.documents.given import Given
from udfs.documents.parts import WHOLE, FilePart
from udfs.html.charset import mended_utf8
from udfs.warc.compression import LINES_FRAMING, pieces
from udfs.warc.reader import RecordCounts
from udfs.warc.stream_codecs import is_compressed

_READ_SIZE_BYTES = 1024 * 1024
# How a file in another charset begins: a byte order mark, or a bracket without one.
_WIDE = (
    (re.compile(re.escape(codecs.BOM_UTF32_LE)), "utf-32-le"),
    (re.compile(re.escape(codecs.BOM_UTF32_BE)), "utf-32-be"),
    (re.compile(re.escape(codecs.BOM_UTF16_LE)), "utf-16-le"),
    (re.compile(re.escape(codecs.BOM_UTF16_BE)), "utf-16-be"),
    (re.compile(rb"(?=(?:[\t\n\r ]\0){0,64}[{\[]\0[^\0])"), "utf-16-le"),
    (re.compile(rb"(?=(?:\0[\t\n\r ]){0,64}\0[{\[]\0[^\0])"), "utf-16-be"),
)
_HEAD_SIZE_BYTES = 256
# JSON has them as escapes only.
_CONTROL = re.compile("[\x00-\x1f]")


def json_rows(
    uri: str, part: FilePart, settings: ExtractionSettings, counts: RecordCounts
) -> Iterator[Given]:
    """Yield what stands on each line, from 0; `counts` takes the bytes that gave nothing.

    The position is the number of the line; in a part of a file, the byte at which the line begins.
    """
    limit = settings.warc.max_record_size_bytes
    lines = _Lines(limit)
    if not part.is_whole and not _is_divisible(uri, settings):
        # The first part takes all of it.
        if part.start > 0:
            return
        part = WHOLE
    if part.is_whole:
        with storage.open_stream(uri, settings=settings.reading) as stream:
            window = settings.warc.max_window_size_bytes
            lost = 0
            for piece in pieces(stream, LINES_FRAMING, window)[0]:
                yield from lines.add(piece.data)
                if piece.error is not None:
                    lost += piece.lost_size_bytes
                    yield from lines.damage(f"{piece.error} (near byte {piece.offset})")
            yield from lines.end()
            # Lines are counted as decoded.
            read = max(0, stream.tell() - lost)
            counts.lost_size_bytes += lost + round(read * lines.bad_fraction)
        return
    yield from _part_rows(uri, part, settings, lines)
    counts.lost_size_bytes += lines.bad_size_bytes


def _is_divisible(uri: str, settings: ExtractionSettings) -> bool:
    """Say whether a line feed ends a line wherever one reads: no compression, no UTF-16."""
    with storage.open_stream(uri, settings=settings.reading) as stream:
        head = stream.read(_HEAD_SIZE_BYTES)
    return not is_compressed(head) and _wide_charset(head) is None


def _wide_charset(head: bytes) -> tuple[str, int] | None:
    """Return the charset of a file that is not in UTF-8, and the size of its byte order mark."""
    places = ((charset, begin.match(head)) for begin, charset in _WIDE)
    return next(((charset, found.end()) for charset, found in places if found), None)


def _part_rows(
    uri: str, part: FilePart, settings: ExtractionSettings, lines: "_Lines"
) -> Iterator[Given]:
    """Yield the lines that begin in a part of a plain file."""
    start = max(0, part.start - 1)
    with storage.open_stream(uri, start, settings.reading) as stream:
        lines.begin_at(start, skips_first=part.start > 0)
        while data := stream.read(_READ_SIZE_BYTES):
            for row in lines.add(data):
                if part.end is not None and row.position >= part.end:
                    return
                yield row
            if part.end is not None and lines.position >= part.end:
                return
        yield from lines.end()


class _Lines:
    """Cuts pieces into lines of at most `limit` bytes, and reads each."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._begun: list[bytes] = []
        self._size = 0
        # Bytes of the lines that were taken, and of those among them that hold no document.
        self._taken_size_bytes = self.bad_size_bytes = 0
        # The number of the next line or, where bytes are counted, where it begins.
        self.position = 0
        self._counts_bytes = self._skips_first = False
        self._is_first = True
        self._wide: codecs.IncrementalDecoder | None = None

    def begin_at(self, byte: int, skips_first: bool) -> None:
        """Count bytes from `byte` on; the rest of a line of another part may come first."""
        self.position, self._counts_bytes, self._skips_first = byte, True, skips_first

    def add(self, data: bytes) -> Iterator[Given]:
        *complete, rest = self._as_utf8(data).split(b"\n")
        for end in complete:
            self._append(end)
            yield from self._take(1)
        self._append(rest)

    def damage(self, reason: str) -> Iterator[Given]:
        """Yield what the damage costs: the line that it hits, which may be whole."""
        if self._begun and self._begun[-1].rstrip().endswith(b"}"):
            yield from self._take(0)
        self._begun, self._size = [], 0
        yield Given(self.position, rule="damaged_file", reason=reason)
        self.position += 1

    @property
    def bad_fraction(self) -> float:
        """The share of bytes of lines that hold no document, but for empty ones."""
        return self.bad_size_bytes / max(1, self._taken_size_bytes)

    def end(self) -> Iterator[Given]:
        if self._size:
            yield from self._take(0)

    def _append(self, data: bytes) -> None:
        self._size += len(data)
        if data and self._size <= self._limit:
            self._begun.append(data)

    def _take(self, line_end_bytes: int) -> Iterator[Given]:
        parts, size, position = self._begun, self._size, self.position
        self._begun, self._size = [], 0
        self.position += size + line_end_bytes if self._counts_bytes else 1
        if self._skips_first:
            self._skips_first = False
        elif size > self._limit:
            reason = f"a line of {size} bytes, the limit is {self._limit}"
            self._count(size, is_bad=True)
            yield Given(position, rule="line_too_large", reason=reason, value=size)
        else:
            line = b"".join(parts)
            given = _given(line, position)
            # Zeros stand for what a machine did not write before it stopped.
            self._count(size, is_bad=given.rule == "bad_json", padding_bytes=line.count(b"\0"))
            yield given

    def _count(self, size: int, is_bad: bool, padding_bytes: int = 0) -> None:
        self._taken_size_bytes += size
        self.bad_size_bytes += size if is_bad else padding_bytes

    def _as_utf8(self, data: bytes) -> bytes:
        """Return a piece as UTF-8; the beginning of the file may say that it is in UTF-16."""
        if self._is_first and data:
            self._is_first = False
            wide = None if self._counts_bytes else _wide_charset(data[:_HEAD_SIZE_BYTES])
            if wide is not None:
                charset, mark_size = wide
                self._wide, data = (
                    codecs.getincrementaldecoder(charset)("replace"),
                    data[mark_size:],
                )
        return self._wide.decode(data).encode("utf-8", "replace") if self._wide else data


def _given(line: bytes, position: int) -> Given:
    content = line.removeprefix(codecs.BOM_UTF8).strip()
    if not content:
        return Given(position, rule="empty_line", reason="the line is empty")
    document = content.strip(b"\0 \t\r\n").removeprefix(codecs.BOM_UTF8)
    damages = ["zeros beside it"] if b"\0" in (content[:1], content[-1:]) else []
    try:
        text = document.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        page = mended_utf8(document)
        if page is None:
            return Given(position, rule="bad_json", reason="not JSON: it is no UTF-8")
        text = page.utf8.decode()
        damages.append(f"{page.num_wrong} times no utf-8")
    return _document(text, position, damages)


def _document(text: str, position: int, damages: list[str]) -> Given:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        document = _loosely(text)
        if document is None:
            return Given(position, rule="bad_json", reason=f"not JSON: {error}")
        damages.append("control characters")
    if not isinstance(document, dict):
        return Given(position, rule="bad_json", reason="the line is not a JSON object")
    damage = "; ".join(damages) or None
    return Given(position, values=document, names=tuple(document), damage=damage)


def _loosely(text: str) -> object:
    """Return the value of a text that is JSON but for control characters in it, None for others."""
    if _CONTROL.search(text) is None:
        return None
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
