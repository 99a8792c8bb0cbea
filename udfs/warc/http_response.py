"""HTTP responses as they lie in WARC records: header block, body, encodings undone."""

import io
import re
import zlib
from dataclasses import dataclass
from typing import cast

MAX_HEADER_SIZE_BYTES = 1024 * 1024
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)?\s+(\d{3})(?:\D|$)")
_CHUNK_SIZE = re.compile(rb"\s*([0-9A-Fa-f]{1,8})[^\r\n]{0,256}\r?\n")
_MANY_TIMES = "x-robots-tag"


class BrokenMessageError(ValueError):
    """The message cannot be read within the limits."""


@dataclass(frozen=True, slots=True)
class HttpMessage:
    """`body` has its transfer and content encodings undone where they could be."""

    status: int | None
    content_type: str | None
    body: bytes
    # Of a header that came more than once, each on a line of its own; "" for none.
    x_robots_tag: str = ""
    tdm_reservation: str = ""


def parse_response(block: bytes, max_body_size_bytes: int) -> HttpMessage:
    """Split an HTTP response into status, Content-Type and body.

    Raises BrokenMessageError where headers or the decoded body exceed their limits.
    """
    end = _HEADER_END.search(block, 0, MAX_HEADER_SIZE_BYTES)
    if end is None and len(block) > MAX_HEADER_SIZE_BYTES:
        raise BrokenMessageError(f"HTTP headers of more than {MAX_HEADER_SIZE_BYTES} bytes")
    head, body = (block, b"") if end is None else (block[: end.start()], block[end.end() :])
    status = _STATUS_LINE.match(head)
    fields = header_fields(head.partition(b"\n")[2])
    if "chunked" in fields.get("transfer-encoding", "").lower():
        body = _unchunked(body)
    encoding = fields.get("content-encoding", "").strip().lower()
    if encoding:
        body = _decoded(body, encoding, max_body_size_bytes)
    return HttpMessage(
        status=int(status[1]) if status else None,
        content_type=fields.get("content-type"),
        body=body,
        x_robots_tag=fields.get(_MANY_TIMES, ""),
        tdm_reservation=fields.get("tdm-reservation", ""),
    )


def header_fields(head: bytes) -> dict[str, str]:
    """Return the fields of a header block by lower-cased name; of repeated ones, the first.

    Of X-Robots-Tag, all, a line each.
    """
    fields: dict[str, str] = {}
    last = ""
    for line in _text(head).split("\n"):
        if line[:1] in (" ", "\t"):
            if last:
                fields[last] += " " + line.strip()
            continue
        name, colon, value = line.partition(":")
        last = name.strip().lower() if colon else ""
        if last:
            if last == _MANY_TIMES and last in fields:
                fields[last] += "\n" + value.strip()
                continue
            last = "" if last in fields else last
            if last:
                fields[last] = value.strip()
    return fields


def _text(head: bytes) -> str:
    try:
        return head.decode()
    except UnicodeDecodeError:
        return head.decode("latin-1")


def _unchunked(body: bytes) -> bytes:
    """Join the chunks; a body that is not chunked after all stays as it is."""
    parts: list[bytes] = []
    position = 0
    while size_line := _CHUNK_SIZE.match(body, position):
        size = int(size_line[1], 16)
        if size == 0:
            return b"".join(parts)
        parts.append(body[size_line.end() : size_line.end() + size])
        position = size_line.end() + size
        line_end = body[position : position + 2]
        position += 2 if line_end == b"\r\n" else line_end[:1] == b"\n"
    # Cut off in the middle of the body (or never chunked): what came is the page.
    return b"".join(parts) if parts and position >= len(body) else body


def _decoded(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo one content encoding; a body that is not so encoded stays as it is."""
    if encoding in ("gzip", "x-gzip") and body.startswith(b"\x1f\x8b"):
        return _inflated(body, 31, limit)
    if encoding == "deflate":
        return _inflated(body, 15 if body[:1] == b"\x78" else -15, limit)
    if encoding == "br":
        from fastwarc.stream_io import BrotliReader

        return _read_limited(BrotliReader(io.BytesIO(body)), body, limit)
    if encoding == "zstd":
        import zstandard

        reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(body))
        return _read_limited(reader, body, limit)
    return body


def _inflated(body: bytes, window_bits: int, limit: int) -> bytes:
    inflate = zlib.decompressobj(window_bits)
    try:
        result = inflate.decompress(body, limit + 1)
    except zlib.error:
        return body
    return _within(result, limit)


def _read_limited(reader: object, body: bytes, limit: int) -> bytes:
    parts, size = [], 0
    try:
        while size <= limit and (part := cast(io.RawIOBase, reader).read(1 << 20)):
            parts.append(part)
            size += len(part)
    except Exception:
        return b"".join(parts) if parts else body
    return _within(b"".join(parts), limit)


def _within(result: bytes, limit: int) -> bytes:
    if len(result) > limit:
        raise BrokenMessageError(f"an HTTP body of more than {limit} bytes once decoded")
    return result
