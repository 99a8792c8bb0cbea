"""The select stage: which documents become training data, decided over columns, without texts."""

from collections.abc import Callable, Iterable, Iterator, Mapping

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from dclm_spark.engine.code_version import code_version
from dclm_spark.engine.manifests import StageOutput, Unit, unit_key
from dclm_spark.engine.stage import UnitRules, run_units
from dclm_spark.engine.tables import spark_schema
from dclm_spark.errors import SettingError
from dclm_spark.settings import settings_hash
from dclm_spark.signals.decision import BUCKET, STAGE, Decision, understand_decision
from dclm_spark.signals.scored_documents import IDENTITY, QUALITY, Candidates, decisions
from dclm_spark.stages.score import QualitySettings
from udfs.documents.schema import FATE_FIELDS
from udfs.signals.buckets import Ranks, bucket_edge
from udfs.tokens.copies import REPEATS
from udfs.units.commit import COMMITTED, group_by_unit
from udfs.units.output import UnitOutput

__all__ = ["STAGE", "select"]

# What select says of a document of a recipe without signals of its own.
SELECTED = pa.schema([*IDENTITY, QUALITY, *FATE_FIELDS])
# Statistics that need texts, which the tokenize stage reads and counts.
_LEFT_TO_TOKENIZE = {"languages": [], "domains": [], "domains_cut": 0, "samples": []}


def minimum_score(settings: QualitySettings, scores: StageOutput | None) -> float | None:
    """Return the score from which documents are kept, None for no filter.

    It is the absolute one of the settings, or for `top` the quantile of the scores.
    """
    if scores is None:
        return None
    if settings.top is None:
        return settings.threshold
    return top_threshold(scores.totals["score_buckets"], settings.top)


def top_threshold(buckets: Iterable[tuple[int, int]], top: float) -> float:
    """Return the score at or above which lies the fraction `top` of all documents.

    `buckets` are the documents by score bucket, so it does not depend on partitioning; documents
    that share the edge's bucket (scores within 0.05 %) are all kept.
    """
    if not 0 < top <= 1:
        raise SettingError(f"quality.top = {top}: expected a fraction above 0 and at most 1")
    counts = dict(buckets)
    wanted = top * sum(counts.values())
    reached = 0
    for bucket in sorted(counts, reverse=True):
        reached += counts[bucket]
        if reached >= wanted:
            return bucket_edge(bucket)
    return 0.0


def quality_rules(minimum: float | None) -> dict[str, str]:
    """Return the rule that a recipe's `quality` stands for; none without a score to keep from."""
    return {} if minimum is None else {QUALITY.name: f"{QUALITY.name} >= {minimum!r}D"}


def selected_schema(candidates: Candidates, decision: Decision) -> pa.Schema:
    """Return the schema of the decisions: ids, scores and signals, bucket and copies, the fate."""
    signals = [one for one in candidates.fields if one != QUALITY]
    bucket = [] if decision.bucket is None else [pa.field(BUCKET, pa.string())]
    repeats = [REPEATS] if decision.repeats else []
    return pa.schema([*IDENTITY, QUALITY, *signals, *bucket, *repeats, *FATE_FIELDS])


def select(
    spark: SparkSession, candidates: Candidates, decision: Decision, directory: str
) -> StageOutput:
    """Give the candidates their fates by a decision, file by file; no shuffle.

    The rows are the ledger of this decision: no text, but all scores and signals. Raises
    SettingError for expressions that cannot be evaluated.
    """
    understood = understand_decision(decision, candidates.columns)
    ranked = _fingerprint(candidates.ranks(understood.columns))
    schema = selected_schema(candidates, decision)
    code = code_version(__name__)
    sources = {one.unit: one for one in candidates.sources()}
    keys = {
        unit: unit_key(STAGE, one.identity, decision.key, ranked, schema.names, code=code)
        for unit, one in sources.items()
    }

    def execute(pending: list[Unit]) -> DataFrame:
        given = [sources[unit.name] for unit in pending]
        rows = decisions(spark, candidates, understood, given)
        return rows.mapInArrow(_committing(directory, keys, schema), spark_schema(COMMITTED))

    return run_units(
        spark,
        stage=STAGE,
        directory=directory,
        units=[Unit(name=unit, key=key) for unit, key in keys.items()],
        execute=execute,
        rules=UnitRules(documents_in={unit: one.documents or 0 for unit, one in sources.items()}),
    )


def _fingerprint(ranks: Mapping[str, Ranks]) -> dict[str, str]:
    """Return what identifies ranks: they depend on all documents, and not on those of one file."""
    return {
        name: settings_hash([one.buckets.tolist(), one.shares.tolist()])
        for name, one in ranks.items()
    }


def _committing(
    directory: str, keys: Mapping[str, str], schema: pa.Schema
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def commit_units(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for unit, rows in group_by_unit(batches, "unit"):
            with UnitOutput(directory, unit, schema) as output:
                for batch in rows:
                    # What counts rows by fate counts the bytes of their texts, too.
                    text = pa.nulls(batch.num_rows, pa.string())
                    columns = [batch.column(one.name).cast(one.type) for one in schema]
                    output.write(
                        pa.RecordBatch.from_arrays([*columns, text], names=[*schema.names, "text"])
                    )
                output.facts |= _LEFT_TO_TOKENIZE
                yield output.commit(keys[unit])

    return commit_units
