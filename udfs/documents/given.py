"""Documents whose text is given, not extracted: which columns hold what, and rows made of them.

The readers of JSON Lines and Parquet give a `Given` for each line or row; `batches_of` makes
documents of them.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import takewhile
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

from udfs.checks import Allowed, at_least, check
from udfs.documents.extract import ExtractionSettings
from udfs.documents.rows import DocumentRows
from udfs.documents.schema import OWN_COLUMNS, QUARANTINED, STAGE
from udfs.html.charset import mended_utf8
from udfs.warc.reader import RecordCounts, parse_date

ALL_COLUMNS = "*"
METADATA = "metadata"
_SHOWN_KEYS = 12
_SURROGATES = re.compile("[\ud800-\udfff]")
_PARTITION = re.compile(r"[A-Za-z_][^=]*=.*")
_NO_PARTITION = "__HIVE_DEFAULT_PARTITION__"
Values = dict[str, Any]
# Kinds of values in JSON, the narrower first: true is a number in Python.
_KINDS: tuple[tuple[type, str], ...] = (
    (type(None), "null"), (bool, "true or false"), (int, "a number"), (float, "a number"),
    (list, "a list"), (dict, "an object"), (object, "another value"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class InputSettings:
    """Which columns of pre-extracted input are read: text, address, and what travels along."""

    # Column with the text.
    text_column: str = "text"
    # Column with the address of the page.
    url_column: str = "url"
    # Own columns, such as [license, source], or ["*"] for all others: they go along to every table
    # of documents and to the provenance of the shards, as `own_columns`. Keys of partitioned
    # folders (lang=de/part-0.parquet) are such columns too.
    columns: tuple[str, ...] = ()
    # Plain JSON Lines and Parquet files of at least twice this size are read in parts of it, each
    # a unit and a task of its own; 0: every file is one.
    part_size_bytes: int = 256 * 1024 * 1024

    def __post_init__(self) -> None:
        """Check every value."""
        named = Allowed(bool, "the name of a column")
        check(self, part_size_bytes=at_least(0), text_column=named, url_column=named)
        other = Allowed(lambda name: name != self.text_column, "another column than the text's")
        check(self, url_column=other)

    def own(self, document: Mapping[str, Any]) -> str | None:
        """Return the own columns of a document as JSON; those that it lacks are left out."""
        if not self.columns:
            return None
        taken = {self.text_column, self.url_column}
        every = ALL_COLUMNS in self.columns
        names = [name for name in document if name not in taken] if every else self.columns
        kept = {name: document[name] for name in names if document.get(name) is not None}
        return _as_json(kept)


@dataclass(frozen=True, slots=True)
class NoText:
    """A value in the place of a text, of which nothing is known but its type."""

    type_name: str


@dataclass(slots=True)
class Given:
    """What stands at a position of a file: the values of a document, or why there are none."""

    position: int
    values: Values = field(default_factory=dict)
    # The names of all columns, for a message.
    names: tuple[str, ...] = ()
    # Why this is no document: a rule, its reason, and a number and its limit where it has them.
    rule: str | None = None
    reason: str | None = None
    value: float | None = None
    threshold: float | None = None
    # What of the document could not be decoded.
    damage: str | None = None
    # Who extracted the text.
    extractor: str = "preextracted"


@dataclass(frozen=True, kw_only=True)
class Making:
    """How documents are made of rows, and what counts them."""

    settings: ExtractionSettings
    columns: InputSettings
    counts: RecordCounts
    # What the folders of the file say of its documents.
    partitions: Values = field(default_factory=dict)


def batches_of(
    rows: Iterator[Given], crawl: str, path: str, making: Making
) -> Iterator[pa.RecordBatch]:
    """Yield documents made of `rows`, cut by bytes and rows.

    Their schema is that of the settings, with OWN_COLUMNS where columns are named.
    """
    settings, columns, counts = making.settings, making.columns, making.counts
    schema = settings.schema.append(OWN_COLUMNS) if columns.columns else settings.schema
    maker = _DocumentMaker(columns, making.partitions)
    batch = DocumentRows(crawl, path, schema)
    for row in rows:
        maker.add(batch, row)
        if batch.has_fate:
            counts.count_broken()
        else:
            counts.count("response")
        if batch.size_bytes >= settings.batch_size_bytes or len(batch) >= settings.batch_rows:
            yield batch.batch()
            batch = DocumentRows(crawl, path, schema)
    if len(batch):
        yield batch.batch()


def partition_values(path: str) -> Values:
    """Return what the folders of a partitioned table, right above a file, say: {"lang": "de"}."""
    folders = list(takewhile(_PARTITION.fullmatch, path.split("/")[-2::-1]))
    pairs = (folder.split("=", 1) for folder in folders)
    return {name: unquote(value) for name, value in pairs if value != _NO_PARTITION}


class _DocumentMaker:
    def __init__(self, columns: InputSettings, partitions: Values) -> None:
        self._columns, self._partitions = columns, partitions

    def add(self, batch: DocumentRows, row: Given) -> None:
        """Append the document at a position, or what became of it."""
        if row.rule is not None:
            batch.add(row.position)
            batch.fate(QUARANTINED, STAGE, row.rule, row.value, row.threshold, row.reason)
            return
        columns, values = self._columns, self._partitions | row.values
        metadata = values.get(METADATA)
        metadata = metadata if isinstance(metadata, dict) else {}
        url = values.get(columns.url_column) or metadata.get("WARC-Target-URI")
        batch.add(row.position, url=clean_text(url), fetch_time=_time(metadata.get("WARC-Date")))
        if row.damage:
            batch.add_damage(row.damage)
        text = self._text(batch, row, values.get(columns.text_column))
        if text is None:
            return
        batch.set("extractor", row.extractor)
        batch.set("text", text)
        if columns.columns:
            batch.set_string(OWN_COLUMNS.name, clean_text(columns.own(values)))

    def _text(self, batch: DocumentRows, row: Given, value: Any) -> bytes | None:
        """Return the text as UTF-8; say in the row what is wrong with it."""
        if isinstance(value, str):
            clean = clean_text(value)
            assert clean is not None
            if clean != value:
                batch.add_damage("lone surrogates")
            return clean.encode()
        if not isinstance(value, bytes):
            batch.fate(QUARANTINED, STAGE, "missing_text", error=self._missing(row, value))
            return None
        page = mended_utf8(value)
        if page is None:
            batch.fate(QUARANTINED, STAGE, "could_not_decode", error="the text is no UTF-8")
            return None
        if page.num_wrong:
            batch.add_damage(f"{page.num_wrong} times no utf-8")
        return page.utf8

    def _missing(self, row: Given, value: Any) -> str:
        name = self._columns.text_column
        if name in row.names or value is not None:
            return f"`{name}` is {_described(value)}, and a text is expected"
        known = ", ".join(row.names[:_SHOWN_KEYS]) + (", ..." if row.names[_SHOWN_KEYS:] else "")
        return f"no text in `{name}`; the keys are {known}; set input.text_column"


def _described(value: Any) -> str:
    """Return what a value that is no text is, as its file calls it."""
    if isinstance(value, NoText):
        return f"of type {value.type_name}"
    return next(words for kind, words in _KINDS if isinstance(value, kind))


def _as_json(value: Any) -> str:
    """Return values as JSON; numbers that JSON has not (NaN, infinities) become null."""
    options: dict[str, Any] = {"default": _as_text, "ensure_ascii": False, "sort_keys": True}
    try:
        return json.dumps(value, allow_nan=False, **options)
    except ValueError:
        plain = json.loads(json.dumps(value, **options), parse_constant=lambda _: None)
        return json.dumps(plain, **options)


def _as_text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def clean_text(value: Any) -> str | None:
    """Return a value as text; lone surrogates become U+FFFD, as of bytes that are no UTF-8."""
    if value is None:
        return None
    text = _as_text(value)
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def _time(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value
    return parse_date(value) if isinstance(value, str) else None
