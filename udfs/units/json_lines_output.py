"""JSON Lines (zst) of fixed names and bytes, published whole."""

import json
from datetime import datetime
from typing import Any

import pyarrow as pa
import zstandard

from udfs.units.file_output import FileOutput
from udfs.units.parquet_output import FileEntry


class JsonLinesOutput:
    """One JSON object a row, compressed; times are written as ISO 8601, absent values as null."""

    suffix = ".jsonl.zst"

    def __init__(self, directory: str, path: str, schema: pa.Schema) -> None:
        self._output = FileOutput(directory, path)
        self._names = schema.names
        self._compressor: Any = zstandard.ZstdCompressor(level=3).compressobj()
        self._rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows."""
        for row in batch.select(self._names).to_pylist():
            line = json.dumps(row, ensure_ascii=False, default=_plain) + "\n"
            self._output.write(self._compressor.compress(line.encode()))
        self._rows += batch.num_rows

    def close(self) -> FileEntry:
        """Publish the file under its final name and return its entry."""
        self._output.write(self._compressor.flush())
        return self._output.close(self._rows)

    def abandon(self) -> None:
        """Drop what was written so far; nothing happens once it is closed."""
        self._output.abandon()


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"{type(value).__name__} has no place in JSON")
