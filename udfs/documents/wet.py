"""WET files: the text that Common Crawl extracted of each page, in conversion records."""

from collections.abc import Iterator

from udfs import storage
from udfs.documents.extract import ExtractionSettings
from udfs.documents.given import METADATA, Given, InputSettings, Values
from udfs.warc.reader import RecordCounts
from udfs.warc.records import BrokenRecord, RawRecord
from udfs.warc.scanner import RecordScanner

_TEXTS = "conversion"
# Fields of the record that name it or say how it is stored.
_HIDDEN = {"warc-type", "warc-record-id", "warc-refers-to", "warc-block-digest", "content-length"}


def wet_rows(
    uri: str, settings: ExtractionSettings, columns: InputSettings, counts: RecordCounts
) -> Iterator[Given]:
    """Yield the text of each conversion record, at the record's offset.

    The fields of a record, such as `warc-identified-content-language`, are own columns.
    """
    with storage.open_stream(uri, settings=settings.reading) as stream:
        scanner = RecordScanner(stream, settings.warc)
        for record in scanner.records():
            if isinstance(record, BrokenRecord):
                yield Given(record.offset, rule=record.rule, reason=record.reason)
            elif record.record_type == _TEXTS:
                yield _given(record, columns)
        counts.lost_size_bytes += scanner.lost_size_bytes


def _given(record: RawRecord, columns: InputSettings) -> Given:
    fields = record.fields
    url = fields.get("warc-target-uri", "").strip("<>") or None
    values: Values = {name: value for name, value in fields.items() if name not in _HIDDEN}
    values |= {columns.text_column: record.block, columns.url_column: url}
    values[METADATA] = {"WARC-Date": fields.get("warc-date")}
    return Given(record.offset, values, tuple(values), extractor="wet")
