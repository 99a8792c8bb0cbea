"""WARC files as a stream of response records, each whole or with the reason why it is not."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime

from udfs.warc.http_response import (
    BrokenMessageError,
    header_fields,
    is_response,
    parse_response,
)
from udfs.warc.records import DEFAULT_SETTINGS, BrokenRecord, RawRecord, WarcSettings
from udfs.warc.scanner import RecordScanner
from udfs.warc.window import Readable


@dataclass
class RecordCounts:
    """How many records of each type a file held; `broken` counts those that cannot be read.

    `lost_size_bytes` are the bytes of the file from which damage left nothing to be read.
    """

    response: int = 0
    request: int = 0
    metadata: int = 0
    warcinfo: int = 0
    revisit: int = 0
    resource: int = 0
    conversion: int = 0
    continuation: int = 0
    other: int = 0
    broken: int = 0
    lost_size_bytes: int = 0

    def count(self, record_type: str) -> None:
        """Add one whole record, of a type that its header names."""
        name = record_type if record_type in _TYPES else "other"
        setattr(self, name, getattr(self, name) + 1)

    def count_broken(self) -> None:
        """Add one record that cannot be read."""
        self.broken += 1


_TYPES = {one.name for one in fields(RecordCounts)} - {"broken", "lost_size_bytes"}


@dataclass(frozen=True, slots=True)
class WarcRecord:
    """A response record; `payload` is the HTTP body with transfer and content encodings undone."""

    offset: int
    url: str | None
    fetch_time: datetime | None
    http_status: int | None
    http_content_type: str | None
    # The charset that the crawler detected (Common Crawl's metadata record), if it says one.
    detected_charset: str | None
    identified_type: str | None
    truncated: str | None
    record_id: str | None
    payload: bytes
    # HTTP headers about the use of the page, as in `HttpMessage`.
    x_robots_tag: str = ""
    tdm_reservation: str = ""
    # What of the body could not be decoded; the payload is the part before it.
    damage: str | None = None


def read_records(
    stream: Readable,
    settings: WarcSettings = DEFAULT_SETTINGS,
    counts: RecordCounts | None = None,
) -> Iterator[WarcRecord | BrokenRecord]:
    """Yield every response record of a WARC file and every broken record, in file order.

    Records of other types are only counted, in `counts`.
    """
    counts = RecordCounts() if counts is None else counts
    # Popped as they are yielded, for a generator keeps its variables, and a page may be large.
    waiting: list[WarcRecord] = []
    scanner = RecordScanner(stream, settings)
    for raw in scanner.records():
        if waiting and isinstance(raw, RawRecord):
            waiting[0] = _with_detected_charset(waiting[0], raw)
        if isinstance(raw, RawRecord) and raw.record_type != "response":
            counts.count(raw.record_type)
            continue
        if waiting:
            yield waiting.pop()
        record = _response(raw, settings) if isinstance(raw, RawRecord) else raw
        if isinstance(record, BrokenRecord):
            counts.count_broken()
            yield record
        else:
            counts.count("response")
            waiting.append(record)
        del raw, record
    counts.lost_size_bytes += scanner.lost_size_bytes
    if waiting:
        yield waiting.pop()


def _response(raw: RawRecord, settings: WarcSettings) -> WarcRecord | BrokenRecord:
    fields = raw.fields
    url = fields.get("warc-target-uri", "").strip("<>") or None
    status, content_type, payload = None, fields.get("content-type"), raw.block
    x_robots_tag = tdm_reservation = ""
    damage = None
    if is_response(raw.block):
        try:
            message = parse_response(raw.block, settings.max_record_size_bytes)
        except BrokenMessageError as error:
            return BrokenRecord(raw.offset, "http_too_large", str(error), url)
        if message.is_lost:
            return BrokenRecord(raw.offset, "could_not_decode", message.damage or "", url)
        status, content_type, payload = message.status, message.content_type, message.body
        x_robots_tag, tdm_reservation = message.x_robots_tag, message.tdm_reservation
        damage = message.damage
    return WarcRecord(
        offset=raw.offset,
        url=url,
        fetch_time=parse_date(fields.get("warc-date", "")),
        http_status=status,
        http_content_type=content_type,
        detected_charset=None,
        identified_type=fields.get("warc-identified-payload-type"),
        truncated=fields.get("warc-truncated"),
        record_id=fields.get("warc-record-id"),
        payload=payload,
        x_robots_tag=x_robots_tag,
        tdm_reservation=tdm_reservation,
        damage=damage,
    )


def parse_date(value: str) -> datetime | None:
    """Return the time of a WARC-Date in UTC, None for what is no date or none of these years."""
    try:
        parsed = datetime.fromisoformat(value)
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _with_detected_charset(record: WarcRecord, follower: RawRecord) -> WarcRecord:
    """Take the charset from a metadata record that speaks of `record`."""
    if follower.record_type != "metadata":
        return record
    fields = follower.fields
    about = (fields.get("warc-refers-to"), fields.get("warc-concurrent-to"))
    if record.record_id not in about and fields.get("warc-target-uri") != record.url:
        return record
    charset = header_fields(follower.block).get("charset-detected")
    return replace(record, detected_charset=charset) if charset else record


Record = WarcRecord | BrokenRecord


def groups(
    records: Iterator[Record], max_size_bytes: int, max_records: int
) -> Iterator[list[Record]]:
    """Cut records into groups, which end with the record that reaches a limit.

    Whoever clears a group frees its records: nothing here keeps them.
    """
    group: list[Record] = []
    size = 0
    for record in records:
        group.append(record)
        size += _size_bytes(record)
        del record
        if size >= max_size_bytes or len(group) >= max_records:
            yield group
            group, size = [], 0
    if group:
        yield group


def _size_bytes(record: Record) -> int:
    """Return about what a record takes; an address or media type may be long too."""
    size = len(record.url or "")
    if isinstance(record, WarcRecord):
        size += len(record.payload) + len(record.http_content_type or "")
    return size
