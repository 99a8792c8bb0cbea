"""Dedup where no method compares texts: each file of documents meets its verdicts in place."""

from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from dclm_spark.dedup.decisions import STAGE, judge
from dclm_spark.dedup.evidence.verdict_columns import verdict_columns
from dclm_spark.dedup.exact import exact_verdicts
from dclm_spark.dedup.method import DedupInput
from dclm_spark.dedup.methods import DeduplicationSettings
from dclm_spark.engine.manifests import StageOutput, Unit, numbered_unit
from dclm_spark.engine.shuffles import partition_keys
from dclm_spark.engine.stage import UnitRules, run_units
from dclm_spark.engine.tables import spark_schema, work_frame
from udfs.storage.parquet import read_table
from udfs.units.commit import COMMITTED, UnitClock, commit
from udfs.units.fates import FateOutputs

_FILES = pa.schema([("uri", pa.string())])
_WORK = pa.schema([("unit", pa.string()), ("uri", pa.string()), ("place", pa.int32())])
_PLACED = pa.schema([("doc_id", pa.binary()), ("uri", pa.string())])


def by_file(
    given: DedupInput, settings: DeduplicationSettings, directory: str, schema: pa.Schema
) -> StageOutput:
    """Commit a unit for each file of documents, without a shuffle of texts.

    `schema` is that of the rows. Only ids, and what is found of them by exact keys, are shuffled.
    """
    uris = given.files.uris
    names = [numbered_unit(place, len(uris)) for place in range(len(uris))]
    uri_of = dict(zip(names, uris, strict=True))
    committer = _committer(given, settings.mode == "annotate", directory, schema)

    def execute(pending: list[Unit]) -> DataFrame:
        keys = partition_keys(len(pending)).tolist()
        rows = [
            {"unit": unit.name, "uri": uri_of[unit.name], "place": place}
            for unit, place in zip(pending, keys, strict=True)
        ]
        work = work_frame(given.spark, rows, _WORK)
        exact = exact_verdicts(given, settings.exact, settings.key_steps)
        found = verdict_columns(given.without(exact), settings, exact)
        if found is not None:
            work = work.join(_by_uri(found, given).hint("merge"), "uri", "left")
            work = work.repartition(len(pending), "place")
        return work.mapInArrow(committer, spark_schema(COMMITTED))

    return run_units(
        given.spark,
        stage=STAGE,
        directory=directory,
        units=[Unit(name=name, key=given.working.key) for name in names],
        execute=execute,
        rules=UnitRules(documents_in=given.files.extent.num_rows),
    )


def _committer(
    given: DedupInput, annotate: bool, directory: str, schema: pa.Schema
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    columns, key = list(given.files.schema.names), given.working.key

    def commit_files(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for row in range(batch.num_rows):
                clock, unit = UnitClock(), batch.column("unit")[row].as_py()
                verdicts = _verdicts_of(batch, row)
                with FateOutputs(directory, unit, schema) as outputs:
                    for rows in read_table(batch.column("uri")[row].as_py(), columns):
                        outputs.write(judge(_with_verdicts(rows, verdicts), None, annotate))
                    files, tallied = outputs.close()
                yield commit(directory, unit, key, files, tallied, clock)

    return commit_files


def _by_uri(verdicts: DataFrame, given: DedupInput) -> DataFrame:
    """Return (uri, verdicts): a row for each file, with what was found of its documents."""

    def places(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for uri in batch.column("uri").to_pylist():
                for rows in read_table(uri, ["doc_id"]):
                    named = pa.array([uri] * rows.num_rows, pa.string())
                    yield pa.RecordBatch.from_arrays([rows.column("doc_id"), named], schema=_PLACED)

    files = work_frame(given.spark, [{"uri": uri} for uri in given.files.uris], _FILES)
    placed = files.mapInArrow(places, spark_schema(_PLACED))
    found = verdicts.join(placed.hint("merge"), "doc_id")
    return found.groupBy("uri").agg(F.collect_list(F.struct(*verdicts.columns)).alias("verdicts"))


def _verdicts_of(batch: pa.RecordBatch, row: int) -> pa.StructArray | None:
    """Return the verdicts of one row of work, None where it has none."""
    if "verdicts" not in batch.schema.names or not batch.column("verdicts")[row].is_valid:
        return None
    return batch.column("verdicts")[row].values


def _with_verdicts(rows: pa.RecordBatch, verdicts: pa.StructArray | None) -> pa.RecordBatch:
    """Add the columns of the verdicts to documents, null where there is none."""
    if verdicts is None:
        return rows
    places = pc.index_in(rows.column("doc_id"), verdicts.field("doc_id"))
    for field in verdicts.type:
        if field.name != "doc_id":
            rows = rows.append_column(field.name, verdicts.field(field.name).take(places))
    return rows
