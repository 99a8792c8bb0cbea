"""A run of several sources: each a run below sources/NAME, their tokens mixed, one set of shards.

Nothing of a source is done again for another part of it in the corpus: weights change the stage mix
and the shards alone.
"""

import json
import logging
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from pyspark.sql import SparkSession

from dclm_spark.beginning import RunRequest, stages_below
from dclm_spark.dedup.earlier import earlier_keys
from dclm_spark.engine.lease import only_driver
from dclm_spark.engine.manifests import StageOutput
from dclm_spark.engine.monitoring.run_clock import RunClock, timed_stage
from dclm_spark.engine.run_output import RunProgress
from dclm_spark.engine.run_record import (
    write_run_record,
)
from dclm_spark.mixed_runs import language_run
from dclm_spark.mixed_runs.mixed_beginning import (
    MixedRequest,
    check_sources_before_start,
    describe_sources,
    identity_of,
    named,
    request_of,
    source_output,
)
from dclm_spark.mixture.mix import STAGE, mix
from dclm_spark.mixture.shares import SourceShare, as_json, render, shares
from dclm_spark.mixture.source_counts import SourceCounts, count_decided, count_tokenized
from dclm_spark.pipeline import scored_run, shards_of, tokenize_source, write_reports
from dclm_spark.recipes import is_several
from dclm_spark.recipes.recipe import Recipe
from dclm_spark.recipes.source_recipes import source_recipes
from dclm_spark.removal.tombstones import check_can_leave_out
from dclm_spark.report.closing import summary_metrics
from dclm_spark.report.source_summary import summarize_sources
from dclm_spark.report.summarize import summarize
from dclm_spark.report.summary import RunSummary
from dclm_spark.session import spark_session
from dclm_spark.signals.decision import understand_decision
from dclm_spark.signals.mixture_yield import YieldRow, counted
from dclm_spark.signals.mixture_yield import as_json as yield_as_json
from dclm_spark.signals.mixture_yield import render as render_yield
from dclm_spark.signals.scored_documents import decisions
from dclm_spark.signals.signal_tables import NUM_TOKENS
from dclm_spark.stages.finished_work import check_finished_work, remove_other_formats
from udfs import storage
from udfs.documents.schema import KEPT
from udfs.tokens.copies import REPEATS

LOGGER = logging.getLogger("dclm_spark")


@dataclass(frozen=True, kw_only=True)
class MixedRun:
    """What a run of several sources ended with."""

    shares: tuple[SourceShare, ...]
    tokens: StageOutput
    shards: StageOutput
    shard_manifest: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class MixturePlan:
    """What each source's recipe yields, and what of that the corpus will have."""

    rows: Mapping[str, list[YieldRow]]
    shares: tuple[SourceShare, ...]


@dataclass(kw_only=True)
class _Begun:
    """A run under way: the recipes of its sources, and what of them has ended."""

    output: str
    recipes: Mapping[str, Recipe]
    clock: RunClock
    summaries: dict[str, RunSummary] = field(default_factory=dict)
    manifest: dict[str, Any] | None = None


def build_mixture(spark: SparkSession, recipe: Recipe, request: MixedRequest) -> MixedRun:
    """Make the corpus of a recipe's sources below `request.output`, and write its reports.

    As `dclm_spark.pipeline.build_baseline` does of one input: what is committed is not done again,
    and the result is the same bytes whichever way it came about. Raises SettingError for a source
    that would have to be repeated too often, before any shard is written.
    """
    with _begun(recipe, request) as begun:
        check_can_leave_out(_place(begun, "shards"), recipe.tokens.format)
        tokenized = {
            name: _tokenized(spark, recipe, name, begun, request) for name in begun.recipes
        }
        with timed_stage(spark, begun.clock, STAGE):
            counts = {
                name: SourceCounts(count_tokenized(spark, one, name))
                for name, one in tokenized.items()
            }
            found = _shares(recipe, counts)
            write_plan(begun.output, found)
            tokens = mix(spark, tokenized, found, recipe.tokens, _place(begun, STAGE))
        with timed_stage(spark, begun.clock, "shards"):
            shards, begun.manifest = shards_of(
                spark, recipe, tokens, _place(begun, "shards"), as_json(found)
            )
    return MixedRun(
        shares=tuple(found), tokens=tokens, shards=shards, shard_manifest=begun.manifest
    )


def plan_sources(spark: SparkSession, recipe: Recipe, request: MixedRequest) -> MixturePlan:
    """Run every source up to its scores, and return what the corpus will have of each.

    No fate, token or shard is written; `build_mixture` goes on from here and writes as much as is
    said, to the token.
    """
    rows: dict[str, list[YieldRow]] = {}
    with _begun(recipe, request, reports=False) as begun:
        counts = {}
        for name in begun.recipes:
            rows[name], counts[name] = _planned(spark, recipe, name, begun, request)
        found = _shares(recipe, counts)
        write_plan(begun.output, found, rows)
    return MixturePlan(rows=rows, shares=tuple(found))


