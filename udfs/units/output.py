"""The output of one unit: its tables, the facts of its manifest, and the commit of both."""

from typing import Any

import pyarrow as pa

from udfs.units.commit import FileEntry, ParquetOutput, UnitClock, commit
from udfs.units.fates import FateOutputs


class UnitOutput:
    """What the process of a stage writes for one unit.

    With `folder` the rows are one table, `<folder>/<unit>.parquet`. Without it every row has a
    fate and goes into the table of its fate, and the manifest counts fates and rules. `facts` go
    into the manifest too.
    """

    def __init__(
        self, directory: str, unit: str, schema: pa.Schema, *, folder: str | None = None
    ) -> None:
        self.schema = schema
        self.facts: dict[str, Any] = {}
        self._directory, self._unit = directory, unit
        self._clock = UnitClock()
        self._tables: ParquetOutput | FateOutputs = (
            FateOutputs(directory, unit, schema)
            if folder is None
            else ParquetOutput(directory, f"{folder}/{unit}.parquet", schema)
        )

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows of the unit's schema."""
        self._tables.write(batch)

    def commit(self, key: str) -> pa.RecordBatch:
        """Publish the tables and then the manifest; return the row that reports the unit."""
        files, facts = self._close()
        return commit(self._directory, self._unit, key, files, facts | self.facts, self._clock)

    def _close(self) -> tuple[list[FileEntry], dict[str, Any]]:
        if isinstance(self._tables, FateOutputs):
            return self._tables.close()
        return [self._tables.close()], {}

    def abandon(self) -> None:
        """Delete what was written so far and not published."""
        self._tables.abandon()
