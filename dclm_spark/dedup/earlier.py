"""What a crawl leaves for later ones: its n-grams or signatures, never its text."""

import json
from collections.abc import Sequence

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from dclm_spark.dedup.global_ngrams import ngram_table
from dclm_spark.dedup.minhash import signature_table
from dclm_spark.dedup.settings import TABLE_METHODS, DeduplicationSettings
from dclm_spark.engine.manifests import StageOutput
from dclm_spark.engine.run_record import check_readable
from dclm_spark.engine.tables import checkpoint, open_table, read_files
from dclm_spark.errors import SettingError
from dclm_spark.settings import settings_hash
from udfs import storage
from udfs.dedup.global_ngrams import NGRAM_VERSION
from udfs.storage.stream import shown
from udfs.units.documents import DOCUMENTS

# Where a run's output has its tables.
TABLES = ("stages", "deduplicate-tables")


def save_table(spark: SparkSession, output: StageOutput, settings: DeduplicationSettings) -> None:
    """Write the table of the documents that stay beside the stage, unless it is there."""
    if settings.method not in TABLE_METHODS:
        return
    order = [name.removeprefix("-") for name in settings.near_duplicates.survivor_order]
    columns = ["text"] if settings.method == "global" else ["doc_id", "text", *order]
    schema = pa.schema([DOCUMENTS.field(name) for name in dict.fromkeys(columns)])
    kept = read_files(spark, [file["uri"] for file in output.files("kept/")], schema)

    def build() -> DataFrame:
        if settings.method == "global":
            return ngram_table(kept, settings.global_ngrams)
        return signature_table(kept, settings.near_duplicates)

    kind = _kind(settings)
    directory, name = f"{output.directory}-tables", settings.method
    key = f"{output.fingerprint}/{kind}"
    checkpoint(
        spark, directory, name, key, build, lambda rows: {"kind": kind, "rows": rows.count()}
    )


def earlier_keys(settings: DeduplicationSettings) -> list[str]:
    """Return the identities of the tables that `settings.earlier` names.

    Raises SettingError for a run that left no table, or one made with other settings.
    """
    keys = []
    for uri in settings.earlier:
        check_readable(uri)
        marker = f"{_table(uri, settings)}.json"
        if not storage.exists(marker):
            raise SettingError(
                f"deduplication.earlier: {shown(uri)} has no table of method {settings.method!r} "
                f"({marker}); expected the output folder of a finished run with that method"
            )
        stored = json.loads(storage.read_bytes(marker))
        if stored["facts"]["kind"] != _kind(settings):
            raise SettingError(
                f"deduplication.earlier: the table of {shown(uri)} was made with other n-gram or "
                "signature settings, or another version; run that crawl again with this recipe"
            )
        keys.append(stored["key"])
    return keys


def earlier_tables(spark: SparkSession, settings: DeduplicationSettings) -> DataFrame | None:
    """Return the rows of all tables that `settings.earlier` names, None for none."""
    return _union([open_table(spark, _table(uri, settings)) for uri in settings.earlier])


def _union(tables: Sequence[DataFrame]) -> DataFrame | None:
    whole: DataFrame | None = None
    for table in tables:
        whole = table if whole is None else whole.unionByName(table)
    return whole


def _table(uri: str, settings: DeduplicationSettings) -> str:
    return storage.join(uri.rstrip("/"), *TABLES, settings.method)


def _kind(settings: DeduplicationSettings) -> str:
    """Return what two tables must share to be compared."""
    if settings.method == "global":
        ngrams = settings.global_ngrams
        parts = [NGRAM_VERSION, ngrams.min_ngram, ngrams.max_ngram, ngrams.sample_one_in]
        return settings_hash(parts)
    near = settings.near_duplicates
    return settings_hash([near.signatures, list(near.survivor_order)])
