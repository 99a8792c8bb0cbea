"""Rows of the `documents` table under construction, for the readers of input files."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from udfs.documents import EXTRACTED, document_id

_MAX_ERROR_LENGTH = 500
# Text is collected as UTF-8 bytes and only then called a string.
_COLLECTED = {"text": pa.binary()}


class DocumentRows:
    """Collects documents of one file; a value is set on the row that was added last."""

    def __init__(self, crawl: str, path: str):
        self._crawl, self._path = crawl, path
        self._columns: Mapping[str, list[Any]] = {name: [] for name in EXTRACTED.names}
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._columns["doc_id"])

    def add(self, offset: int, **values: Any) -> None:
        """Begin the document at `offset` of the file; columns that are not named are null."""
        values |= {
            "doc_id": document_id(self._crawl, self._path, offset),
            "crawl": self._crawl,
            "warc_path": self._path,
            "warc_offset": offset,
        }
        for name, column in self._columns.items():
            column.append(values.get(name))

    def set(self, name: str, value: Any) -> None:
        """Set one column of the last document."""
        self._columns[name][-1] = value
        if name == "text" and value is not None:
            self.size_bytes += len(value)

    def fate(
        self,
        fate: str,
        stage: str,
        rule: str,
        value: float | None = None,
        threshold: float | None = None,
        error: str | None = None,
    ) -> None:
        """Say what became of the last document."""
        self.set("fate", fate)
        self.set("stage", stage)
        self.set("rule", rule)
        self.set("value", None if value is None else float(value))
        self.set("threshold", None if threshold is None else float(threshold))
        self.set("error", error if error is None else error[:_MAX_ERROR_LENGTH])

    def batch(self) -> pa.RecordBatch:
        """Return the rows (schema EXTRACTED)."""
        arrays = [
            pa.array(self._columns[column.name], _COLLECTED.get(column.name, column.type)).cast(
                column.type
            )
            for column in EXTRACTED
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=EXTRACTED)
