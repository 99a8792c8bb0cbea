"""What a crawl leaves for later ones: its n-grams or signatures, never its text."""

import json

from pyspark.sql import SparkSession

from dclm_spark.dedup.methods import DeduplicationSettings
from dclm_spark.engine.checkpoints import Checkpoints, TableLayout, table_parts, table_schema
from dclm_spark.engine.manifests import StageOutput
from dclm_spark.engine.run_record import check_one_source, check_readable
from dclm_spark.engine.tables import Extent, FileTable
from dclm_spark.errors import SettingError
from dclm_spark.settings import settings_hash
from udfs import storage
from udfs.storage.stream import shown

# Where a run's output has its tables.
TABLES = ("stages", "deduplicate-tables")
# Changes with the format of the tables' files.
_TABLE_VERSION = 2


def save_table(
    spark: SparkSession, output: StageOutput, kept: FileTable, settings: DeduplicationSettings
) -> None:
    """Write the table of the documents that stay (`kept`) beside the stage, unless it is there."""
    method = settings.method
    if not method.keeps_table:
        return
    kind = _kind(settings)
    tables = Checkpoints(
        spark=spark, directory=f"{output.directory}-tables", key=f"{output.fingerprint}/{kind}"
    )
    size = kept.extent.text_size_bytes
    tables.table(
        settings.method_name,
        lambda: method.table(kept),
        TableLayout(by=method.table_by, size_bytes=size),
        size,
        lambda rows: {"kind": kind},
    )


def earlier_keys(settings: DeduplicationSettings) -> list[str]:
    """Return the identities of the tables that `settings.earlier` names.

    Raises SettingError for a run that left no table, or one made with other settings.
    """
    keys = []
    for uri in settings.earlier:
        check_readable(uri)
        check_one_source(uri)
        marker = f"{_table(uri, settings)}.json"
        if not storage.exists(marker):
            raise SettingError(
                f"deduplication.earlier: {shown(uri)} has no table of method "
                f"{settings.method_name!r} ({marker}); expected the output folder of a finished "
                "run with that method"
            )
        stored = json.loads(storage.read_bytes(marker))
        if stored["facts"]["kind"] != _kind(settings):
            raise SettingError(
                f"deduplication.earlier: the table of {shown(uri)} was made with other n-gram or "
                "signature settings, or another version; run that crawl again with this recipe"
            )
        keys.append(stored["key"])
    return keys


def earlier_tables(spark: SparkSession, settings: DeduplicationSettings) -> FileTable | None:
    """Return the rows of all tables that `settings.earlier` names, None for none."""
    tables = [_table(uri, settings) for uri in settings.earlier]
    if not tables:
        return None
    parts = [(table, part) for table in tables for part in table_parts(table)]
    return FileTable(
        spark=spark,
        uris=tuple(storage.join(table, part["path"]) for table, part in parts),
        schema=table_schema(tables[0]),
        extent=Extent(
            key=settings_hash([part["sha256"] for _, part in parts]),
            num_rows=sum(part["rows"] for _, part in parts),
            text_size_bytes=0,
        ),
    )


def _table(uri: str, settings: DeduplicationSettings) -> str:
    return storage.join(uri.rstrip("/"), *TABLES, settings.method_name)


def _kind(settings: DeduplicationSettings) -> str:
    """Return what two tables must share to be compared."""
    return settings_hash([_TABLE_VERSION, *settings.method.table_kind()])