def _planned(
    spark: SparkSession, recipe: Recipe, name: str, begun: _Begun, request: MixedRequest
) -> tuple[list[YieldRow], SourceCounts]:
    own, asked = _run_of(recipe, name, begun, request)
    with named(name), scored_run(spark, own, asked) as (_, scored):
        understood = understand_decision(scored.decision, scored.candidates.columns)
        decided = decisions(spark, scored.candidates, understood)
        repeats = [REPEATS.name] if scored.decision.repeats else []
        kept = decided.where(decided["fate"] == KEPT).select("doc_id", NUM_TOKENS, *repeats)
        return counted(decided, scored.decision), SourceCounts(count_decided(kept, name))


def _tokenized(
    spark: SparkSession, recipe: Recipe, name: str, begun: _Begun, request: MixedRequest
) -> StageOutput:
    LOGGER.info("source %s", name)
    own, asked = _run_of(recipe, name, begun, request)
    with named(name):
        tokenized, begun.summaries[name] = tokenize_source(spark, own, asked)
    return tokenized


def _run_of(
    recipe: Recipe, name: str, begun: _Begun, request: MixedRequest
) -> tuple[Recipe, RunRequest]:
    """Return the recipe and request of a source, whose earlier sources have ended."""
    own, given = begun.recipes[name], recipe.sources[name]
    if recipe.mixture.deduplicate:
        before = list(begun.recipes)[: list(begun.recipes).index(name)]
        earlier = tuple(source_output(begun.output, one) for one in before)
        deduplication = replace(own.deduplication, earlier=(*own.deduplication.earlier, *earlier))
        with named(name):
            earlier_keys(deduplication)
        own = replace(own, deduplication=deduplication)
    return own, RunRequest(
        inputs=given.input, output=source_output(begun.output, name), base=given.base,
        limit=request.limit, overwrite=request.overwrite,
    )  # fmt: skip


def _shares(recipe: Recipe, counts: Mapping[str, SourceCounts]) -> list[SourceShare]:
    return shares(recipe.sources, recipe.mixture, counts)


def write_plan(
    output: str, found: Sequence[SourceShare], rows: Mapping[str, list[YieldRow]] | None = None
) -> None:
    """Write mixture.json: the sources' parts and, of a plan, what each recipe's decision yields."""
    facts: dict[str, Any] = {"sources": as_json(found)}
    if rows is not None:
        facts["yields"] = {name: yield_as_json(one) for name, one in rows.items()}
    text = json.dumps(facts, indent=1)
    storage.write_bytes(storage.join(output, "mixture.json"), text.encode())


def _place(begun: _Begun, stage: str) -> str:
    return stages_below(begun.output)(stage)


@contextmanager
def _begun(recipe: Recipe, request: MixedRequest, reports: bool = True) -> Iterator[_Begun]:
    """Keep other drivers away, say beside the output what it is, and report at the end."""
    output, failure = storage.absolute(request.output), ""
    recipes = source_recipes(recipe)
    files, identity = identity_of(recipe, request)
    with only_driver(output):
        if request.overwrite:
            remove_other_formats(output, [stages_below(output)(STAGE)])
        else:
            check_finished_work(output, identity, files, stages_below(output)("documents"))
        write_run_record(output, recipe, files, identity)
        clock = RunClock(output, ":".join(identity.key), request.metrics)
        begun = _Begun(output=output, recipes=recipes, clock=clock)
        try:
            with clock.running():
                yield begun
        except (Exception, KeyboardInterrupt) as error:
            failure = str(error) or type(error).__name__
            raise
        finally:
            if reports:
                whole = summarize(RunProgress(), recipe, identity, clock, failure)
                summary = summarize_sources(begun.summaries, begun.manifest, whole)
                write_reports(summary, output)
                clock.write_metrics(summary_metrics(summary))


def build_from_arguments(recipe: Recipe, given: Namespace) -> None:
    """Run what jobs/build_baseline.py is asked for of several sources, or in several languages."""
    if is_several(recipe.language):
        language_run.build_from_arguments(recipe, given)
        return
    request = request_of(given)
    checked = check_sources_before_start(recipe, request)
    if given.check:
        print("\n".join(describe_sources(recipe, checked)))
        return
    run = build_mixture(spark_session("build_baseline", given.master), recipe, request)
    print(render(run.shares))


def plan_from_arguments(recipe: Recipe, given: Namespace) -> str:
    """Return what jobs/plan_mixture.py prints of a recipe of several sources."""
    request = request_of(given)
    check_sources_before_start(recipe, request)
    plan = plan_sources(spark_session("plan_mixture", given.master), recipe, request)
    yields = [f"\nsource {name}\n{render_yield(rows)}" for name, rows in plan.rows.items()]
    return "\n".join([render(plan.shares), *yields])
