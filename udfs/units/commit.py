"""Unit outputs: Parquet files with fixed names and bytes, and the manifest that commits them.

A unit is what one task produces: the documents of one WARC, one dedup shard, one token shard.
Its files are named after the unit, written to a temporary place and published whole, so a retried,
speculative or restarted task replaces a file by the same bytes. The unit exists once its manifest
does.

A manifest is small whatever the unit holds, since a driver reads all of them. What grows with a
unit (its domains, samples, histograms) lies in a file beside it, which tasks add up.
"""

import hashlib
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from udfs import storage
from udfs.cpu_clock import cpu_seconds
from udfs.documents.schema import FATES
from udfs.storage.scratch import ScratchFile
from udfs.units.statistics import ADDED_UP

MANIFESTS, STATISTICS = "manifests", "statistics"
ROW_GROUP_ROWS = 1024
ROW_GROUP_SIZE_BYTES = 32 * 1024 * 1024

# What a committing task hands to Spark: the unit's name and how many rows it wrote, or why it could
# not be made.
COMMITTED = pa.schema(
    [
        pa.field("unit", pa.string()),
        pa.field("rows", pa.int64()),
        pa.field("error", pa.string()),
    ]
)
_MAX_ERROR_LENGTH = 500


def committed(unit: str, rows: int) -> pa.RecordBatch:
    """Return the one-row batch that reports a committed unit to the driver."""
    return pa.RecordBatch.from_pydict(
        {"unit": [unit], "rows": [rows], "error": [None]}, schema=COMMITTED
    )


def failed(unit: str, error: str) -> pa.RecordBatch:
    """Return the one-row batch that reports a unit whose input cannot be read."""
    return pa.RecordBatch.from_pydict(
        {"unit": [unit], "rows": [0], "error": [error[:_MAX_ERROR_LENGTH]]}, schema=COMMITTED
    )


def failed_key(key: str) -> str:
    """Return the key under which what stands in for a failed unit is committed.

    It is not the unit's, so the next run tries the unit again.
    """
    return f"{key}-failed"


def report_of(directory: str, unit: str, key: str) -> pa.RecordBatch | None:
    """Return what committing `unit` reported, None where it is not committed with this key."""
    try:
        manifest = json.loads(storage.read_bytes(manifest_uri(directory, unit)))
    except storage.MissingObjectError:
        return None
    if manifest["key"] != key:
        return None
    return committed(unit, sum(file["rows"] for file in manifest["files"]))


class ForeignUnitError(RuntimeError):
    """Another run has committed this unit meanwhile, from other input, settings or code."""


class BooksError(RuntimeError):
    """A unit's rows are not as many as the records that were read for it."""


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """A published file: its path relative to the stage directory, rows, size and checksum."""

    path: str
    rows: int
    size_bytes: int
    sha256: str


class ParquetOutput:
    """One Parquet file (zstd) whose bytes depend on the rows alone, not on how batches arrive.

    What is not closed when the block ends was not finished, and is dropped.
    """

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
        self._temporary = ScratchFile()
        # Dictionaries are sized by what the writer saw so far; without them bytes are stable.
        self._writer = pq.ParquetWriter(
            str(self._temporary.path),
            schema,
            compression="zstd",
            store_schema=False,
            write_page_index=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.abandon()

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
        path = self._temporary.path
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size_bytes = path.stat().st_size
        storage.upload(str(path), storage.join(self._directory, self._path))
        self._temporary.close()
        return FileEntry(path=self._path, rows=self._rows, size_bytes=size_bytes, sha256=digest)

    def abandon(self) -> None:
        """Drop what was written so far without publishing it; nothing happens once it is closed."""
        self._writer.close()
        self._temporary.close()


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
    """Write the unit's manifest, which makes it exist, and return the row that reports it.

    Facts that add up over units go into a file of their own, which the manifest names. Raises
    BooksError when the rows are not as many as the records that the facts say were read, and
    ForeignUnitError when the unit was committed with another key meanwhile.
    """
    documents = _by_fate(facts)
    _check_books(unit, facts, documents)
    _check_owner(directory, unit, key)
    manifest = {
        "unit": unit,
        "key": key,
        "files": [vars(entry) for entry in files],
        "documents": documents,
        "statistics": _write_statistics(directory, unit, facts),
        "facts": {name: value for name, value in facts.items() if name not in ADDED_UP},
        "timing": clock.timing(),
    }
    text = json.dumps(manifest, sort_keys=True, ensure_ascii=False, indent=1)
    storage.write_bytes(manifest_uri(directory, unit), text.encode())
    return committed(unit, sum(entry.rows for entry in files))


def _by_fate(facts: dict[str, Any]) -> dict[str, list[int]]:
    """Return documents and bytes of text by fate; {} where documents are given none."""
    if "counts" not in facts:
        return {}
    totals = {fate: [0, 0] for fate in FATES}
    for entry in facts["counts"]:
        totals[entry["fate"]][0] += entry["documents"]
        totals[entry["fate"]][1] += entry["text_bytes"]
    return totals


def _check_books(unit: str, facts: dict[str, Any], documents: dict[str, list[int]]) -> None:
    if "records" not in facts:
        return
    read = facts["records"]["response"] + facts["records"]["broken"]
    rows = sum(count for count, _ in documents.values())
    if read != rows:
        name = facts.get("input", {}).get("uri", unit)
        raise BooksError(f"{name} gave {read} documents, but {rows} have a fate")


def _check_owner(directory: str, unit: str, key: str) -> None:
    """Refuse to take a unit's name from another run: a task may outlive its driver.

    A driver removes the manifests of units that it does again before it starts.
    """
    try:
        found = json.loads(storage.read_bytes(manifest_uri(directory, unit)))["key"]
    except storage.MissingObjectError:
        return
    if found != key:
        raise ForeignUnitError(
            f"{manifest_uri(directory, unit)}: another run committed this unit meanwhile; a second "
            "driver writes to the same output"
        )


def _write_statistics(directory: str, unit: str, facts: dict[str, Any]) -> dict[str, Any] | None:
    added_up = {name: facts[name] for name in ADDED_UP if name in facts}
    if not added_up:
        return None
    data = json.dumps(added_up, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    path = f"{STATISTICS}/{unit}.json"
    storage.write_bytes(storage.join(directory, path), data)
    return {
        "path": path,
        "size_bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def manifest_uri(directory: str, unit: str) -> str:
    """Return where the manifest of `unit` lies below a stage directory."""
    return storage.join(directory, MANIFESTS, f"{unit}.json")


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
