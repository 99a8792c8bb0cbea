"""A table of somebody else's joined to documents by their id or address, as a signal."""

import hashlib
import json
from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dclm_spark.engine.code_version import code_version
from dclm_spark.engine.file_stage import sources_of
from dclm_spark.engine.manifests import StageOutput, Unit, unit_key
from dclm_spark.engine.shuffles import TASK, partition_keys, sized_shuffles
from dclm_spark.engine.stage import UnitRules, run_units
from dclm_spark.engine.tables import read_files, spark_schema, work_frame
from dclm_spark.errors import SettingError
from udfs import storage
from udfs.signals.signal_settings import SignalSettings
from udfs.signals.signed_files import DOC_ID, ColumnTally
from udfs.storage.parquet import read_table
from udfs.units.commit import COMMITTED, group_by_unit
from udfs.units.output import UnitOutput

_FOLDER = "signals"
_KEY = "join_key"
_DOCUMENT_SIZE_BYTES = 256


def _files(uri: str) -> list[str]:
    names = [uri] if uri.endswith(".parquet") else storage.list_files(storage.absolute(uri))
    return sorted(name for name in names if name.endswith(".parquet"))


def _opened(where: str, uri: str) -> tuple[list[str], pa.Schema]:
    try:
        files = _files(uri)
        if not files:
            raise SettingError(
                f"{where} = {uri!r}: there is no .parquet file; give one or a folder"
            )
        with storage.open_seekable(files[0]) as source:
            return files, pq.ParquetFile(source).schema_arrow
    except (storage.StorageError, OSError, pa.ArrowInvalid) as error:
        raise SettingError(f"{where} = {uri!r}: {error}") from error


def external_fields(name: str, settings: SignalSettings) -> tuple[pa.Field, ...]:
    """Return the columns that a table gives; SettingError where it lacks them or its key."""
    assert settings.table is not None
    _, schema = _opened(f"signals.{name}.table", settings.table)
    if settings.key not in schema.names:
        raise SettingError(
            f"signals.{name}.key = {settings.key!r}: the table has no such column; it has "
            f"{', '.join(schema.names)}"
        )
    wanted = settings.columns or tuple(one for one in schema.names if one != settings.key)
    unknown = [column for column in wanted if column not in schema.names]
    if unknown:
        raise SettingError(
            f"signals.{name}.columns: the table has no column {unknown[0]!r}; it has "
            f"{', '.join(schema.names)}"
        )
    names = [name] if len(wanted) == 1 else [f"{name}_{column}" for column in wanted]
    kinds = [_stored(schema.field(column).type) for column in wanted]
    for column, kind in zip(wanted, kinds, strict=True):
        if kind is None:
            raise SettingError(
                f"signals.{name}.columns: {column!r} is of type {schema.field(column).type}; "
                "expected numbers, booleans or text"
            )
    return tuple(pa.field(one, kind) for one, kind in zip(names, kinds, strict=True))


def _stored(kind: pa.DataType) -> pa.DataType | None:
    if pa.types.is_floating(kind):
        return pa.float64()
    if pa.types.is_integer(kind):
        return pa.int64()
    if pa.types.is_boolean(kind):
        return kind
    return pa.string() if pa.types.is_string(kind) or pa.types.is_large_string(kind) else None


def table_version(uris: list[str]) -> str:
    """Return what identifies the content of Parquet files: footers, and versions in their store.

    Footers alone may be the same for other values: they hold counts, sizes and bounds. The version
    is an ETag or a generation, of a local file its place and time of change.
    """
    digest = hashlib.sha256()
    for uri in uris:
        with storage.open_seekable(uri) as source:
            footer = pq.ParquetFile(source).metadata.to_dict()
        digest.update(json.dumps(footer, sort_keys=True, default=str).encode())
        with storage.open_stream(uri) as stream:
            digest.update(str(stream.etag).encode())
    return digest.hexdigest()[:32]


