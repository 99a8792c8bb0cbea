"""The records of a WARC file as they stand there: pages not parsed, nothing left out."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from udfs.documents.extract import ExtractionSettings
from udfs.documents.schema import SOURCE_FIELDS, document_id
from udfs.storage.files import open_stream
from udfs.warc.reader import Record, WarcRecord, groups, read_records

_BATCH_ROWS = 200
_OF_DOCUMENTS = ("doc_id", "crawl", "warc_path", "warc_offset", "url", "fetch_time",
                 "http_status", "content_type")  # fmt: skip
RECORDS = pa.schema(
    [
        *(field for field in SOURCE_FIELDS if field.name in _OF_DOCUMENTS),
        # What the crawler found out: its charset and its media type.
        pa.field("detected_charset", pa.string()),
        pa.field("identified_type", pa.string()),
        # The body of the response, null for a record that cannot be read; then `broken` says why.
        pa.field("html", pa.binary()),
        pa.field("broken", pa.string()),
    ]
)


def record_batches(
    crawl: str, uri: str, path: str, settings: ExtractionSettings
) -> Iterator[pa.RecordBatch]:
    """Yield the response records of a WARC (RECORDS), in file order, cut by bytes and rows."""
    with open_stream(uri, settings=settings.reading) as stream:
        found = read_records(stream, settings.warc)
        for records in groups(found, settings.batch_size_bytes, _BATCH_ROWS):
            rows = [_row(crawl, path, record) for record in records]
            records.clear()
            yield pa.RecordBatch.from_pylist(rows, schema=RECORDS)


def _row(crawl: str, path: str, record: Record) -> dict[str, Any]:
    row: dict[str, Any] = {
        "doc_id": document_id(crawl, path, record.offset),
        "crawl": crawl,
        "warc_path": path,
        "warc_offset": record.offset,
        "url": record.url,
    }
    if not isinstance(record, WarcRecord):
        return row | {"broken": f"{record.rule}: {record.reason}"}
    return row | {
        "fetch_time": record.fetch_time,
        "http_status": record.http_status,
        "content_type": record.http_content_type,
        "detected_charset": record.detected_charset,
        "identified_type": record.identified_type,
        "html": record.payload,
    }
