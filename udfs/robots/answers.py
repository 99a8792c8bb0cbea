"""robots.txt files as a crawl kept them, one row for each time that a site was asked.

WARC files of robots.txt records, as Common Crawl publishes them (`robotstxt.paths.gz`), or JSON
Lines with `url`, `date` (ISO 8601) and `text` of each.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from udfs.documents.extraction_settings import ExtractionSettings
from udfs.documents.formats import JSON_LINES, WARC
from udfs.documents.json_lines import json_rows
from udfs.documents.parts import FilePart
from udfs.robots.refusals import rules_text
from udfs.rules.urls import hosts
from udfs.storage.files import open_stream
from udfs.storage.stream import shown
from udfs.warc.reader import RecordCounts, WarcRecord, read_records

ANSWERS = pa.schema(
    [
        # In lower case, without port: a site speaks for all its schemes and ports.
        pa.field("host", pa.string()),
        # In UTC, such as 2026-05-01T10:00:00Z, so that later ones sort behind.
        pa.field("asked", pa.string()),
        # What was answered; "" refuses nothing.
        pa.field("rules", pa.string()),
    ]
)
# The address of a site's rules, whose host may be malformed: that is left to `hosts`.
_ROBOTS = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*/robots\.txt(?:[?#]|$)")
_BATCH_ROWS = 500
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_OK, _TOO_MANY_REQUESTS = 200, 429


def robots_answers(uri: str, kind: str, until: datetime | None) -> Iterator[pa.RecordBatch]:
    """Yield what sites answered up to `until` (ANSWERS), in batches; runs on an executor.

    A file that is not there (4xx but 429) refuses nothing. Redirects and errors of servers say
    nothing and are left out, as is what has no date. Raises ValueError for a line of another form.
    """
    found = READERS[kind](uri)
    rows: list[tuple[str, datetime, str]] = []
    for url, asked, content in found:
        if not _ROBOTS.match(url) or (until is not None and asked > until):
            continue
        rows.append((url, asked, rules_text(content)))
        if len(rows) == _BATCH_ROWS:
            yield _batch(rows)
            rows = []
    if rows:
        yield _batch(rows)


def _of_warc(uri: str) -> Iterator[tuple[str, datetime, bytes]]:
    with open_stream(uri) as stream:
        for record in read_records(stream):
            if not isinstance(record, WarcRecord) or not record.url or not record.fetch_time:
                continue
            status = record.http_status or 0
            if 400 <= status < 500 and status != _TOO_MANY_REQUESTS:
                yield record.url, record.fetch_time, b""
            elif status == _OK:
                yield record.url, record.fetch_time, record.payload


def _of_lines(uri: str) -> Iterator[tuple[str, datetime, bytes]]:
    for row in json_rows(uri, FilePart(), ExtractionSettings(), RecordCounts()):
        try:
            values: dict[str, Any] = row.values
            yield values["url"], _time(values["date"]), values["text"].encode("utf-8", "replace")
        except (KeyError, ValueError, AttributeError, TypeError) as error:
            raise ValueError(
                f"{shown(uri)}, line {row.position + 1}: expected an object with url, date and "
                f'text of a robots.txt, such as {{"url": "https://example.org/robots.txt", '
                f'"date": "2026-05-01", "text": "..."}} ({row.reason or error!r})'
            ) from None


# By format: what reads it.
READERS = {WARC.name: _of_warc, JSON_LINES.name: _of_lines}


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _batch(rows: list[tuple[str, datetime, str]]) -> pa.RecordBatch:
    urls, asked, rules = zip(*rows, strict=True)
    batch = pa.RecordBatch.from_arrays(
        [
            hosts(pa.array(urls, pa.string())),
            pa.array([one.astimezone(UTC).strftime(_TIME) for one in asked], pa.string()),
            pa.array(rules, pa.string()),
        ],
        schema=ANSWERS,
    )
    return batch.filter(batch.column("host").is_valid())
