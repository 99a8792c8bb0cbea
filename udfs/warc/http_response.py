"""HTTP responses as they lie in WARC records: header block, body, encodings undone."""

import re
from dataclasses import dataclass

from udfs.warc.http_chunks import begins_chunks
from udfs.warc.http_codings import Body, BrokenMessageError, decoded_body

__all__ = ["BrokenMessageError", "HttpMessage", "header_fields", "is_response", "parse_response"]

MAX_HEADER_SIZE_BYTES = 1024 * 1024
_HEADER_END = re.compile(rb"\n\r{0,2}\n")
# Old servers end lines with a carriage return alone.
_OLD_HEADER_END = re.compile(rb"\r\r(?!\n)")
_STATUS_LINE = re.compile(rb"(?:HTTP(?:/\d(?:\.\d)?)?|ICY)[ \t]+(\d{3})(?:\D|$)", re.IGNORECASE)
_RESPONSE = re.compile(rb"[\r\n]{0,8}(?:HTTP/\d|(?:HTTP|ICY)[ \t]+\d{3}\D)", re.IGNORECASE)
_FIELD_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]*:|[ \t]")
# Of these, all values count.
_REPEATED = ("x-robots-tag", "content-encoding", "transfer-encoding", "content-type")
_MAX_INTERIM_RESPONSES = 16


@dataclass(frozen=True, slots=True)
class HttpMessage:
    """`body` has its transfer and content encodings undone where they could be."""

    status: int | None
    content_type: str | None
    body: bytes
    # Of a header that came more than once, each on a line of its own; "" for none.
    x_robots_tag: str = ""
    tdm_reservation: str = ""
    # What of the body could not be decoded; `is_lost`: all of it.
    damage: str | None = None
    is_lost: bool = False


def is_response(block: bytes) -> bool:
    """Say whether a block begins as an HTTP response does."""
    return _RESPONSE.match(block) is not None


def parse_response(block: bytes, max_body_size_bytes: int) -> HttpMessage:
    """Split an HTTP response into status, Content-Type and body; interim ones before it count not.

    Raises BrokenMessageError where headers or the decoded body exceed their limits.
    """
    head, body = _split(block)
    status = _STATUS_LINE.match(head)
    for _ in range(_MAX_INTERIM_RESPONSES):
        if not (_is_interim(head, status) and is_response(body)):
            break
        head, body = _split(body)
        status = _STATUS_LINE.match(head)
    fields = header_fields(head.partition(b"\n")[2], _REPEATED)
    transfer, content = fields.get("transfer-encoding", ""), fields.get("content-encoding", "")
    if "chunked" not in f"{transfer}{content}".lower() and begins_chunks(body):
        # Some writers store the chunks and leave out the header.
        transfer = f"{transfer}, chunked"
    decoded = Body(body)
    if transfer or content:
        decoded = decoded_body(body, _list(transfer), _list(content), max_body_size_bytes)
    return HttpMessage(
        status=int(status[1]) if status else None,
        content_type=_content_type(fields.get("content-type")),
        body=decoded.data,
        x_robots_tag=fields.get("x-robots-tag", ""),
        tdm_reservation=fields.get("tdm-reservation", ""),
        damage=decoded.damage,
        is_lost=decoded.is_lost,
    )


def _split(block: bytes) -> tuple[bytes, bytes]:
    """Split a response into its head, with line feeds as line ends, and what follows."""
    block = block.lstrip(b"\r\n") if block[:1] in b"\r\n" else block
    end = _HEADER_END.search(block, 0, MAX_HEADER_SIZE_BYTES)
    old_end = None
    if end is None or _has_old_line_end(block, end.start()):
        old_end = _OLD_HEADER_END.search(block, 0, MAX_HEADER_SIZE_BYTES)
    if old_end is not None and b"\n" not in block[: old_end.start()]:
        return block[: old_end.start()].replace(b"\r", b"\n"), block[old_end.end() :]
    if end is not None:
        return block[: end.start()], block[end.end() :]
    if len(block) > MAX_HEADER_SIZE_BYTES:
        raise BrokenMessageError(f"HTTP headers of more than {MAX_HEADER_SIZE_BYTES} bytes")
    return _split_without_blank_line(block)


def _has_old_line_end(block: bytes, head_end: int) -> bool:
    """Say whether a carriage return stands in the first line, but at its end."""
    line_end = block.find(b"\n", 0, head_end)
    return b"\r" in block[: max((head_end if line_end < 0 else line_end) - 1, 0)]


def _split_without_blank_line(block: bytes) -> tuple[bytes, bytes]:
    """Let the head end with the last line that is a field."""
    at = block.find(b"\n") + 1
    while at and _FIELD_LINE.match(block, at):
        line_end = block.find(b"\n", at) + 1
        if not line_end:
            return block, b""
        at = line_end
    return (block[:at], block[at:]) if at else (block, b"")


def _is_interim(head: bytes, status: re.Match[bytes] | None) -> bool:
    """Say whether another response follows: of status 1xx, or of a proxy that has connected."""
    return status is not None and (status[1].startswith(b"1") or b"\n" not in head.strip())


def _list(values: str) -> str:
    return values.replace("\n", ", ")


def _content_type(values: str | None) -> str | None:
    """Return the first of several values, with the charset that a later one adds to it."""
    if values is None or "\n" not in values:
        return values
    first, *others = values.split("\n")
    if "charset" in first.lower():
        return first
    kind = first.partition(";")[0].strip().lower()
    same = (other for other in others if other.partition(";")[0].strip().lower() == kind)
    return next((other for other in same if "charset" in other.lower()), first)


def header_fields(head: bytes, repeated: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the fields of a header block by lower-cased name; of several values, the first.

    Of those named in `repeated`, all, a line each. A value may go on in lines that begin with a
    blank.
    """
    fields: dict[str, str] = {}
    last = ""
    for line in _text(head).split("\n"):
        if line[:1] in (" ", "\t"):
            if last:
                fields[last] = f"{fields[last]} {line.strip()}".strip()
            continue
        name, colon, value = line.partition(":")
        last = name.strip().lower() if colon else ""
        if last:
            if last in repeated and last in fields:
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
