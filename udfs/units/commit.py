"""Unit outputs: Parquet files with fixed names and bytes, and the manifest that commits them.

A unit is what one task produces: the documents of one WARC, one dedup shard, one token shard.
Its files are named after the unit, written to a temporary place and published whole, so a retried,
speculative or restarted task replaces a file by the same bytes. The unit exists once its manifest
does.
"""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from udfs import storage
from udfs.cpu_clock import cpu_seconds

ROW_GROUP_ROWS = 1024
ROW_GROUP_SIZE_BYTES = 32 * 1024 * 1024

# What a committing task hands to Spark: the unit's name and how many rows it wrote.
COMMITTED = pa.schema([pa.field("unit", pa.string()), pa.field("rows", pa.int64())])


def committed(unit: str, rows: int) -> pa.RecordBatch:
    """Return the one-row batch that reports a committed unit to the driver."""
    return pa.RecordBatch.from_pydict({"unit": [unit], "rows": [rows]}, schema=COMMITTED)


def report_of(directory: str, unit: str, key: str) -> pa.RecordBatch | None:
    """Return what committing `unit` reported, None where it is not committed with this key."""
    try:
        manifest = json.loads(storage.read_bytes(manifest_uri(directory, unit)))
    except storage.MissingObjectError:
        return None
    if manifest["key"] != key:
        return None
    return committed(unit, sum(file["rows"] for file in manifest["files"]))


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """A published file: its path relative to the stage directory, rows, size and checksum."""

    path: str
    rows: int
    size_bytes: int
    sha256: str


class ParquetOutput:
    """One Parquet file (zstd) whose bytes depend on the rows alone, not on how batches arrive."""

    def __init__(
        self, directory: str, path: str, schema: pa.Schema, *, row_group_rows: int = ROW_GROUP_ROWS
    ) -> None:
        self._directory = directory
        self._path = path
        self._schema = schema
        self._row_group_rows = row_group_rows
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0
        self._pending_bytes = 0
        self._rows = 0
        handle, name = tempfile.mkstemp(suffix=".parquet")
        os.close(handle)
        self._temporary = Path(name)
        # Dictionaries are sized by what the writer saw so far; without them bytes are stable.
        self._writer = pq.ParquetWriter(
            name, schema, compression="zstd", store_schema=False, write_page_index=True
        )

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows; row groups are cut at fixed row counts and byte sizes."""
        start = 0
        sizes = _row_sizes(batch)
        for row, size in enumerate(sizes):
            self._pending_rows += 1
            self._pending_bytes += size
            if (
                self._pending_rows >= self._row_group_rows
                or self._pending_bytes >= ROW_GROUP_SIZE_BYTES
            ):
                self._pending.append(batch.slice(start, row + 1 - start))
                self._flush()
                start = row + 1
        if start < batch.num_rows:
            self._pending.append(batch.slice(start))

    def _flush(self) -> None:
        if not self._pending:
            return
        table = pa.Table.from_batches(self._pending).select(self._schema.names)
        table = table.cast(self._schema).combine_chunks()
        self._writer.write_table(table, row_group_size=max(table.num_rows, 1))
        self._rows += table.num_rows
        self._pending, self._pending_rows, self._pending_bytes = [], 0, 0

    def close(self) -> FileEntry:
        """Publish the file under its final name and return its entry."""
        self._flush()
        self._writer.close()
        with self._temporary.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size_bytes = self._temporary.stat().st_size
        storage.upload(str(self._temporary), storage.join(self._directory, self._path))
        self._temporary.unlink(missing_ok=True)
        return FileEntry(path=self._path, rows=self._rows, size_bytes=size_bytes, sha256=digest)

    def abandon(self) -> None:
        """Drop what was written so far without publishing it."""
        self._writer.close()
        self._temporary.unlink(missing_ok=True)


def _row_sizes(batch: pa.RecordBatch) -> Iterable[int]:
    """Return the bytes of every row's variable-length columns."""
    total = None
    for column in batch.columns:
        kind = column.type
        if (
            pa.types.is_large_string(kind)
            or pa.types.is_string(kind)
            or (pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
        ):
            size = pc.fill_null(pc.binary_length(column).cast(pa.int64()), 0)
            total = size if total is None else pc.add(total, size)
    if total is None:
        return [0] * batch.num_rows
    sizes: list[int] = total.to_pylist()
    return sizes


@dataclass(kw_only=True)
class UnitClock:
    """Wall and CPU seconds since the unit began, those of the page parser's process included."""

    wall_start: float = field(default_factory=time.perf_counter)
    cpu_start: float = field(default_factory=cpu_seconds)

    def timing(self) -> dict[str, float]:
        """Return `seconds` and `cpu_seconds` spent so far in this process."""
        return {
            "seconds": round(time.perf_counter() - self.wall_start, 4),
            "cpu_seconds": round(cpu_seconds() - self.cpu_start, 4),
        }


def commit(
    directory: str,
    unit: str,
    key: str,
    files: list[FileEntry],
    facts: dict[str, Any],
    clock: UnitClock,
) -> pa.RecordBatch:
    """Write the unit's manifest, which makes it exist, and return the row that reports it."""
    manifest = {
        "unit": unit,
        "key": key,
        "files": [vars(entry) for entry in files],
        "facts": facts,
        "timing": clock.timing(),
    }
    text = json.dumps(manifest, sort_keys=True, ensure_ascii=False, indent=1)
    storage.write_bytes(manifest_uri(directory, unit), text.encode())
    return committed(unit, sum(entry.rows for entry in files))


def manifest_uri(directory: str, unit: str) -> str:
    """Return where the manifest of `unit` lies below a stage directory."""
    return storage.join(directory, "manifests", f"{unit}.json")


def group_by_unit(
    batches: Iterator[pa.RecordBatch], column: str
) -> Iterator[tuple[str, Iterator[pa.RecordBatch]]]:
    """Split batches sorted by `column` into runs of one value: (value, batches of that run).

    Each run's iterator must be consumed before the next run is asked for.
    """
    current: pa.RecordBatch | None = next(batches, None)

    def run(value: str) -> Iterator[pa.RecordBatch]:
        nonlocal current
        while current is not None:
            if current.num_rows == 0:
                current = next(batches, None)
                continue
            same = pc.equal(current.column(column), value)
            length = current.num_rows if pc.all(same).as_py() else pc.index(same, False).as_py()
            if length:
                yield current.slice(0, length)
            if length < current.num_rows:
                current = current.slice(length)
                return
            current = next(batches, None)

    while current is not None:
        if current.num_rows == 0:
            current = next(batches, None)
            continue
        value = current.column(column)[0].as_py()
        yield value, run(value)
