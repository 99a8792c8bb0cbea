"""Splitting documents by fate into the files of a unit: kept with text, the ledger without."""

from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from udfs.documents.schema import FATES, KEPT
from udfs.units.parquet_output import FileEntry, ParquetOutput
from udfs.units.statistics import Tally


class FateOutputs:
    """The up to three files of a unit, `<fate>/<unit>.parquet`, and the tally of its rows.

    Kept documents keep their text; a dropped or quarantined one is a ledger row whose text can be
    brought back from its WARC position. What is not closed when the block ends is dropped.
    """

    def __init__(self, directory: str, unit: str, schema: pa.Schema) -> None:
        self._directory = directory
        self._unit = unit
        self._schema = schema
        self._outputs: dict[str, ParquetOutput] = {}
        self._tally = Tally()

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
        """Append documents, each of which must have a fate."""
        self._tally.add(batch)
        found = batch.column("fate").unique().to_pylist()
        for fate in (fate for fate in FATES if fate in found):
            # A filter copies the texts.
            is_only = found == [fate]
            rows = batch if is_only else batch.filter(pc.equal(batch.column("fate"), fate))
            if fate != KEPT:
                rows = _without_text(rows)
            self._output(fate).write(rows)

    def end_group(self) -> None:
        """End the row group of each file: what follows stands in another one."""
        for output in self._outputs.values():
            output.end_group()

    def _output(self, fate: str) -> ParquetOutput:
        if fate not in self._outputs:
            path = f"{fate}/{self._unit}.parquet"
            self._outputs[fate] = ParquetOutput(self._directory, path, self._schema)
        return self._outputs[fate]

    def close(self) -> tuple[list[FileEntry], dict[str, Any]]:
        """Publish the files; return their entries and the facts for the manifest."""
        files = [self._outputs[fate].close() for fate in FATES if fate in self._outputs]
        return files, self._tally.facts()

    def abandon(self) -> None:
        """Drop what was written so far and not published."""
        for output in self._outputs.values():
            output.abandon()


def _without_text(batch: pa.RecordBatch) -> pa.RecordBatch:
    position = batch.schema.get_field_index("text")
    kind = batch.schema.field(position).type
    return batch.set_column(position, "text", pa.nulls(batch.num_rows, kind))


def with_fate(
    batch: pa.RecordBatch,
    *,
    stage: str,
    rule: pa.Array,
    value: pa.Array,
    threshold: pa.Array,
    dropped_fate: str = "dropped",
) -> pa.RecordBatch:
    """Give every row that has no fate yet one: dropped where `rule` is set, kept elsewhere."""
    open_rows = pc.is_null(batch.column("fate"))
    failed = pc.and_(open_rows, pc.is_valid(rule))
    updates = {
        "fate": pc.if_else(failed, dropped_fate, pc.if_else(open_rows, KEPT, batch.column("fate"))),
        "stage": pc.if_else(failed, stage, batch.column("stage")),
        "rule": pc.if_else(failed, rule.cast(pa.string()), batch.column("rule")),
        "value": pc.if_else(failed, value.cast(pa.float64()), batch.column("value")),
        "threshold": pc.if_else(failed, threshold.cast(pa.float64()), batch.column("threshold")),
    }
    for name, column in updates.items():
        batch = batch.set_column(batch.schema.get_field_index(name), name, column)
    return batch
