"""Parquet files: a document a row, in batches bounded by bytes; damage costs a row group's rest."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from udfs import storage
from udfs.documents.extract import ExtractionSettings
from udfs.documents.given import ALL_COLUMNS, METADATA, Given, InputSettings, NoText, Values
from udfs.documents.parquet.large_pages import TooLarge, can_stream, values_of
from udfs.documents.parts import FilePart
from udfs.storage.parquet import python_values
from udfs.warc.reader import RecordCounts

_BATCH_SIZE_BYTES = 8 * 1024 * 1024
_CERTAIN_BATCH_SIZE_BYTES = 128 * 1024 * 1024
# Of a larger chunk of values that are on average larger, pages may be so that Arrow holds whole.
_LARGE_CHUNK_BYTES = 128 * 1024 * 1024
_LARGE_VALUE_BYTES = 32 * 1024
_BATCH_ROWS = 256
# So many rows may be larger than the others of their row group.
_UNCERTAIN_ROWS = 8
_DAMAGE = (pa.ArrowException, OSError, ValueError)


def parquet_rows(
    uri: str,
    part: FilePart,
    settings: ExtractionSettings,
    columns: InputSettings,
    counts: RecordCounts,
) -> Iterator[Given]:
    """Yield what stands in each row; the position is the number of the row in the file, from 0.

    `counts` takes the bytes of lost rows: their share of what their row group takes.
    """
    with storage.open_seekable(uri, settings.reading) as source:
        try:
            file = pq.ParquetFile(source, page_checksum_verification=True)
            names = tuple(file.schema_arrow.names)
        except storage.StorageError:
            raise
        except _DAMAGE as error:
            if part.start == 0:
                yield Given(0, rule="damaged_file", reason=f"no Parquet file: {error}")
            return
        reader = _Reader(source, file, names, settings.warc.max_record_size_bytes, columns, counts)
        first = 0
        for group in range(file.num_row_groups):
            metadata = file.metadata.row_group(group)
            if part.holds(_middle(metadata)):
                yield from reader.group(group, first)
            first += metadata.num_rows


def _middle(group: pq.RowGroupMetaData) -> int:
    """Return the byte in the middle of a row group, 0 where its metadata makes no sense."""
    if not group.num_columns:
        return 0
    column = group.column(0)
    start = column.dictionary_page_offset or column.data_page_offset or 0
    size = sum(group.column(at).total_compressed_size for at in range(group.num_columns))
    return max(0, int(start) + int(size) // 2)


@dataclass(frozen=True)
class _Reader:
    source: BinaryIO
    file: pq.ParquetFile
    names: tuple[str, ...]
    max_row_size_bytes: int
    columns: InputSettings
    counts: RecordCounts

    def group(self, group: int, first: int) -> Iterator[Given]:
        """Yield the rows of a row group, the first of which is `first`, or one for what is lost."""
        done, damage, names = 0, "", self._wanted()
        if (text := self._large_text(group)) is not None:
            yield from self._large_rows(group, first, text)
            return
        while True:
            try:
                for batch in self._batches(group, names, done):
                    yield from self._rows(batch, first + done, damage)
                    done += batch.num_rows
            except storage.StorageError:
                raise
            except _DAMAGE as error:
                whole = [] if damage else self._whole_columns(group, names, done)
                if self.columns.text_column in whole:
                    lost = ", ".join(name for name in names if name not in whole)
                    damage, names = f"damaged column {lost}", whole
                    continue
                yield self._lost(group, first, done, error)
            return

    def _large_text(self, group: int) -> int | None:
        """Return the number of the text column where its pages are to be read from disk."""
        metadata, schema = self.file.metadata.row_group(group), self.file.schema
        for at in range(metadata.num_columns):
            chunk = metadata.column(at)
            size = chunk.total_uncompressed_size
            is_large = size > max(_LARGE_CHUNK_BYTES, chunk.num_values * _LARGE_VALUE_BYTES)
            if is_large and chunk.path_in_schema == self.columns.text_column:
                return at if can_stream(chunk, schema.column(at)) else None
        return None

    def _large_rows(self, group: int, first: int, text: int) -> Iterator[Given]:
        """Yield the rows of a row group whose text column has large pages, maybe."""
        chunk = self.file.metadata.row_group(group).column(text)
        others = [name for name in self._wanted() if name != self.columns.text_column]
        rows = self._other_values(group, others)
        limit, done = self.max_row_size_bytes, 0
        try:
            for value in values_of(self.source, chunk, self.file.schema.column(text), limit):
                values = next(rows, {})
                if isinstance(value, TooLarge):
                    yield self._too_large(first + done, value.size_bytes)
                else:
                    values[self.columns.text_column] = value
                    yield Given(first + done, values, self.names)
                done += 1
        except storage.StorageError:
            raise
        except _DAMAGE as error:
            yield self._lost(group, first, done, error)

    def _other_values(self, group: int, names: Sequence[str]) -> Iterator[Values]:
        for batch in self._batches(group, names, 0) if names else ():
            columns = {name: python_values(column) for name, column in _by_name(batch)}
            for row in range(batch.num_rows):
                yield {name: column[row] for name, column in columns.items()}

    def _lost(self, group: int, first: int, done: int, error: Exception) -> Given:
        """Return what stands for the rows of a group, whose first is `first`, behind `done`."""
        metadata = self.file.metadata.row_group(group)
        start, end = first + done, first + metadata.num_rows
        size = sum(metadata.column(at).total_compressed_size for at in range(metadata.num_columns))
        lost = max(0, end - start) / max(1, metadata.num_rows)
        self.counts.lost_size_bytes += round(max(0, size) * lost)
        reason = f"rows {start} to {end - 1} of row group {group}: {error}"
        return Given(start, rule="damaged_file", reason=reason, value=max(1, end - start))

    def _too_large(self, position: int, size_bytes: int) -> Given:
        reason = f"a text of {size_bytes} bytes, the limit is {self.max_row_size_bytes}"
        return Given(position, rule="row_too_large", reason=reason, value=size_bytes)

    def _wanted(self) -> list[str]:
        wanted = {self.columns.text_column, self.columns.url_column, METADATA}
        wanted |= {*self.columns.columns}
        every = ALL_COLUMNS in self.columns.columns
        return [name for name in self.names if every or name in wanted]

    def _batches(self, group: int, names: Sequence[str], skip: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows behind the first `skip` of a row group."""
        rows = self._batch_rows(group, names)
        found = self.file.iter_batches(
            rows, row_groups=[group], columns=list(names), use_threads=False
        )
        for batch in found:
            if skip < batch.num_rows:
                yield batch.slice(skip)
            skip = max(0, skip - batch.num_rows)

    def _batch_rows(self, group: int, names: Sequence[str]) -> int:
        """Return how many rows at a time are decoded to about _BATCH_SIZE_BYTES.

        Of what a column chunk takes decompressed, no row takes more; on average, rows do not.
        """
        metadata = self.file.metadata.row_group(group)
        chunks = [metadata.column(at) for at in range(metadata.num_columns)]
        sizes = [
            chunk.total_uncompressed_size
            for chunk in chunks
            if chunk.path_in_schema.partition(".")[0] in names
        ]
        total = max(1, sum(sizes))
        average = total / max(1, metadata.num_rows)
        likely = min(_UNCERTAIN_ROWS, int(_BATCH_SIZE_BYTES / average))
        return max(1, likely, min(_BATCH_ROWS, int(_CERTAIN_BATCH_SIZE_BYTES / total)))

    def _whole_columns(self, group: int, names: Sequence[str], done: int) -> list[str]:
        """Return the columns of a row group that can be read to its end."""
        whole = []
        for name in names:
            try:
                for _ in self._batches(group, [name], done):
                    pass
                whole.append(name)
            except storage.StorageError:
                raise
            except _DAMAGE:
                continue
        return whole

    def _rows(self, batch: pa.RecordBatch, first: int, damage: str) -> Iterator[Given]:
        columns = {
            name: _values(column, name == self.columns.text_column)
            for name, column in _by_name(batch)
        }
        for row in range(batch.num_rows):
            values: Values = {name: column[row] for name, column in columns.items()}
            text = values.get(self.columns.text_column)
            size = len(text) if isinstance(text, bytes) else 0
            if size > self.max_row_size_bytes:
                yield self._too_large(first + row, size)
            else:
                yield Given(first + row, values, self.names, damage=damage or None)


def _by_name(batch: pa.RecordBatch) -> Iterator[tuple[str, pa.Array]]:
    """Yield the columns of a batch; of several that are called the same, the first alone."""
    for at, (name, column) in enumerate(zip(batch.schema.names, batch.columns, strict=True)):
        if batch.schema.names.index(name) == at:
            yield name, column


def _values(column: pa.Array, is_text: bool) -> list[Any]:
    """Return a column's values; texts as bytes, which may be no UTF-8, and others as NoText."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if is_text:
        if not _is_textual(column.type):
            other = NoText(str(column.type))
            return [other if valid else None for valid in column.is_valid().to_pylist()]
        column = pc.cast(column, pa.large_binary(), safe=False)
    return python_values(column)


def _is_textual(kind: pa.DataType) -> bool:
    checks = (
        pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_binary,
        pa.types.is_large_binary, pa.types.is_binary_view,
    )  # fmt: skip
    return any(check(kind) for check in checks)
