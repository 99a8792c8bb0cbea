"""Text columns of Parquet whose pages are too large for memory: page by page through a file.

Arrow decompresses a page, or a dictionary, as a whole, and writers put a thousand rows into one,
however long these are. Here a page lies in a temporary file, and one value is in memory.
"""

import io
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import IO, Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from udfs.documents.parquet.parquet_headers import PageHeader, read_header, run_lengths
from udfs.documents.parquet.snappy_kernels import unsnapped
from udfs.storage.scratch import scratch_folder

_CHUNK_SIZE_BYTES = 1024 * 1024
# A smaller page needs no file.
_IN_MEMORY_SIZE_BYTES = 16 * 1024 * 1024
_ENCODINGS = {"PLAIN", "RLE", "BIT_PACKED", "RLE_DICTIONARY", "PLAIN_DICTIONARY"}
_DICTIONARY_PAGE, _DATA_PAGE, _DATA_PAGE_2 = 2, 0, 3
_PLAIN = 0


@dataclass(frozen=True, slots=True)
class TooLarge:
    """Stands for a value that was not read for its size."""

    size_bytes: int


Value = bytes | TooLarge | None


def can_stream(chunk: pq.ColumnChunkMetaData, column: pq.ColumnSchema) -> bool:
    """Say whether `values_of` reads a column chunk: a flat one of strings, in usual encodings."""
    return (
        chunk.physical_type == "BYTE_ARRAY"
        and column.max_repetition_level == 0
        and column.max_definition_level <= 1
        and set(chunk.encodings) <= _ENCODINGS
    )


def values_of(
    source: BinaryIO,
    chunk: pq.ColumnChunkMetaData,
    column: pq.ColumnSchema,
    max_value_size_bytes: int,
) -> Iterator[Value]:
    """Yield the values of a column chunk, None for null; raises OSError for damage."""
    with closing(_Pages(source, chunk, column.max_definition_level, max_value_size_bytes)) as pages:
        yield from pages.values()


class _Pages:
    def __init__(
        self, source: BinaryIO, chunk: pq.ColumnChunkMetaData, levels: int, limit: int
    ) -> None:
        self._source, self._chunk, self._levels, self._limit = source, chunk, levels, limit
        self._dictionary: IO[bytes] | None = None
        # Where the values of the dictionary begin in its file.
        self._starts: list[int] = []

    def close(self) -> None:
        if self._dictionary is not None:
            self._dictionary.close()

    def values(self) -> Iterator[Value]:
        chunk = self._chunk
        at = chunk.data_page_offset
        if chunk.dictionary_page_offset:
            at = min(at, chunk.dictionary_page_offset)
        end, left = at + chunk.total_compressed_size, chunk.num_values
        while at < end:
            self._source.seek(at)
            header, size = read_header(self._source.read(min(end - at, _CHUNK_SIZE_BYTES)))
            at += size
            if header.kind == _DICTIONARY_PAGE and header.num_values <= chunk.num_values:
                self._read_dictionary(at, header)
            elif header.kind in (_DATA_PAGE, _DATA_PAGE_2) and header.num_values <= left:
                yield from self._page_values(at, header)
                left -= header.num_values
            else:
                raise OSError(f"a page of kind {header.kind} with {header.num_values} values")
            at += header.compressed_size
        if left:
            raise OSError(f"{left} values are not there")

    def _read_dictionary(self, at: int, header: PageHeader) -> None:
        self._dictionary = file = self._page(at, header)
        for _ in range(header.num_values):
            self._starts.append(file.tell())
            file.seek(_length(file), io.SEEK_CUR)

    def _page_values(self, at: int, header: PageHeader) -> Iterator[Value]:
        levels, rest = b"", header.levels_size
        if rest:
            self._source.seek(at)
            levels = self._source.read(rest)[header.repetition_size :]
        with self._page(at + rest, header) as file:
            if header.kind == _DATA_PAGE and self._levels:
                levels = file.read(_length(file))
            count = header.num_values
            present = run_lengths(levels, 1, count) if self._levels else [1] * count
            found = self._present_values(file, header, sum(present))
            for is_there in present:
                yield next(found) if is_there else None

    def _present_values(self, file: IO[bytes], header: PageHeader, count: int) -> Iterator[Value]:
        if header.encoding == _PLAIN:
            for _ in range(count):
                yield self._value(file)
            return
        if self._dictionary is None:
            raise OSError("a page of a dictionary that is not there")
        width = file.read(1)
        if not width:
            raise OSError("a page without indices")
        for index in run_lengths(file.read(), width[0], count):
            if index >= len(self._starts):
                raise OSError(f"value {index} of a dictionary of {len(self._starts)}")
            self._dictionary.seek(self._starts[index])
            yield self._value(self._dictionary)

    def _value(self, file: IO[bytes]) -> Value:
        size = _length(file)
        if size > self._limit:
            file.seek(size, io.SEEK_CUR)
            return TooLarge(size)
        data = file.read(size)
        if len(data) < size:
            raise OSError("a page ends within a value")
        return data

    def _page(self, at: int, header: PageHeader) -> IO[bytes]:
        """Return the decompressed bytes of a page, which begin at `at`, as a file."""
        # Closed by the caller.
        file = tempfile.SpooledTemporaryFile(_IN_MEMORY_SIZE_BYTES, dir=scratch_folder())  # noqa: SIM115
        self._source.seek(at)
        codec = self._chunk.compression if header.is_compressed else "UNCOMPRESSED"
        packed = _Limited(self._source, header.compressed_size - header.levels_size)
        try:
            for piece in _decompressed(packed, codec, header.size - header.levels_size):
                file.write(piece)
        except Exception as error:
            file.close()
            raise OSError(f"damaged page: {error}") from error
        file.seek(0)
        return file


class _Limited(io.RawIOBase):
    """The next `size` bytes of a file."""

    def __init__(self, source: BinaryIO, size: int) -> None:
        self._source, self._left = source, size

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        size = self._left if size < 0 else min(size, self._left)
        data = self._source.read(size)
        self._left -= len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _decompressed(source: _Limited, codec: str, size: int) -> Iterator[Any]:
    if codec == "UNCOMPRESSED":
        yield from iter(lambda: source.read(_CHUNK_SIZE_BYTES), b"")
    elif codec == "ZSTD":
        import zstandard

        # It asks for nothing but `read`.
        stream: Any = source
        reader = zstandard.ZstdDecompressor(max_window_size=1 << 31).stream_reader(stream)
        yield from iter(lambda: reader.read(_CHUNK_SIZE_BYTES), b"")
    elif codec == "GZIP":
        inflate = zlib.decompressobj(47)
        while not inflate.eof and (data := inflate.unconsumed_tail or source.read(65536)):
            yield inflate.decompress(data, _CHUNK_SIZE_BYTES)
    elif codec == "SNAPPY":
        yield from unsnapped(source.read())
    else:
        # No streams: the page is decompressed as a whole.
        name = {"LZ4": "lz4_raw"}.get(codec, codec.lower())
        yield pa.Codec(name).decompress(source.read(), size)


def _length(file: IO[bytes]) -> int:
    data = file.read(4)
    if len(data) < 4:
        raise OSError("a page ends within a length")
    return int.from_bytes(data, "little")
