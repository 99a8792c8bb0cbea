"""Committed Parquet files from any storage, as batches; memory does not grow with the file."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
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


def read_groups_of(
    uri: str, columns: Sequence[str], name: str, value: str
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of the row groups whose column `name` holds nothing but `value`.

    No other row group is read: a file where each value has row groups of its own is divided so.
    """
    with open_seekable(uri) as source:
        file = pq.ParquetFile(source)
        place = file.schema_arrow.get_field_index(name)
        for group in range(file.num_row_groups):
            found = file.metadata.row_group(group).column(place).statistics
            if found is not None and found.has_min_max and found.min == found.max == value:
                yield from file.iter_batches(READ_ROWS, row_groups=[group], columns=list(columns))


def python_value(scalar: pa.Scalar) -> Any:
    """Return a value for Python: as text where Python cannot hold it, such as a date before year 1.

    Bytes of a string that are no UTF-8 become U+FFFD.
    """
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return bytes(scalar.as_buffer() or b"").decode("utf-8", "replace")
    except (ValueError, OverflowError):
        return str(pc.cast(scalar, pa.string()).as_py())


def python_values(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """Return the values of a column for Python, each as `python_value` does."""
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError):
        return [_value_or_none(scalar) for scalar in column]


def _value_or_none(scalar: pa.Scalar) -> Any:
    """Return None for what no value of Python, nor a text, can stand for (a nested one)."""
    try:
        return python_value(scalar)
    except (ValueError, OverflowError, AttributeError, pa.ArrowException):
        return None


def column_names(uri: str) -> list[str]:
    """Return the names of the columns of a Parquet file."""
    return list(table_schema(uri).names)


def table_schema(uri: str) -> pa.Schema:
    """Return the columns of a Parquet file and their types."""
    with open_seekable(uri) as source:
        return pq.ParquetFile(source).schema_arrow
