"""The formats of input files: one object each, found by the end of a file's name.

A format says which names it has and reads a file, or a part of one, as batches of documents. To
add one, write a class and a line of FORMATS.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from udfs import storage
from udfs.documents.extract import ExtractionSettings, RecordCounts, SkipUrl, extract_documents
from udfs.documents.given import (
    Given,
    InputSettings,
    Making,
    batches_of,
    partition_values,
)
from udfs.documents.json_lines import json_rows
from udfs.documents.parquet.parquet_rows import parquet_rows
from udfs.documents.parts import FilePart
from udfs.documents.prescreen import Glance
from udfs.documents.schema import EMPTY_FILE, OWN_COLUMNS
from udfs.documents.wat import wat_rows
from udfs.documents.wet import wet_rows
from udfs.storage.stream import StorageError, shown, without_secrets

# The fact of a file that damage left nothing of so many bytes.
LOST_SIZE = "lost_size_bytes"
_STREAMS = ("", ".gz", ".zst", ".bz2", ".xz")


@dataclass(frozen=True, kw_only=True)
class InputUnit:
    """An input file of a crawl, or the part of one from byte `start` up to `end`.

    `kind` is the name of its format; `size_bytes` and `version` are those of the whole file, where
    they are known (`udfs.storage.StoredObject`).
    """

    crawl: str
    path: str
    uri: str
    kind: str
    start: int = 0
    end: int | None = None
    size_bytes: int | None = None
    version: str = ""

    @property
    def part(self) -> FilePart:
        """Return which bytes are to be read."""
        return FilePart(start=self.start, end=self.end)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How files are read: settings, which pages are passed over by their address, and counts."""

    extraction: ExtractionSettings
    columns: InputSettings = field(default_factory=InputSettings)
    skip_url: SkipUrl | None = None
    glance: Glance | None = None
    counts: RecordCounts = field(default_factory=RecordCounts)


def input_facts(source: InputUnit, counts: RecordCounts) -> dict[str, Any]:
    """Return what a manifest says of the file that was read, and of the bytes that damage cost."""
    records = asdict(counts)
    lost = records.pop(LOST_SIZE)
    told = asdict(source) | {"uri": without_secrets(source.uri)}
    if lost:
        told[LOST_SIZE] = lost
        if source.size_bytes is None:
            with suppress(StorageError):
                told["size_bytes"] = storage.size_bytes(source.uri)
    return {"records": records, "input": told}


class InputFormat(Protocol):
    """A format of input files."""

    @property
    def name(self) -> str:
        """Return the name that documents' units and the plan of a run have of it."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Return what names of its files end with, in lower case."""

    @property
    def has_pages(self) -> bool:
        """Return whether its records are pages of a crawl, whose text is extracted here."""

    @property
    def has_documents(self) -> bool:
        """Return whether there are texts, or pages, in it: else a folder's other files are read."""

    def is_divisible(self, path: str) -> bool:
        """Say whether parts of a file can be read by themselves."""

    def read(self, unit: InputUnit, reading: Reading) -> Iterator[pa.RecordBatch]:
        """Yield the documents, no fate where there is a text.

        The schema is that of `reading.extraction`, with OWN_COLUMNS where columns are named.
        """


@dataclass(frozen=True, kw_only=True)
class CrawlFormat:
    """Pages as a crawler stored them: WARC, or ARC as the Internet Archive wrote until 2009."""

    name: str
    suffixes: tuple[str, ...]
    has_pages = has_documents = True

    def is_divisible(self, path: str) -> bool:
        """Return False: where a record begins is known by reading up to it."""
        return False

    def read(self, unit: InputUnit, reading: Reading) -> Iterator[pa.RecordBatch]:
        """Yield the response records of a file; their own columns are null."""
        found = extract_documents(
            unit.crawl, unit.uri, unit.path, reading.extraction, reading.skip_url, reading.counts,
            glance=reading.glance,
        )  # fmt: skip
        for batch in found:
            if reading.columns.columns:
                none = pa.nulls(batch.num_rows, OWN_COLUMNS.type)
                batch = batch.append_column(OWN_COLUMNS, none)
            yield batch


