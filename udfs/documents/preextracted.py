"""Documents that were extracted elsewhere: JSON Lines (plain, .gz, .zst) and Parquet.

Keys are those of `InputSettings`, by default `text` and `url`, or those of DCLM-Pool (spec 1.3):
`metadata` with `WARC-Target-URI`.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from udfs import storage
from udfs.documents.extract import ExtractionSettings
from udfs.documents.schema import OWN_COLUMNS, QUARANTINED, STAGE, document_id
from udfs.warc.compression import pieces
from udfs.warc.reader import RecordCounts

ALL_COLUMNS = "*"
_SHOWN_KEYS = 12
Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class InputSettings:
    """Which columns of pre-extracted input are read: text, address, and what travels along."""

    text_column: str = "text"
    url_column: str = "url"
    # Own columns, such as [license, source], or ["*"] for all others: they go along to every table
    # of documents and to the provenance of the shards, as `own_columns`.
    columns: tuple[str, ...] = ()

    def own(self, document: Row) -> str | None:
        """Return the own columns of a document as JSON; those that it lacks are left out."""
        if not self.columns:
            return None
        taken = {self.text_column, self.url_column}
        every = ALL_COLUMNS in self.columns
        names = [name for name in document if name not in taken] if every else self.columns
        kept = {name: document[name] for name in names if document.get(name) is not None}
        return json.dumps(kept, default=str, ensure_ascii=False, sort_keys=True)


def read_documents(
    uri: str,
    crawl: str,
    path: str,
    settings: ExtractionSettings,
    counts: RecordCounts | None = None,
    columns: InputSettings = InputSettings(),
) -> Iterator[pa.RecordBatch]:
    """Yield the documents of a file (`settings.schema`), in its order, cut by bytes and rows.

    With own columns there is one column more, OWN_COLUMNS.

    A document's position is its line (JSON Lines) or row (Parquet), from 0. A line that is not
    such a document is quarantined.
    """
    counts = RecordCounts() if counts is None else counts
    schema = settings.schema.append(OWN_COLUMNS) if columns.columns else settings.schema
    read = _parquet_rows if path.lower().endswith(".parquet") else _json_rows
    rows = read(uri, settings, columns)
    group: list[Row] = []
    size = 0
    for number, row in enumerate(rows):
        identity = {
            "doc_id": document_id(crawl, path, number),
            "crawl": crawl,
            "warc_path": path,
            "warc_offset": number,
        }
        group.append(row | identity)
        counts.count("broken" if row.get("fate") else "response")
        size += len(row.get("text") or "")
        if size >= settings.batch_size_bytes or len(group) >= settings.batch_rows:
            yield pa.RecordBatch.from_pylist(group, schema)
            group, size = [], 0
    if group:
        yield pa.RecordBatch.from_pylist(group, schema)


def _json_rows(uri: str, settings: ExtractionSettings, columns: InputSettings) -> Iterator[Row]:
    limit = settings.warc.max_record_size_bytes
    with storage.open_stream(uri, settings=settings.reading) as stream:
        for line in _lines(stream, limit):
            if isinstance(line, _Unreadable):
                yield _quarantined(line.rule, line.reason)
            elif line.strip():
                yield _json_row(line, columns)
            else:
                yield _quarantined("empty_line", "the line is empty")


@dataclass(frozen=True, slots=True)
class _Unreadable:
    rule: str
    reason: str


def _lines(stream: storage.Stream, limit: int) -> Iterator[bytes | _Unreadable]:
    """Yield the lines of a file of any compression, each of at most `limit` bytes."""
    begun: list[bytes] = []
    size = 0
    for piece in pieces(stream)[0]:
        *complete, rest = piece.data.split(b"\n")
        for end in complete:
            yield _line([*begun, end], size + len(end), limit)
            begun, size = [], 0
        size += len(rest)
        if rest and size <= limit:
            begun.append(rest)
        if piece.error is not None:
            yield _Unreadable("damaged_file", piece.error)
            return
    if size:
        yield _line(begun, size, limit)


def _line(parts: list[bytes], size: int, limit: int) -> bytes | _Unreadable:
    if size > limit:
        return _Unreadable("line_too_large", f"a line of {size} bytes, the limit is {limit}")
    return b"".join(parts)


def _json_row(line: bytes, columns: InputSettings) -> Row:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        return _quarantined("bad_json", f"not JSON: {error}")
    if not isinstance(document, dict):
        return _quarantined("bad_json", "the line is not a JSON object")
    return _document(document, columns, list(document))


def _document(document: Row, columns: InputSettings, keys: list[str]) -> Row:
    """Return the row of a document; `keys` are those of its source, for the error."""
    text = document.get(columns.text_column)
    metadata = document.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    url = document.get(columns.url_column) or metadata.get("WARC-Target-URI")
    if not isinstance(text, str):
        known = ", ".join(keys[:_SHOWN_KEYS]) + (", ..." if len(keys) > _SHOWN_KEYS else "")
        error = f"no text in `{columns.text_column}`; the keys are {known}; set input.text_column"
        return _quarantined("missing_text", error) | {"url": _text(url)}
    row: Row = {
        "url": _text(url),
        "text": _text(text),
        "fetch_time": _time(metadata.get("WARC-Date")),
        "extractor": "preextracted",
    }
    if columns.columns:
        row[OWN_COLUMNS.name] = _text(columns.own(document))
    return row


def _parquet_rows(uri: str, settings: ExtractionSettings, columns: InputSettings) -> Iterator[Row]:
    with storage.open_seekable(uri, settings.reading) as source:
        file = pq.ParquetFile(source)
        names = list(file.schema_arrow.names)
        wanted = {columns.text_column, columns.url_column, "metadata", *columns.columns}
        every = ALL_COLUMNS in columns.columns
        known = names if every else [name for name in names if name in wanted]
        for batch in file.iter_batches(256, columns=known):
            for row in batch.to_pylist():
                yield _document(row, columns, names)


def _quarantined(rule: str, error: str) -> Row:
    return {"fate": QUARANTINED, "stage": STAGE, "rule": rule, "error": error}


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return str(value).encode("utf-8", "replace").decode("utf-8")


def _time(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
