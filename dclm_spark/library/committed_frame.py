"""The rows of a frame as the output of a documents stage, which the later stages read."""

import math
from collections.abc import Iterator
from itertools import pairwise

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from dclm_spark.engine.code_version import code_version
from dclm_spark.engine.manifests import StageOutput, Unit, numbered_unit, unit_key
from dclm_spark.engine.shuffles import PARTITION_SIZE_BYTES, TASK, partition_keys
from dclm_spark.engine.stage import UnitRules, run_units
from dclm_spark.engine.tables import Extent, spark_schema
from udfs.documents.schema import EXTRACTED, FATE_FIELDS, KEPT, OWN_COLUMNS, STAGE
from udfs.units.commit import COMMITTED, UnitClock, commit, group_by_unit
from udfs.units.fates import FateOutputs

_BEFORE_FATE = list(EXTRACTED)[: -len(FATE_FIELDS)]


def commit_documents(
    rows: DataFrame, extent: Extent, directory: str, *, own_columns: bool
) -> StageOutput:
    """Commit rows (doc_id, url, text, `own_columns` too where told) as kept documents.

    A unit is the documents of one hash range, in the order of their ids.
    """
    schema = pa.schema([*_BEFORE_FATE, *([OWN_COLUMNS] if own_columns else []), *FATE_FIELDS])
    count = max(1, math.ceil(extent.text_size_bytes / PARTITION_SIZE_BYTES))
    key = unit_key(STAGE, extent.key, count, code=code_version(__name__))
    units = [Unit(name=numbered_unit(number, count), key=key) for number in range(count)]

    def execute(pending: list[Unit]) -> DataFrame:
        numbers = [int(unit.name.rsplit("-", 1)[-1]) for unit in pending]
        tasks = dict(zip(numbers, partition_keys(len(pending)).tolist(), strict=True))
        place = F.pmod(F.xxhash64("doc_id"), F.lit(count)).cast("int")
        placed = rows.withColumn("number", place).where(F.col("number").isin(numbers))
        chosen = F.create_map(*(F.lit(one) for pair in tasks.items() for one in pair))
        placed = placed.withColumn(TASK.name, F.element_at(chosen, F.col("number")).cast("int"))
        ordered = placed.repartition(len(pending), TASK.name)
        ordered = ordered.sortWithinPartitions("number", "doc_id")

        def commit_units(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for number, found in group_by_unit(batches, "number"):
                unit = numbered_unit(int(number), count)
                yield _commit_unit(directory, unit, key, found, schema)

        return ordered.mapInArrow(commit_units, spark_schema(COMMITTED))

    rules = UnitRules(may_be_empty=True, documents_in=extent.num_rows)
    return run_units(
        rows.sparkSession,
        stage=STAGE,
        directory=directory,
        units=units,
        execute=execute,
        rules=rules,
    )


def _commit_unit(
    directory: str, unit: str, key: str, batches: Iterator[pa.RecordBatch], schema: pa.Schema
) -> pa.RecordBatch:
    clock, last = UnitClock(), None
    with FateOutputs(directory, unit, schema) as outputs:
        for batch in batches:
            ids = [last, *batch.column("doc_id").to_pylist()]
            for first, second in pairwise(ids):
                if first == second:
                    raise ValueError("id: two rows have the same id; ids must be unique")
            last = ids[-1]
            outputs.write(_as_documents(batch, schema))
        files, tallied = outputs.close()
    return commit(directory, unit, key, files, tallied, clock)


def _as_documents(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return rows of a frame as kept documents; what nobody knows of them is null."""
    columns = []
    for field in schema:
        if field.name == "fate":
            column = pa.array([KEPT] * batch.num_rows)
        elif field.name in batch.schema.names:
            kind = pa.large_string() if field.name == "text" else field.type
            column = batch.column(field.name).cast(kind)
        else:
            column = pa.nulls(batch.num_rows, field.type)
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema.names)