@dataclass(frozen=True, kw_only=True)
class RecordsFormat:
    """What Common Crawl made of its WARC files, a record a page."""

    name: str
    suffixes: tuple[str, ...]
    # What stands in each record of the file at a URI.
    rows: Callable[[str, Reading], Iterator[Given]]
    has_documents: bool = True
    has_pages = False

    def is_divisible(self, path: str) -> bool:
        """Return False, as of other crawl files."""
        return False

    def read(self, unit: InputUnit, reading: Reading) -> Iterator[pa.RecordBatch]:
        """Yield a document a record."""
        yield from _documents(self.rows(unit.uri, reading), unit, reading)


class JsonLinesFormat:
    """A document a line, as JSON objects."""

    name = "json lines"
    suffixes = tuple(
        f"{lines}{stream}" for lines in (".jsonl", ".ndjson", ".json") for stream in _STREAMS
    )
    has_pages, has_documents = False, True

    def is_divisible(self, path: str) -> bool:
        """Say whether a file is not compressed."""
        return path.lower().endswith((".jsonl", ".ndjson", ".json"))

    def read(self, unit: InputUnit, reading: Reading) -> Iterator[pa.RecordBatch]:
        """Yield the documents of the lines that begin in the unit."""
        rows = json_rows(unit.uri, unit.part, reading.extraction, reading.counts)
        yield from _documents(rows, unit, reading)


class ParquetFormat:
    """A document a row."""

    name = "parquet"
    suffixes = (".parquet", ".parq", ".pq")
    has_pages, has_documents = False, True

    def is_divisible(self, path: str) -> bool:
        """Return True: row groups are read by themselves."""
        return True

    def read(self, unit: InputUnit, reading: Reading) -> Iterator[pa.RecordBatch]:
        """Yield the documents of the row groups whose middle lies in the unit."""
        rows = parquet_rows(
            unit.uri, unit.part, reading.extraction, reading.columns, reading.counts
        )
        yield from _documents(rows, unit, reading)


def _documents(
    rows: Iterator[Given], unit: InputUnit, reading: Reading
) -> Iterator[pa.RecordBatch]:
    making = Making(
        settings=reading.extraction,
        columns=reading.columns,
        counts=reading.counts,
        # Folders that all files share are no part of their paths.
        partitions=partition_values(shown(unit.uri)) | partition_values(unit.path),
    )
    given = _or_empty(rows) if unit.part.is_whole else rows
    return batches_of(given, unit.crawl, unit.path, making)


def _or_empty(rows: Iterator[Given]) -> Iterator[Given]:
    """Yield the rows of a whole file, or one that says that there are none."""
    first = next(rows, None)
    if first is None:
        yield Given(0, rule=EMPTY_FILE, reason="no record, line or row is in the file")
        return
    yield first
    yield from rows


# What files of records may be compressed by; the reader goes by their first bytes.
_COMPRESSIONS = (".gz", "", ".zst", ".lz4", ".bz2", ".xz")


def _compressed(*names: str) -> tuple[str, ...]:
    return tuple(name + compression for name in names for compression in _COMPRESSIONS)


WARC = CrawlFormat(name="warc", suffixes=_compressed(".warc"))
ARC = CrawlFormat(name="arc", suffixes=_compressed(".arc"))
# The text that Common Crawl extracted of each page.
WET = RecordsFormat(
    name="wet",
    suffixes=_compressed(".warc.wet", ".wet"),
    rows=lambda uri, reading: wet_rows(uri, reading.extraction, reading.columns, reading.counts),
)
# What it notes of each page: a run says that there are no texts.
WAT = RecordsFormat(
    name="wat",
    suffixes=_compressed(".warc.wat", ".wat"),
    rows=lambda uri, reading: wat_rows(uri, reading.extraction, reading.counts),
    has_documents=False,
)
JSON_LINES = JsonLinesFormat()
_KNOWN = (WARC, ARC, WET, WAT, JSON_LINES, ParquetFormat())
FORMATS: dict[str, InputFormat] = {one.name: one for one in _KNOWN}


def format_of(path: str) -> InputFormat | None:
    """Return the format of a file by its name, in any case; None where no reader knows it."""
    name = path.lower()
    known = (one for one in FORMATS.values() if name.endswith(one.suffixes))
    return next(known, None)


def known_suffixes(formats: Mapping[str, InputFormat] = FORMATS) -> list[str]:
    """Return the ends of names that some reader knows."""
    return [suffix for one in formats.values() for suffix in one.suffixes]


def read_unit(unit: InputUnit, reading: Reading) -> Iterator[pa.RecordBatch]:
    """Yield the documents of a unit, read as its format says."""
    return FORMATS[unit.kind].read(unit, reading)
