"""Tokens and bytes of a corpus by registered domain, language, crawl and licence."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dclm_spark.engine.caching import cached, uncached
from dclm_spark.engine.checkpoints import TableLayout, open_table, write_table
from dclm_spark.engine.manifests import StageOutput, committed_names
from dclm_spark.engine.shuffles import sized_shuffles
from dclm_spark.engine.tables import read_files
from dclm_spark.errors import InputError
from dclm_spark.removal.tombstones import committed_output, documents_met
from dclm_spark.stages.tokenize import FOLDER as TOKENS
from dclm_spark.stages.tokenize import has_column
from udfs import storage
from udfs.documents.sites import sites
from udfs.storage.parquet import column_names
from udfs.tokens.copies import REPEATS

# Tables of all registered domains lie in `description/sites` of the run.
FOLDER, SITES = "description", "sites"
TOP_SITES = 1000
UNKNOWN = ""
# A document in a shuffle: id, domain, crawl, language, licence and numbers.
_ROW_SIZE_BYTES = 150
# What is read of documents where the recipe stored it.
_LANGUAGE, _FETCHED, _LICENCE = "language", "fetch_time", "licence_kind"
_TOKENIZED = pa.schema(
    [
        pa.field("doc_id", pa.binary()),
        pa.field("crawl", pa.string()),
        pa.field("domain", pa.string()),
        pa.field("num_tokens", pa.int64()),
    ]
)
_SITED = pa.schema([*(one for one in _TOKENIZED if one.name != "domain"), ("site", pa.string())])
_TEXTS = pa.schema(
    [
        pa.field("doc_id", pa.binary()),
        pa.field(_LANGUAGE, pa.string()),
        pa.field(_FETCHED, pa.timestamp("us", "UTC")),
        pa.field(_LICENCE, pa.string()),
        pa.field("text_bytes", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Counts:
    """How much of a corpus something is; removed documents are not counted.

    A document that a recipe repeats is one, with its tokens as often as the shards have them.
    """

    documents: int
    tokens: int
    # UTF-8 bytes.
    text_size_bytes: int


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a corpus is made of."""

    total: Counts
    # Largest first, by bytes.
    languages: dict[str, Counts]
    crawls: dict[str, Counts]
    # By kind of Creative Commons licence that the page links to; "" is none, or not looked for.
    licences: dict[str, Counts]
    num_sites: int
    # The TOP_SITES largest.
    sites: dict[str, Counts]
    # When the first and the last page was fetched; None where that is not known.
    fetched: tuple[str, str] | None


def contents(spark: SparkSession, output: str) -> Contents:
    """Count what the shards of the finished run in `output` are made of.

    Reads the texts once for their bytes; one shuffle of ids. Leaves a table of all registered
    domains in `description/sites`.
    """
    tokenized = _stage(output, "tokenize")
    size = tokenized.rows(f"{TOKENS}/") * _ROW_SIZE_BYTES
    with sized_shuffles(spark, size):
        rows = cached(_documents(spark, output, tokenized))
        try:
            return _counted(spark, rows, storage.join(output, FOLDER, SITES))
        finally:
            uncached(rows)


def _counted(spark: SparkSession, rows: DataFrame, table: str) -> Contents:
    counted = (
        F.count("*").alias("documents"),
        F.sum("num_tokens").alias("tokens"),
        F.sum("text_bytes").alias("text_bytes"),
    )
    by_site = rows.groupBy("site").agg(*counted)
    num_sites = write_table(by_site, table, TableLayout(by=("site",), size_bytes=1))
    largest = open_table(spark, table).orderBy(F.desc("text_bytes"), "site").limit(TOP_SITES)
    total = rows.agg(*counted, F.min(_FETCHED).alias("first"), F.max(_FETCHED).alias("last"))
    row = total.collect()[0]
    return Contents(
        total=Counts(row["documents"], row["tokens"] or 0, row["text_bytes"] or 0),
        languages=_by(rows, _LANGUAGE, counted),
        crawls=_by(rows, "crawl", counted),
        licences=_by(rows, _LICENCE, counted),
        num_sites=num_sites,
        sites=_counts(largest, "site"),
        fetched=(str(row["first"]), str(row["last"])) if row["first"] else None,
    )


def _by(rows: DataFrame, name: str, counted: Any) -> dict[str, Counts]:
    named = rows.withColumn(name, F.coalesce(F.col(name), F.lit(UNKNOWN)))
    return _counts(named.groupBy(name).agg(*counted).orderBy(F.desc("text_bytes"), name), name)


def _counts(rows: DataFrame, name: str) -> dict[str, Counts]:
    return {
        row[name]: Counts(row["documents"], row["tokens"], row["text_bytes"])
        for row in rows.collect()
    }


def _documents(spark: SparkSession, output: str, tokenized: StageOutput) -> DataFrame:
    """Return a row for each document of the shards."""
    files = tokenized.files(f"{TOKENS}/")
    tokens = read_files(
        spark,
        [file["uri"] for file in files],
        _TOKENIZED.append(REPEATS) if has_column(files, REPEATS) else _TOKENIZED,
        transform=_sited,
        output_schema=_SITED,
    )
    removed = [file["uri"] for file in documents_met(storage.join(output, "shards"))]
    if removed:
        ids = pa.schema([_TOKENIZED.field("doc_id")])
        gone = read_files(spark, removed, ids).distinct()
        tokens = tokens.join(gone.hint("merge"), "doc_id", "left_anti")
    return tokens.join(_texts(spark, output).hint("merge"), "doc_id")


def _texts(spark: SparkSession, output: str) -> DataFrame:
    """Return id, language, time and bytes of the texts that were tokenized."""
    files = _candidates(output).files("kept/")
    present = set(column_names(files[0]["uri"]))
    names = [name for name in (_LANGUAGE, _FETCHED, _LICENCE) if name in present]
    read = pa.schema(
        [_TEXTS.field("doc_id"), *map(_TEXTS.field, names), pa.field("text", pa.string())]
    )

    def sized(batch: pa.RecordBatch) -> pa.RecordBatch:
        columns = {
            "doc_id": batch.column("doc_id"),
            "text_bytes": pc.binary_length(batch.column("text")).cast(pa.int64()),
            **{name: batch.column(name) for name in names},
        }
        absent = [name for name in _TEXTS.names if name not in columns]
        columns |= {name: pa.nulls(batch.num_rows, _TEXTS.field(name).type) for name in absent}
        return pa.RecordBatch.from_pydict(columns).select(_TEXTS.names).cast(_TEXTS)

    uris = [file["uri"] for file in files]
    return read_files(spark, uris, read, transform=sized, output_schema=_TEXTS)


def _sited(batch: pa.RecordBatch) -> pa.RecordBatch:
    if REPEATS.name in batch.schema.names:
        place = batch.schema.get_field_index("num_tokens")
        counts = batch.column(REPEATS.name).cast(pa.int64())
        tokens = pc.multiply(batch.column("num_tokens"), counts)
        batch = batch.set_column(place, batch.schema.field(place), tokens)
    return batch.append_column("site", sites(batch.column("domain"))).select(_SITED.names)


def _candidates(output: str) -> StageOutput:
    """Return the stage whose texts are tokenized: decontaminate, where that ran."""
    place = storage.join(output, "stages", "decontaminate")
    return _stage(output, "decontaminate" if committed_names(place) else "deduplicate")


def _stage(output: str, stage: str) -> StageOutput:
    found = committed_output(stage, storage.join(output, "stages", stage))
    if not found.files(""):
        raise InputError(
            f"{output} has no finished stage {stage!r}: give the --output of a finished run"
        )
    return found
