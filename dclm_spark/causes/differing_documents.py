"""Documents that two corpora do not both have, or not with the same text, as one table.

The corpora are those of finished runs, whose documents are the same ones where their place in the
input is. The table has a row for each document that differs: what each run did with it, its tokens
in each corpus, and what it may be grouped by.
"""

import hashlib
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from dclm_spark.beginning import Place, stages_below
from dclm_spark.engine.manifests import StageOutput, committed_names
from dclm_spark.engine.run_record import finished_run
from dclm_spark.engine.tables import read_files
from dclm_spark.errors import InputError
from dclm_spark.ranking.corpora import shared_places
from dclm_spark.recipes import load_recipe
from dclm_spark.removal.tombstones import committed_output, documents_met
from dclm_spark.report.changed_fates import ABSENT, ledger_files, outcomes
from dclm_spark.stages.tokenize import FOLDER as TOKENS
from dclm_spark.stages.tokenize import has_column
from udfs import storage
from udfs.documents.sites import sites
from udfs.storage.parquet import column_names
from udfs.tokens.copies import REPEATS

ENTERED, LEFT, CHANGED = "entered", "left", "changed"
# What a document has no value of.
UNKNOWN = ""
# Scores below this are one group: a quality classifier's say little there.
LOWEST_SCORE_POWER = -10
_TOKENIZED = pa.schema(
    [
        pa.field("doc_id", pa.binary()),
        pa.field("crawl", pa.string()),
        pa.field("domain", pa.string()),
        pa.field("num_tokens", pa.int64()),
        pa.field("tokens", pa.binary()),
    ]
)
_SIZED = pa.schema([_TOKENIZED.field("doc_id"), _TOKENIZED.field("num_tokens")])
_SIZES = ("doc_id", "tokens")
_CORPUS = pa.schema(
    [
        pa.field("doc_id", pa.binary()),
        pa.field("source", pa.string()),
        pa.field("domain", pa.string()),
        # As often as the shards have them.
        pa.field("tokens", pa.int64()),
        # Of the ids: equal texts have equal ones.
        pa.field("text_key", pa.int64()),
    ]
)
_LANGUAGE = pa.field("language", pa.string())
_SCORE = pa.field("quality_score", pa.float64())


@dataclass(frozen=True, kw_only=True)
class CorpusRun:
    """A finished run: its folder, what it is called, and where its stages and shards lie."""

    output: str
    name: str
    place: Place

    @property
    def manifest(self) -> str:
        """Return the manifest of the run's shards."""
        return storage.join(self.place("shards"), "manifest.json")

    def stage(self, name: str) -> StageOutput:
        """Return what is committed of a stage; InputError where it has nothing."""
        found = committed_output(name, self.place(name))
        if not found.files(""):
            raise InputError(
                f"{self.output} has no finished stage {name!r}: give the --output of a finished "
                "run, or a folder recipes/NAME of jobs/rank_recipes.py"
            )
        return found

    @property
    def candidates(self) -> StageOutput:
        """Return the stage whose texts are tokenized: decontaminate, where that ran."""
        has_more = committed_names(self.place("decontaminate"))
        return self.stage("decontaminate" if has_more else "deduplicate")


def corpus_run(output: str) -> CorpusRun:
    """Return the finished run in `output`, also one of a ranking, which shares stages with others.

    Raises InputError for what is no finished run of one source.
    """
    output = storage.absolute(output)
    record = finished_run(output)
    place = stages_below(output)
    if not committed_names(place("documents")):
        recipe = load_recipe(storage.join(output, "recipe.yaml"))
        ranking = output.rstrip("/").rpartition("/")[0].rpartition("/")[0]
        place = shared_places(recipe, ranking)
    return CorpusRun(output=output, name=record["recipe_name"], place=place)


def differing_documents(spark: SparkSession, first: CorpusRun, second: CorpusRun) -> DataFrame:
    """Return a row for each document that differs between two corpora.

    doc_id, url, kind (ENTERED: only in the second; LEFT: only in the first; CHANGED: text or
    copies), fate (in the run that does not have it; of a changed one "kept"), domain, language,
    source, score (a range, of the first run that gave one), tokens_first, tokens_second.
    """
    one, other = (corpus_documents(spark, run) for run in (first, second))
    named = {name: f"{name}_second" for name in one.columns if name != "doc_id"}
    both = one.join(other.withColumnsRenamed(named).hint("merge"), "doc_id", "full_outer")
    kind = (
        F.when(F.col("text_key").isNull(), F.lit(ENTERED))
        .when(F.col("text_key_second").isNull(), F.lit(LEFT))
        .otherwise(F.lit(CHANGED))
    )
    same = F.col("text_key").eqNullSafe(F.col("text_key_second"))
    same = same & F.col("tokens").eqNullSafe(F.col("tokens_second"))
    rows = both.where(~same).select(
        "doc_id",
        kind.alias("kind"),
        *(F.coalesce(name, named[name]).alias(name) for name in ("domain", "source")),
        F.coalesce("tokens", F.lit(0)).alias("tokens_first"),
        F.coalesce("tokens_second", F.lit(0)).alias("tokens_second"),
    )
    rows = _with_fates(spark, rows, first, second)
    languages = [
        _column(spark, run.candidates.files("kept/"), _LANGUAGE) for run in (first, second)
    ]
    scores = [_column(spark, run.stage("select").files(""), _SCORE) for run in (first, second)]
    rows = _with_either(rows, languages, _LANGUAGE)
    rows = _with_either(rows, scores, _SCORE)
    return rows.withColumn("score", _score_range(F.col(_SCORE.name))).drop(_SCORE.name)


