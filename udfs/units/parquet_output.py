"""Parquet files of fixed names and bytes, published whole."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from udfs import storage
from udfs.storage.scratch import ScratchFile

ROW_GROUP_ROWS = 1024
ROW_GROUP_SIZE_BYTES = 32 * 1024 * 1024


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

    suffix = ".parquet"

    def __init__(
        self, directory: str, path: str, schema: pa.Schema, *,
        row_group_rows: int = ROW_GROUP_ROWS, use_dictionary: bool = True,
    ) -> None:  # fmt: skip
        self._directory = directory
        self._path = path
        self._schema = schema
        self._row_group_rows = row_group_rows
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0
        self._pending_bytes = 0
        self._rows = 0
        self._temporary = ScratchFile()
        self._writer = pq.ParquetWriter(
            str(self._temporary.path),
            schema,
            compression="zstd",
            use_dictionary=use_dictionary,
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

    def end_group(self) -> None:
        """End the row group: what follows stands in another one."""
        self._flush()

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
