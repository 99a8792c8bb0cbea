"""Statements that register the tables of a run in a catalog: Hive, Glue, Athena, Spark, Iceberg."""

from collections.abc import Iterator

import pyarrow as pa

from dclm_spark.engine.run_record import existing_run
from dclm_spark.errors import InputError, SettingError
from dclm_spark.mixture.mix import STAGE as MIX
from dclm_spark.removal.tombstones import committed_output
from dclm_spark.stages import STAGES
from udfs import storage
from udfs.storage.parquet import table_schema
from udfs.units.language_texts import ROUTE_STAGE

_PLAIN = {
    pa.string(): "string", pa.large_string(): "string", pa.binary(): "binary",
    pa.large_binary(): "binary", pa.int8(): "tinyint", pa.int16(): "smallint", pa.int32(): "int",
    pa.int64(): "bigint", pa.float32(): "float", pa.float64(): "double", pa.bool_(): "boolean",
    pa.date32(): "date",
}  # fmt: skip


def table_ddl(output: str, dialect: str, database: str) -> Iterator[str]:
    """Yield the statements for every table of a run, one for each folder of a stage's files.

    "hive" is what Glue and Athena take, too. "iceberg" creates tables of a catalog named as
    `database` says and adds the files where they are. Raises InputError where no run is, and
    SettingError for a dialect that is not known.
    """
    if dialect not in DIALECTS:
        raise SettingError(f"--dialect {dialect}: expected one of {', '.join(DIALECTS)}")
    existing_run(output)
    for stage in (*STAGES, MIX, ROUTE_STAGE):
        folder = storage.join(output, *(["shards"] if stage == "shards" else ["stages", stage]))
        paths = committed_output(stage, folder).unit_files["path"].to_pylist()
        first = {path.rpartition("/")[0]: path for path in reversed(paths) if _is_table(path)}
        for name, path in sorted(first.items()):
            schema = table_schema(storage.join(folder, path))
            table = f"{database}.{stage}" + (f"_{name}" if name else "")
            yield _statement(table, schema, storage.join(folder, name) if name else folder, dialect)


def _is_table(path: str) -> bool:
    """Say whether a file is of a folder whose files have one schema: not the shards' own."""
    return path.endswith(".parquet") and "/" in path


def _statement(table: str, schema: pa.Schema, location: str, dialect: str) -> str:
    columns = ",\n".join(f"  `{one.name}` {_type(one.type)}" for one in schema)
    head, tail = DIALECTS[dialect](table, location)
    return f"{head} {table} (\n{columns}\n)\n{tail};\n"


def _hive(table: str, location: str) -> tuple[str, str]:
    return "CREATE EXTERNAL TABLE IF NOT EXISTS", f"STORED AS PARQUET\nLOCATION '{location}'"


def _spark(table: str, location: str) -> tuple[str, str]:
    return "CREATE TABLE IF NOT EXISTS", f"USING parquet\nLOCATION '{location}'"


def _iceberg(table: str, location: str) -> tuple[str, str]:
    catalog, _, rest = table.partition(".")
    adding = (
        f"CALL {catalog}.system.add_files(table => '{rest}', "
        f"source_table => '`parquet`.`{location}`')"
    )
    return "CREATE TABLE IF NOT EXISTS", f"USING iceberg;\n{adding}"


# By name: what stands before the table's name, and behind its columns.
DIALECTS = {"hive": _hive, "spark": _spark, "iceberg": _iceberg}


def _type(kind: pa.DataType) -> str:
    """Return the type by its name in Hive's and Spark's SQL."""
    if kind in _PLAIN:
        return _PLAIN[kind]
    if pa.types.is_timestamp(kind):
        return "timestamp"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"array<{_type(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return f"struct<{', '.join(f'{one.name}: {_type(one.type)}' for one in kind)}>"
    raise InputError(f"a column of type {kind} has no type in a catalog")
