"""A recipe's columns and its decision over them: known before Spark starts, and carried out."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import pyarrow as pa
from pyspark.sql import SparkSession

from dclm_spark.engine.manifests import StageOutput
from dclm_spark.errors import SettingError
from dclm_spark.recipes.recipe import Recipe, curation_settings
from dclm_spark.signals.decision import REPEAT, Decision, understand_decision, visible
from dclm_spark.signals.scored_documents import QUALITY, RESERVED, Candidates, check_decision
from dclm_spark.signals.signal_tables import (
    NUM_TOKENS,
    SignalTable,
    count_tokens,
    signal_fields,
    stage_name,
    with_ranks,
    write_signal,
)
from dclm_spark.stages.decontaminate import schema_after
from dclm_spark.stages.deduplicate import deduplicated_schema
from dclm_spark.stages.score import score, scored_schema
from dclm_spark.stages.select import minimum_score, quality_rules

_TOKENS = pa.field(NUM_TOKENS, pa.int64())


def has_expressions(recipe: Recipe) -> bool:
    """Say whether a recipe decides by anything but its classifier."""
    return bool(recipe.rules) or recipe.bucket is not None or recipe.repeat is not None


def known_columns(recipe: Recipe) -> dict[str, pa.DataType]:
    """Return the columns that the expressions of a recipe may name, with their types.

    Raises SettingError for a signal that cannot be had, or whose columns are there already.
    """
    curation, documents = curation_settings(recipe), _candidate_schema(recipe)
    known = visible(documents) | with_ranks((QUALITY,) if recipe.quality.enabled else ())
    known |= with_ranks((_TOKENS,))
    # Spark does not tell names apart by case.
    used = {name.lower() for name in (*known, *documents.names, *RESERVED)}
    for name, fields in signal_fields(recipe.signals, curation).items():
        added = with_ranks(fields)
        taken = sorted(one for one in added if one.lower() in used)
        if taken:
            raise SettingError(
                f"signals.{name}: there is a column {taken[0]!r} already; give the signal another "
                "name"
            )
        known |= added
        used |= {one.lower() for one in added}
    return known


def compared_schema(recipe: Recipe) -> pa.Schema:
    """Return the columns of the documents in which copies are looked for."""
    documents = curation_settings(recipe).schema
    return scored_schema(documents) if recipe.quality.before_deduplication else documents


def _candidate_schema(recipe: Recipe) -> pa.Schema:
    """Return the columns of the documents that a recipe chooses from, without its signals."""
    return schema_after(deduplicated_schema(compared_schema(recipe)), recipe.decontamination)


def decision_of(recipe: Recipe, minimum: float | None) -> Decision:
    """Return what a recipe decides, where the classifier keeps scores from `minimum` on.

    A classifier that judges before copies are looked for has no part in it.
    """
    first = recipe.quality.before_deduplication
    rules = {**quality_rules(None if first else minimum), **recipe.rules}
    return Decision(rules=rules, bucket=recipe.bucket, repeat=recipe.repeat)


def check_decisions(recipe: Recipe, spark: SparkSession | None = None) -> None:
    """Raise SettingError for signals and expressions that cannot be had; `spark` may say more."""
    for name in recipe.rules:
        if not name.isidentifier() or name in (QUALITY.name, REPEAT):
            raise SettingError(
                f"rules: {name!r} cannot name a rule; use letters, digits and _, and not "
                f"{QUALITY.name} or {REPEAT}, which are the recipe's own"
            )
    if not (recipe.signals or has_expressions(recipe)):
        return
    columns = known_columns(recipe)
    decision = decision_of(recipe, 0.0 if recipe.quality.enabled else None)
    understand_decision(decision, columns)
    if spark is not None:
        check_decision(spark, decision, columns)


class Scored(NamedTuple):
    """All columns of the documents that a run may choose from, and the decision over them."""

    # The classifier's stage; None without one.
    quality: StageOutput | None
    candidates: Candidates
    decision: Decision

    @property
    def signals(self) -> dict[str, StageOutput]:
        """The stages of signals, by their names."""
        outputs = [table.output for table in self.candidates.tables]
        return {one.stage: one for one in outputs if one is not self.quality}


def score_candidates(
    spark: SparkSession,
    recipe: Recipe,
    documents: StageOutput,
    place: Callable[[str], str],
    *,
    scored: StageOutput | None = None,
    with_tokens: bool = False,
) -> Scored:
    """Make all columns that a recipe asks for, beside the kept documents of a stage.

    `scored` has the scores of a classifier that judged before; the documents have them already.
    Tokens are counted where an expression asks for them, or `with_tokens` does.
    """
    tables: list[SignalTable] = []
    quality = scored
    if quality is None and recipe.quality.enabled:
        quality = score(spark, documents, recipe.quality, place("score"))
    scores = None
    if quality is not None:
        scores = SignalTable(output=quality, fields=(QUALITY,), folder="scores")
    if scores is not None and scored is None:
        tables.append(scores)
    curation = curation_settings(recipe)
    for named in recipe.signals.items():
        directory = place(stage_name(named[0]))
        tables.append(write_signal(spark, documents, named, curation, directory))
    decision = decision_of(recipe, minimum_score(recipe.quality, quality))
    if with_tokens or _asks_for_tokens(recipe, decision):
        directory = place(stage_name(NUM_TOKENS))
        tables.append(count_tokens(spark, documents, recipe.tokens.tokenizer, directory))
    candidates = Candidates(
        documents=documents,
        tables=tuple(tables),
        ranked=None if scored is None else scores,
        empty_schema=_candidate_schema(recipe),
    )
    return Scored(quality, candidates, decision)


def _asks_for_tokens(recipe: Recipe, decision: Decision) -> bool:
    if not has_expressions(recipe):
        return False
    columns: Mapping[str, pa.DataType] = known_columns(recipe)
    return bool({*with_ranks((_TOKENS,))} & understand_decision(decision, columns).columns)
