"""Reading committed Parquet files as batches, from any storage."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from udfs import storage

READ_ROWS = 1024


def read_table(uri: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield the row groups of a Parquet file as batches of the given columns."""
    with storage.open_seekable(uri) as source:
        yield from pq.ParquetFile(source).iter_batches(READ_ROWS, columns=list(columns))
