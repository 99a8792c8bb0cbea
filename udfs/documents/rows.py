"""Rows of the `documents` table under construction, for the readers of input files."""

from typing import Any

import pyarrow as pa

from udfs.documents.schema import EXTRACTED, document_id
from udfs.documents.views import is_text

_MAX_ERROR_LENGTH = 500
_DOC_ID, _CRAWL, _PATH, _OFFSET = (
    EXTRACTED.names.index(name) for name in ("doc_id", "crawl", "warc_path", "warc_offset")
)


class DocumentRows:
    """Collects documents of one file; values are set on the last row where no other is named.

    `schema` begins with the identity of a document as EXTRACTED does. `size_bytes` is about what
    they take: their texts, addresses and other strings.
    """

    def __init__(self, crawl: str, path: str, schema: pa.Schema = EXTRACTED):
        self._crawl, self._path, self._schema = crawl, path, schema
        self._place = {name: place for place, name in enumerate(schema.names)}
        # A list for each document: appending to a list for each column takes three times as long.
        self._rows: list[list[Any]] = []
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, offset: int, **values: Any) -> None:
        """Begin the document at `offset` of the file; columns that are not named are null."""
        row: list[Any] = [None] * len(self._place)
        row[_DOC_ID] = document_id(self._crawl, self._path, offset)
        row[_CRAWL], row[_PATH], row[_OFFSET] = self._crawl, self._path, offset
        for name, value in values.items():
            row[self._place[name]] = value
            if isinstance(value, str):
                self.size_bytes += len(value)
        self._rows.append(row)

    def set(self, name: str, value: Any, row: int = -1) -> None:
        """Set one column of a document."""
        self._rows[row][self._place[name]] = value
        if is_text(name) and value is not None:
            self.size_bytes += len(value)

    def doc_id(self, row: int) -> bytes:
        """Return the id of a document."""
        found: bytes = self._rows[row][_DOC_ID]
        return found

    @property
    def has_fate(self) -> bool:
        """Return whether the last document has a fate already."""
        return self._rows[-1][self._place["fate"]] is not None

    def set_string(self, name: str, value: str | None) -> None:
        """Set a column of the last document to a string, which counts for `size_bytes`."""
        self.set(name, value)
        self.size_bytes += len(value or "")

    def add_damage(self, damage: str, row: int = -1) -> None:
        """Say what of a document could not be decoded, beside what was said already."""
        earlier = self._rows[row][self._place["damage"]]
        self.set("damage", f"{earlier}; {damage}" if earlier else damage, row)

    def fate(
        self,
        fate: str,
        stage: str,
        rule: str,
        value: float | None = None,
        threshold: float | None = None,
        error: str | None = None,
        row: int = -1,
    ) -> None:
        """Say what became of a document."""
        self.set("fate", fate, row)
        self.set("stage", stage, row)
        self.set("rule", rule, row)
        self.set("value", None if value is None else float(value), row)
        self.set("threshold", None if threshold is None else float(threshold), row)
        self.set("error", error if error is None else error[:_MAX_ERROR_LENGTH], row)

    def batch(self) -> pa.RecordBatch:
        """Return the rows."""
        columns = zip(*self._rows, strict=True) if self._rows else [()] * len(self._schema)
        arrays = [
            # Text is collected as UTF-8 bytes and only then called a string.
            pa.array(values, pa.binary() if is_text(column.name) else column.type).cast(column.type)
            for values, column in zip(columns, self._schema, strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)
