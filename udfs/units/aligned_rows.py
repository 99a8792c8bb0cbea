"""Rows of tables put beside the documents of a file, without holding any table whole."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from udfs.storage.parquet import read_table

_ID = "doc_id"


class AlignedRows:
    """The rows of tables that share the documents of one file among them, each in the file's order.

    Such tables are the scores of a file, or the kept and dropped rows that a stage made of it.
    """

    def __init__(self, uris: Sequence[str], schema: pa.Schema) -> None:
        self._tables = [_Ahead(uri, schema) for uri in uris]

    def take(self, ids: pa.Array) -> pa.RecordBatch:
        """Return the rows of the file's next documents, whose `doc_id` are `ids`, in their order.

        Raises ValueError when the tables have other documents or another order.
        """
        parts = [table.first(len(ids)) for table in self._tables]
        rows = pa.concat_tables(parts).combine_chunks()
        places = pc.index_in(ids, value_set=rows[_ID].combine_chunks())
        if places.null_count:
            raise ValueError(f"{self._named()}: {places.null_count} documents have no row")
        taken, start = places.to_numpy(), 0
        for table, part in zip(self._tables, parts, strict=True):
            mine = taken[(taken >= start) & (taken < start + part.num_rows)] - start
            if not np.array_equal(mine, np.arange(len(mine))):
                raise ValueError(f"{self._named()}: the rows have another order")
            table.skip(len(mine))
            start += part.num_rows
        return rows.take(places).combine_chunks().to_batches()[0] if len(ids) else _empty(rows)

    def _named(self) -> str:
        return ", ".join(table.uri for table in self._tables)


class _Ahead:
    """A table that is read as far as somebody looked ahead."""

    def __init__(self, uri: str, schema: pa.Schema) -> None:
        self.uri = uri
        self._batches: Iterator[pa.RecordBatch] = read_table(uri, schema.names)
        self._rows = schema.empty_table()

    def first(self, count: int) -> pa.Table:
        """Return the next `count` rows, fewer at the end, which stay to be read."""
        while self._rows.num_rows < count and (batch := next(self._batches, None)) is not None:
            self._rows = pa.concat_tables([self._rows, pa.Table.from_batches([batch])])
        return self._rows.slice(0, count)

    def skip(self, count: int) -> None:
        self._rows = self._rows.slice(count)


def _empty(rows: pa.Table) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=rows.schema)
