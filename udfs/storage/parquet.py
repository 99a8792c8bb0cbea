"""Committed Parquet files from any storage, as batches; memory does not grow with the file."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from udfs.storage.files import open_seekable

READ_ROWS = 1024


def read_table(uri: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a Parquet file as batches of the given columns.

    Row group by row group: asked for all at once, the reader buffers the whole file ahead and
    keeps it to the end.
    """
    with open_seekable(uri) as source:
        file = pq.ParquetFile(source)
        for group in range(file.num_row_groups):
            yield from file.iter_batches(READ_ROWS, row_groups=[group], columns=list(columns))


def column_names(uri: str) -> list[str]:
    """Return the names of the columns of a Parquet file."""
    return list(column_schema(uri).names)


def column_schema(uri: str) -> pa.Schema:
    """Return the columns of a Parquet file with their types."""
    with open_seekable(uri) as source:
        return pq.ParquetFile(source).schema_arrow
