"""Texts that train a classifier, read as the documents of a run are: damage costs what it hits."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from dclm_spark.errors import InputError
from udfs.documents.extract import ExtractionSettings
from udfs.documents.formats import (
    FORMATS,
    InputUnit,
    JsonLinesFormat,
    Reading,
    format_of,
    read_unit,
)
from udfs.documents.given import InputSettings
from udfs.documents.schema import EMPTY_FILE, OWN_COLUMNS
from udfs.storage.cache import fetch
from udfs.storage.stream import shown

LOGGER = logging.getLogger("dclm_spark")
_LABEL = "label"
_COLUMNS = ["warc_offset", "text", "rule", "error", OWN_COLUMNS.name]


def read_texts(uris: str) -> Iterator[str]:
    """Yield the `text` of every record of the files that `uris` names, divided by commas.

    Any format of input files will do; a name of no format is read as JSON Lines. Records without a
    text are passed over and counted in the log. Raises InputError, which names the first of them,
    for a file where they are half of all.
    """
    for uri in _names(uris):
        for row in _rows(uri, _Lost(uri)):
            yield row.text


def read_labelled(uris: str) -> Iterator[tuple[str, float]]:
    """Yield `text` and `label` of every record, as `read_texts` does; a label is a number."""
    for uri in _names(uris):
        lost = _Lost(uri)
        for row in _rows(uri, lost):
            try:
                yield row.text, float(row.label or "")
            except ValueError:
                lost.add(row.position, f"the label is {row.label!r}, not a number")
        lost.check()


@dataclass(frozen=True)
class _Row:
    position: int
    text: str
    label: str | None


class _Lost:
    """Counts the records of a file, and those that are none."""

    def __init__(self, uri: str) -> None:
        self._uri, self.num_records, self._num_lost, self._first = uri, 0, 0, ""

    def add(self, position: int, reason: str) -> None:
        self._num_lost += 1
        self._first = self._first or f"line {position + 1}: {reason}"

    def check(self) -> None:
        """Raise InputError, or log a warning, for what was lost."""
        if not self._num_lost:
            return
        message = (
            f"{shown(self._uri)} {self._first} ({self._num_lost} of {self.num_records} records "
            "are not as they should be)"
        )
        if self._num_lost * 2 >= self.num_records:
            raise InputError(message)
        LOGGER.warning("%s; they are passed over", message)


def _names(uris: str) -> Iterator[str]:
    return filter(None, (part.strip() for part in uris.split(",")))


def _rows(uri: str, lost: _Lost) -> Iterator[_Row]:
    """Yield the records that have a text; say in `lost` which have none."""
    found = format_of(shown(uri)) or FORMATS[JsonLinesFormat.name]
    unit = InputUnit(crawl="", path=shown(uri), uri=str(fetch(uri)), kind=found.name)
    reading = Reading(extraction=ExtractionSettings(), columns=InputSettings(columns=(_LABEL,)))
    for batch in read_unit(unit, reading):
        for row in batch.select(_COLUMNS).to_pylist():
            if row["rule"] == EMPTY_FILE:
                LOGGER.warning("%s: %s", shown(uri), row["error"])
                continue
            lost.num_records += 1
            if row["rule"] is not None:
                lost.add(row["warc_offset"], row["error"] or row["rule"])
                continue
            label = json.loads(row[OWN_COLUMNS.name] or "{}").get(_LABEL)
            yield _Row(row["warc_offset"], row["text"], None if label is None else str(label))
    lost.check()
