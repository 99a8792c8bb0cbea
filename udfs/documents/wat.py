"""WAT files: what Common Crawl notes of each page, its title, meta elements and links, as JSON."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from udfs import storage
from udfs.documents.extract import ExtractionSettings
from udfs.documents.given import Given, clean_text
from udfs.documents.schema import SOURCE_FIELDS, document_id
from udfs.warc.reader import RecordCounts, parse_date
from udfs.warc.records import BrokenRecord, RawRecord
from udfs.warc.scanner import RecordScanner

_BATCH_ROWS = 500
# What a note of another form raises: keys that are not there, values of other types and sizes.
_BAD_NOTES = (ValueError, TypeError, AttributeError, LookupError, OverflowError)
_NO_TEXTS = "a WAT file has no texts; give the WET or WARC file, or use dclm_spark.read_metadata"
_OF_DOCUMENTS = ("doc_id", "crawl", "warc_path", "warc_offset", "url", "fetch_time",
                 "http_status", "content_type")  # fmt: skip
_META = pa.struct([("name", pa.string()), ("content", pa.string())])
# `path` is element and attribute, such as "A@/href"; the address is as it stands in the page.
_LINK = pa.struct([("url", pa.string()), ("path", pa.string()), ("text", pa.string())])
# Ids, path and offset are those of the page in its WARC file.
PAGE_METADATA = pa.schema(
    [
        *(field for field in SOURCE_FIELDS if field.name in _OF_DOCUMENTS),
        pa.field("title", pa.string()),
        # The `name` or `property` of an element, and its `content`; or an `http-equiv`.
        pa.field("metas", pa.list_(_META)),
        pa.field("links", pa.list_(_LINK)),
        # Why a record cannot be read, null elsewhere.
        pa.field("broken", pa.string()),
    ]
)


def metadata_batches(
    crawl: str, uri: str, path: str, settings: ExtractionSettings
) -> Iterator[pa.RecordBatch]:
    """Yield what a WAT file notes of responses (PAGE_METADATA), cut by rows and bytes."""
    rows: list[dict[str, Any]] = []
    size = 0
    with storage.open_stream(uri, settings=settings.reading) as stream:
        for record in RecordScanner(stream, settings.warc).records():
            row = _row(crawl, path, record)
            if row is None:
                continue
            rows.append(row)
            size += len(record.block) if isinstance(record, RawRecord) else 0
            if len(rows) == _BATCH_ROWS or size > settings.batch_size_bytes:
                yield pa.RecordBatch.from_pylist(rows, schema=PAGE_METADATA)
                rows, size = [], 0
    if rows:
        yield pa.RecordBatch.from_pylist(rows, schema=PAGE_METADATA)


def _row(crawl: str, path: str, record: RawRecord | BrokenRecord) -> dict[str, Any] | None:
    """Return the row of a record, None for one that tells of no response."""
    row: dict[str, Any] = {"crawl": crawl, "warc_path": page_path(path)}
    if isinstance(record, BrokenRecord):
        return row | {"broken": f"{record.rule}: {record.reason} (byte {record.offset} of {path})"}
    if record.record_type != "metadata":
        return None
    row["url"] = record.fields.get("warc-target-uri", "").strip("<>") or None
    try:
        noted = json.loads(record.block)
        return row | _noted(crawl, row["warc_path"], noted) if _is_response(noted) else None
    except (*_BAD_NOTES, RecursionError) as error:
        return row | {"broken": f"bad_json: {error} (byte {record.offset} of {path})"}


def wat_rows(uri: str, settings: ExtractionSettings, counts: RecordCounts) -> Iterator[Given]:
    """Yield for each note of a WAT file that there is no text in it."""
    with storage.open_stream(uri, settings=settings.reading) as stream:
        scanner = RecordScanner(stream, settings.warc)
        for record in scanner.records():
            if isinstance(record, BrokenRecord):
                yield Given(record.offset, rule=record.rule, reason=record.reason)
            elif record.record_type == "metadata":
                yield Given(record.offset, rule="missing_text", reason=_NO_TEXTS)
        counts.lost_size_bytes += scanner.lost_size_bytes


def page_path(path: str) -> str:
    """Return the path of the WARC file that a WAT file was made from."""
    folder, _, name = path.rpartition("/")
    name = name.replace(".warc.wat", ".warc").replace(".wat", ".warc")
    folders = ["warc" if one == "wat" else one for one in folder.split("/")]
    return "/".join([*folders, name]) if folder else name


def _is_response(noted: Mapping[str, Any]) -> bool:
    about = noted["Envelope"].get("WARC-Header-Metadata", {})
    return bool(about.get("WARC-Type") == "response")


def _noted(crawl: str, path: str, noted: Mapping[str, Any]) -> dict[str, Any]:
    envelope = noted["Envelope"]
    about = envelope["WARC-Header-Metadata"]
    payload = envelope.get("Payload-Metadata", {}).get("HTTP-Response-Metadata", {})
    headers = {name.lower(): value for name, value in payload.get("Headers", {}).items()}
    html = payload.get("HTML-Metadata", {})
    head = html.get("Head", {})
    offset = int(noted["Container"]["Offset"])
    if not 0 <= offset < 1 << 63:
        raise ValueError(f"Offset = {offset}")
    status = str(payload.get("Response-Message", {}).get("Status", ""))
    return {
        "doc_id": document_id(crawl, path, offset),
        "warc_offset": offset,
        "url": _text(about.get("WARC-Target-URI")),
        "fetch_time": parse_date(about.get("WARC-Date", "")),
        "http_status": int(status) if len(status) == 3 and status.isdecimal() else None,
        "content_type": _text(headers.get("content-type")),
        "title": _text(head.get("Title")),
        "metas": [_meta(one) for one in head.get("Metas", ())],
        "links": [
            {name: _text(one.get(name)) for name in ("url", "path", "text")}
            for one in (*head.get("Link", ()), *html.get("Links", ()))
        ],
    }


def _meta(element: Mapping[str, Any]) -> dict[str, str | None]:
    names = (element.get(name) for name in ("name", "property", "http-equiv"))
    return {
        "name": _text(next((name for name in names if name), None)),
        "content": _text(element.get("content")),
    }


def _text(value: Any) -> str | None:
    """Return a value as text without lone surrogates; of several, the first."""
    if isinstance(value, list):
        value = value[0] if value else None
    return clean_text(value)