def corpus_documents(spark: SparkSession, run: CorpusRun) -> DataFrame:
    """Return doc_id, source, domain, tokens and text_key of the documents of a corpus."""
    return _documents(spark, run, _TOKENIZED, _measured, _CORPUS)


def document_sizes(spark: SparkSession, run: CorpusRun) -> DataFrame:
    """Return doc_id and tokens of the documents of a corpus, without a look at their text."""
    return _documents(spark, run, _SIZED, _sized, pa.schema([_CORPUS.field(one) for one in _SIZES]))


def _documents(
    spark: SparkSession,
    run: CorpusRun,
    columns: pa.Schema,
    measure: Callable[[pa.RecordBatch], pa.RecordBatch],
    schema: pa.Schema,
) -> DataFrame:
    files = run.stage("tokenize").files(f"{TOKENS}/")
    read = columns.append(REPEATS) if has_column(files, REPEATS) else columns
    uris = [file["uri"] for file in files]
    rows = read_files(spark, uris, read, transform=measure, output_schema=schema)
    removed = [file["uri"] for file in documents_met(run.place("shards"))]
    if not removed:
        return rows
    gone = read_files(spark, removed, pa.schema([_CORPUS.field("doc_id")])).distinct()
    return rows.join(gone.hint("merge"), "doc_id", "left_anti")


def _tokens(batch: pa.RecordBatch) -> pa.Array:
    tokens = batch.column("num_tokens")
    if REPEATS.name in batch.schema.names:
        tokens = pc.multiply(tokens, batch.column(REPEATS.name).cast(pa.int64()))
    return tokens


def _sized(batch: pa.RecordBatch) -> pa.RecordBatch:
    tokens = _tokens(batch).cast(_CORPUS.field("tokens").type)
    return pa.RecordBatch.from_arrays([batch.column("doc_id"), tokens], names=list(_SIZES))


def _measured(batch: pa.RecordBatch) -> pa.RecordBatch:
    keys = [_text_key(ids) for ids in batch.column("tokens").to_pylist()]
    columns = {
        "doc_id": batch.column("doc_id"),
        "source": batch.column("crawl"),
        "domain": sites(batch.column("domain")),
        "tokens": _tokens(batch),
        "text_key": pa.array(keys, pa.int64()),
    }
    return pa.RecordBatch.from_pydict(columns, schema=_CORPUS)


def _text_key(ids: bytes) -> int:
    digest = hashlib.blake2b(ids, digest_size=8).digest()
    return int(struct.unpack("<q", digest)[0])


def _with_fates(
    spark: SparkSession, rows: DataFrame, first: CorpusRun, second: CorpusRun
) -> DataFrame:
    """Add the address, and the fate of each document in the run whose corpus lacks it."""
    for run, name in ((first, "first"), (second, "second")):
        fates = outcomes(spark, ledger_files(run.place))
        fates = fates.withColumnsRenamed({"url": f"url_{name}", "outcome": f"outcome_{name}"})
        rows = rows.join(fates.hint("merge"), "doc_id", "left")
    kept = F.lit("kept")
    fate = (
        F.when(F.col("kind") == ENTERED, F.coalesce("outcome_first", F.lit(ABSENT)))
        .when(F.col("kind") == LEFT, F.coalesce("outcome_second", F.lit(ABSENT)))
        .otherwise(kept)
    )
    # A document that was kept and is not in the corpus was removed from it since.
    removed = (F.col("kind") != CHANGED) & (fate == kept)
    fate = F.when(removed, F.lit("removed: removed")).otherwise(fate)
    url = F.coalesce("url_first", "url_second", F.lit(UNKNOWN))
    rows = rows.withColumn("fate", fate).withColumn("url", url)
    return rows.drop("url_first", "url_second", "outcome_first", "outcome_second")


def _with_either(rows: DataFrame, frames: Sequence[DataFrame | None], field: pa.Field) -> DataFrame:
    """Add a column that one of the runs knows, of the first that does; null where none does."""
    known = []
    for place, frame in enumerate(frames):
        if frame is not None:
            known.append(f"{field.name}_{place}")
            frame = frame.withColumnRenamed(field.name, known[-1])
            rows = rows.join(frame.hint("merge"), "doc_id", "left")
    absent = F.lit(None).cast("double" if field == _SCORE else "string")
    return rows.withColumn(field.name, F.coalesce(*known, absent)).drop(*known)


def _column(spark: SparkSession, files: list[dict[str, Any]], field: pa.Field) -> DataFrame | None:
    """Return doc_id and a column of a stage's rows; None where the stage does not have it."""
    if not files or field.name not in column_names(files[0]["uri"]):
        return None
    schema = pa.schema([_CORPUS.field("doc_id"), field])
    return read_files(spark, [file["uri"] for file in files], schema)


def _score_range(score: Column) -> Column:
    """Return the range of powers of two in which a score lies, such as "0.25 to 0.5"."""
    ranges = F.when(score.isNull() | F.isnan(score), F.lit(UNKNOWN))
    lowest = 2.0**LOWEST_SCORE_POWER
    ranges = ranges.when(score < lowest, F.lit(f"below {lowest:.2g}"))
    for power in range(LOWEST_SCORE_POWER + 1, 1):
        edge = 2.0**power
        ranges = ranges.when(score < edge, F.lit(f"{edge / 2:.2g} to {edge:.2g}"))
    return ranges.otherwise(F.lit("1 and above"))
