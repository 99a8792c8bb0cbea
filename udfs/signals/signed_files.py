"""The signals of the documents of one file, in its order, and what they are like altogether."""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from udfs.signals.buckets import score_buckets
from udfs.signals.functions import ARGUMENTS
from udfs.signals.measures import Measure
from udfs.storage.parquet import read_table
from udfs.units.output import UnitOutput

DOC_ID = pa.field("doc_id", pa.binary())


class ColumnTally:
    """Counts of the values of signal columns: numbers by bucket, texts by value, nulls."""

    def __init__(self) -> None:
        self._buckets: dict[str, Counter[int]] = {}
        self._values: dict[str, Counter[str]] = {}
        self._nulls: Counter[str] = Counter()

    def add(self, name: str, column: pa.Array) -> None:
        """Count the values of a column; what is not a number counts as null."""
        values = pc.drop_null(column)
        if pa.types.is_string(column.type):
            self._values.setdefault(name, Counter()).update(values.to_pylist())
        elif pa.types.is_boolean(column.type) or pa.types.is_primitive(column.type):
            numbers = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
            numbers = numbers[~np.isnan(numbers)]
            found, counts = np.unique(score_buckets(numbers), return_counts=True)
            pairs = dict(zip(found.tolist(), counts.tolist(), strict=True))
            self._buckets.setdefault(name, Counter()).update(pairs)
            self._nulls[name] += len(values) - len(numbers)
        self._nulls[name] += column.null_count

    def facts(self) -> dict[str, Any]:
        """Return the counts as plain data (`udfs.units.totals.ColumnTotals` adds them up)."""
        return {
            name: {
                "buckets": [list(pair) for pair in sorted(self._buckets.get(name, {}).items())],
                "values": [list(pair) for pair in sorted(self._values.get(name, {}).items())],
                "nulls": self._nulls[name],
            }
            for name in sorted({*self._buckets, *self._values, *self._nulls})
        }


def sign_file(source: dict[str, Any], output: UnitOutput, measure: Measure) -> None:
    """Write the columns of `measure` for the documents of a file."""
    tally = ColumnTally()
    for batch in read_table(source["uri"], ARGUMENTS.names):
        given = pa.RecordBatch.from_arrays(
            [batch.column(one.name).cast(one.type) for one in ARGUMENTS], schema=ARGUMENTS
        )
        columns = [
            column.cast(field.type)
            for field, column in zip(measure.fields, measure.columns(given), strict=True)
        ]
        for field, column in zip(measure.fields, columns, strict=True):
            tally.add(field.name, column)
        output.write(
            pa.RecordBatch.from_arrays([batch.column("doc_id"), *columns], schema=output.schema)
        )
    output.facts["columns"] = tally.facts()
