"""Bytes of text for each byte of extracted input, measured at the start of a few of its files."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dclm_spark.crawl.listing import InputFile
from udfs import storage
from udfs.documents.extract import ExtractionSettings
from udfs.documents.formats import InputUnit, ParquetFormat, Reading, read_unit
from udfs.documents.given import InputSettings

_FILES = 4
# Of each file; more than a block of bzip2 has.
_START_BYTES = 1024 * 1024


def text_share(
    files: Sequence[InputFile], extraction: ExtractionSettings, columns: InputSettings
) -> float | None:
    """Return the bytes of text for each byte of files whose texts are given; None if unknown.

    A few files, spread over all, stand for the others; a compressed byte holds several of text.
    """
    sample = files[:: max(1, len(files) // _FILES)][:_FILES]
    try:
        reading = Reading(extraction=extraction, columns=columns)
        sizes = [_BY_FOOTER.get(file.kind, _stream_sizes)(file, reading) for file in sample]
    except (storage.StorageError, OSError, pa.ArrowException):
        # The run says what is wrong with a file, and may go on without it.
        return None
    read = sum(size for _, size in sizes)
    return sum(text for text, _ in sizes) / read if read else None


def _parquet_sizes(file: InputFile, reading: Reading) -> tuple[int, int]:
    """Return the decoded bytes of the text column, by the file's own footer, and of the file."""
    with storage.open_seekable(file.uri) as source:
        metadata = pq.ParquetFile(source).metadata
    chunks = [
        metadata.row_group(group).column(at)
        for group in range(metadata.num_row_groups)
        for at in range(metadata.num_columns)
    ]
    text = sum(
        chunk.total_uncompressed_size
        for chunk in chunks
        if chunk.path_in_schema == reading.columns.text_column
    )
    return text, storage.size_bytes(file.uri)


# Formats whose files say themselves how large their columns are.
_BY_FOOTER = {ParquetFormat.name: _parquet_sizes}


def _stream_sizes(file: InputFile, reading: Reading) -> tuple[int, int]:
    """Return the bytes of the texts at the start of a file, and how much of the file that is."""
    with storage.open_stream(file.uri) as stream:
        start = _start(stream)
    with TemporaryDirectory() as folder:
        # The reader tells a compression by the bytes, and the format is known.
        path = Path(folder) / "start"
        path.write_bytes(start)
        unit = InputUnit(crawl="", path="start", uri=str(path), kind=file.kind)
        texts = (batch.column("text") for batch in read_unit(unit, reading))
        text = sum(pc.sum(pc.binary_length(one)).as_py() or 0 for one in texts)
    return text, len(start)


def _start(stream: storage.Stream) -> bytes:
    parts: list[bytes] = []
    left = _START_BYTES
    while left and (data := stream.read(left)):
        parts.append(data)
        left -= len(data)
    return b"".join(parts)