def join_external(
    spark: SparkSession,
    documents: StageOutput,
    named: tuple[str, SignalSettings],
    stage: str,
    directory: str,
) -> StageOutput:
    """Write the row of the table of each kept document of a stage; null for those without one.

    Of several rows with one key the smallest, column by column, counts. One shuffle of ids (or
    addresses) and rows; texts are not read.
    """
    name, settings = named
    fields = external_fields(name, settings)
    assert settings.table is not None
    uris = _files(settings.table)
    sources = {one.unit: one for one in sources_of(documents)}
    version = table_version(uris)
    code = code_version(__name__)
    units = [
        Unit(name=unit, key=unit_key(stage, one.identity, settings, version, code=code))
        for unit, one in sources.items()
    ]
    keys = {unit.name: unit.key for unit in units}

    def execute(pending: list[Unit]) -> DataFrame:
        rows = [
            {"unit": unit.name, "uri": sources[unit.name].source["uri"], "place": str(task)}
            for unit, task in zip(pending, partition_keys(len(pending)).tolist(), strict=True)
        ]
        found = _table_rows(spark, uris, settings, fields)
        joined = _documents(spark, rows, settings.key).join(found.hint("merge"), _KEY, "left")
        placed = joined.repartition(len(pending), TASK.name).sortWithinPartitions("unit", "row")
        return placed.mapInArrow(_committing(directory, keys, fields), spark_schema(COMMITTED))

    counts = {unit: one.documents or 0 for unit, one in sources.items()}
    rules = UnitRules(documents_in=counts)
    with sized_shuffles(spark, sum(counts.values()) * _DOCUMENT_SIZE_BYTES):
        return run_units(
            spark, stage=stage, directory=directory, units=units, execute=execute, rules=rules
        )


def _documents(spark: SparkSession, rows: list[dict[str, str]], key: str) -> DataFrame:
    """Return the documents of files: their unit and place in it, their id, and what joins them."""
    work = pa.schema([(name, pa.string()) for name in ("unit", "uri", "place")])
    kind = pa.binary() if key == DOC_ID.name else pa.string()
    result = pa.schema([("unit", pa.string()), TASK, ("row", pa.int64()), DOC_ID, (_KEY, kind)])

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for row in batch.to_pylist():
                start = 0
                for rows in read_table(row["uri"], list({DOC_ID.name, key})):
                    count = rows.num_rows
                    columns = [
                        pa.array([row["unit"]] * count),
                        pa.array([int(row["place"])] * count, pa.int32()),
                        pa.array(range(start, start + count), pa.int64()),
                        rows.column(DOC_ID.name),
                        rows.column(key),
                    ]
                    yield pa.RecordBatch.from_arrays(columns, schema=result)
                    start += count

    return work_frame(spark, rows, work).mapInArrow(read, spark_schema(result))


def _table_rows(
    spark: SparkSession, uris: list[str], settings: SignalSettings, fields: tuple[pa.Field, ...]
) -> DataFrame:
    """Return one row per key of the table, its columns called as the signal's."""
    with storage.open_seekable(uris[0]) as source:
        schema = pq.ParquetFile(source).schema_arrow
    wanted = settings.columns or tuple(one for one in schema.names if one != settings.key)
    given = pa.schema([schema.field(one) for one in (settings.key, *wanted)])
    kind = pa.binary() if settings.key == DOC_ID.name else pa.string()
    result = pa.schema([pa.field(_KEY, kind), *fields])

    def renamed(batch: pa.RecordBatch) -> pa.RecordBatch:
        joined = batch.column(settings.key)
        if kind == pa.binary() and not pa.types.is_binary(joined.type):
            ids = [None if one is None else bytes.fromhex(one) for one in joined.to_pylist()]
            joined = pa.array(ids, kind)
        columns = [batch.column(one).cast(f.type) for one, f in zip(wanted, fields, strict=True)]
        rows = pa.RecordBatch.from_arrays([joined.cast(kind), *columns], schema=result)
        return rows.filter(pc.is_valid(rows.column(_KEY)))

    rows = read_files(spark, uris, given, transform=renamed, output_schema=result)
    return rows.groupBy(_KEY).agg(*(F.min(one.name).alias(one.name) for one in fields))


def _committing(
    directory: str, keys: dict[str, str], fields: tuple[pa.Field, ...]
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    schema = pa.schema([DOC_ID, *fields])

    def commit_units(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for unit, rows in group_by_unit(batches, "unit"):
            tally = ColumnTally()
            with UnitOutput(directory, unit, schema, folder=_FOLDER) as output:
                for batch in rows:
                    output.write(batch.select(schema.names))
                    for one in fields:
                        tally.add(one.name, batch.column(one.name).cast(one.type))
                output.facts["columns"] = tally.facts()
                yield output.commit(keys[unit])

    return commit_units
