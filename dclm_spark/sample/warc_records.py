"""Writing pages as WARC records the way Common Crawl does, and breaking some on purpose."""

import gzip
import io
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from warcio.recordloader import ArcWarcRecord
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The expected outcome of one response record under the sample recipe.

    `stage` is where it is decided: None (it reaches deduplication; `fate` is kept), "documents",
    "deduplicate", "select" (by the trained classifier), "charset" (`fate` holds where the charset
    is detected, `strict_fate` where only strict UTF-8 is read) or "policy" (by
    settings of media types, status or thin pages; `fate` is None). `url` is None where the record
    cannot be read. `duplicate_of` is the address of the twin; `jaccard` their similarity over
    word 5-grams.
    """

    kind: str
    url: str | None
    fate: str | None
    stage: str | None = None
    rule: str | None = None
    strict_fate: str | None = None
    language: str = "en"
    charset: str = "utf-8"
    duplicate_of: str | None = None
    jaccard: float | None = None

    def as_row(self, warc: str, position: int) -> dict[str, Any]:
        """Return the JSON object: these fields, the file, and which response of the file it is."""
        return {"warc": warc, "response": position, **asdict(self)}


def jaccard(left: str, right: str, size: int = 5) -> float:
    """Return the Jaccard similarity of two texts over their sets of word n-grams."""
    first, second = _shingles(left, size), _shingles(right, size)
    return len(first & second) / len(first | second)


def _shingles(text: str, size: int) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[i : i + size]) for i in range(max(1, len(words) - size + 1))}


_START = datetime(2026, 1, 1, tzinfo=UTC)
DAMAGES = ("damaged_member", "wrong_length", "garbage_member", "truncated_tail")


@dataclass(frozen=True, kw_only=True)
class Page:
    """One capture; `detected_charset` goes into its metadata record, `damage` is of DAMAGES."""

    truth: Truth
    url: str
    body: bytes
    content_type: str | None = "text/html; charset=utf-8"
    status: str = "200 OK"
    detected_charset: str | None = None
    damage: str | None = None
    http: bool = True


def write_warc(path: Path, pages: Sequence[Page], rng: Random) -> dict[str, int]:
    """Write warcinfo and the records of `pages`; return how many records of each type are whole.

    A truncated page must be the last. The bytes depend on the arguments alone.
    """
    counts = {"warcinfo": 1, "request": 0, "response": 0, "metadata": 0, "broken": 0}
    buffer = io.BytesIO()
    writer = WARCWriter(buffer, gzip=True)
    info = {"software": "dclm-spark sample", "isPartOf": "SAMPLE-2026-01", "format": "WARC 1.0"}
    record = writer.create_warcinfo_record(path.name, info)
    record.rec_headers.replace_header("WARC-Date", _date(0))
    record.rec_headers.replace_header("WARC-Record-ID", _record_id(rng))
    writer.write_record(record)
    for number, page in enumerate(pages):
        _write_page(writer, buffer, page, number, rng, counts)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())
    return counts


def _write_page(
    writer: WARCWriter,
    buffer: io.BytesIO,
    page: Page,
    number: int,
    rng: Random,
    counts: dict[str, int],
) -> None:
    request_id, response_id, metadata_id = (_record_id(rng) for _ in range(3))
    common = {"WARC-Date": _date(number), "WARC-Target-URI": page.url}
    writer.write_record(_request(writer, page, common | {"WARC-Record-ID": request_id}))
    counts["request"] += 1
    start = buffer.tell()
    ids = {"WARC-Record-ID": response_id, "WARC-Concurrent-To": request_id}
    writer.write_record(_response(writer, page, common | ids))
    if page.damage:
        _break(buffer, start, page.damage, rng)
    counts["broken" if page.damage else "response"] += 1
    if page.damage != "truncated_tail":
        note = f"fetchTimeMs: {rng.randint(20, 900)}\r\n"
        if page.detected_charset:
            note += f"charset-detected: {page.detected_charset}\r\n"
        ids = {"WARC-Record-ID": metadata_id, "WARC-Concurrent-To": response_id}
        writer.write_record(_metadata(writer, page, note, common | ids))
        counts["metadata"] += 1


def _request(writer: WARCWriter, page: Page, headers: dict[str, str]) -> ArcWarcRecord:
    host, _, path = page.url.split("://", 1)[1].partition("/")
    http = StatusAndHeaders(f"GET /{path} HTTP/1.1", [("Host", host)], is_http_request=True)
    return writer.create_warc_record(
        page.url, "request", http_headers=http, warc_headers_dict=headers
    )


def _response(writer: WARCWriter, page: Page, headers: dict[str, str]) -> ArcWarcRecord:
    # Only a resource record may hold a block that is no HTTP message; it is renamed here.
    response = writer.create_warc_record(
        page.url,
        "response" if page.http else "resource",
        payload=io.BytesIO(page.body),
        http_headers=_http_headers(page) if page.http else None,
        warc_content_type="application/http; msgtype=response",
        warc_headers_dict=headers,
    )
    response.rec_headers.replace_header("WARC-Type", "response")
    return response


def _metadata(writer: WARCWriter, page: Page, note: str, headers: dict[str, str]) -> ArcWarcRecord:
    return writer.create_warc_record(
        page.url,
        "metadata",
        payload=io.BytesIO(note.encode()),
        warc_content_type="application/warc-fields",
        warc_headers_dict=headers,
    )


def _http_headers(page: Page) -> StatusAndHeaders:
    headers = [("Server", "sample"), ("Content-Length", str(len(page.body)))]
    if page.content_type:
        headers.insert(0, ("Content-Type", page.content_type))
    return StatusAndHeaders(page.status, headers, protocol="HTTP/1.1")


def _break(buffer: io.BytesIO, start: int, damage: str, rng: Random) -> None:
    """Replace the gzip member that begins at `start` by a damaged version of it."""
    buffer.seek(start)
    member = buffer.read()
    if damage == "damaged_member":
        middle = len(member) // 2
        member = member[:middle] + rng.randbytes(24) + member[middle + 24 :]
    elif damage == "truncated_tail":
        member = member[: len(member) * 2 // 3]
    elif damage == "garbage_member":
        member = _member(b"\x16\x03\x01 this is no record at all\n" * 20)
    else:
        head, _, rest = gzip.decompress(member).partition(b"Content-Length: ")
        length, _, rest = rest.partition(b"\r\n")
        wrong = str(int(length) + 100_000).encode()
        member = _member(head + b"Content-Length: " + wrong + b"\r\n" + rest)
    buffer.seek(start)
    buffer.truncate()
    buffer.write(member)


def _member(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def _date(number: int) -> str:
    return (_START + timedelta(seconds=7 * number)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _record_id(rng: Random) -> str:
    return f"<urn:uuid:{uuid.UUID(int=rng.getrandbits(128), version=4)}>"
