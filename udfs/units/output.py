"""The output of one unit: its tables, the facts of its manifest, and the commit of both."""

from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from udfs.units.commit import UnitClock, commit
from udfs.units.fates import FateOutputs
from udfs.units.json_lines_output import JsonLinesOutput
from udfs.units.parquet_output import FileEntry, ParquetOutput

Table = type[ParquetOutput] | type[JsonLinesOutput]


class UnitOutput:
    """What the process of a stage writes for one unit.

    With `folder` the rows are one table, `<folder>/<unit>`, in the format of `table`. Without it
    every row has a fate and goes into the table of its fate, and the manifest counts fates and
    rules. `facts` go into the manifest too. What is not committed when the block ends is dropped.
    """

    def __init__(
        self,
        directory: str,
        unit: str,
        schema: pa.Schema,
        *,
        folder: str | None = None,
        table: Table = ParquetOutput,
    ) -> None:
        self.schema = schema
        self.facts: dict[str, Any] = {}
        self._directory, self._unit = directory, unit
        self._clock = UnitClock()
        self._tables: ParquetOutput | JsonLinesOutput | FateOutputs = (
            FateOutputs(directory, unit, schema)
            if folder is None
            else table(directory, f"{folder}/{unit}{table.suffix}", schema)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._tables.abandon()

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows of the unit's schema."""
        self._tables.write(batch)

    def end_group(self) -> None:
        """End the row groups of the tables by fate: what follows stands in others."""
        assert isinstance(self._tables, FateOutputs)
        self._tables.end_group()

    def commit(self, key: str) -> pa.RecordBatch:
        """Publish the tables and then the manifest; return the row that reports the unit."""
        files, facts = self._close()
        return commit(self._directory, self._unit, key, files, facts | self.facts, self._clock)

    def _close(self) -> tuple[list[FileEntry], dict[str, Any]]:
        if isinstance(self._tables, FateOutputs):
            return self._tables.close()
        return [self._tables.close()], {}
