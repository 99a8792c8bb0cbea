"""The story of a run: documents, deduplicate, decontaminate, score, select, tokenize, shards.

A recipe may have its classifier judge before copies are looked for: documents, score, quality,
deduplicate, decontaminate, select.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from pyspark.sql import SparkSession

from dclm_spark.beginning import Begun, Place, RunRequest, Source, begin
from dclm_spark.dedup.evidence.stage_evidence import dedup_evidence
from dclm_spark.engine.manifests import StageOutput
from dclm_spark.engine.monitoring.run_clock import RunClock, timed_stage
from dclm_spark.engine.run_output import RunOutput, RunProgress
from dclm_spark.limits import check_documents, check_yield
from dclm_spark.recipes.deciding import Scored, check_decisions, compared_schema, score_candidates
from dclm_spark.recipes.recipe import Recipe, curation_settings, recipe_hash
from dclm_spark.removal.tombstones import check_can_leave_out, write_tombstones
from dclm_spark.report.closing import closing_lines, summary_metrics
from dclm_spark.report.machine import write_json
from dclm_spark.report.page import write_report
from dclm_spark.report.stage_rows import EVIDENCE
from dclm_spark.report.summarize import summarize
from dclm_spark.report.summary import RunSummary
from dclm_spark.signals.mixture_yield import YieldRow, as_json, exact_yield
from dclm_spark.stages.decontaminate import decontaminate
from dclm_spark.stages.deduplicate import deduplicate, deduplicated_schema
from dclm_spark.stages.documents import warn_of_missed_domains, write_documents
from dclm_spark.stages.language_texts import judge_language
from dclm_spark.stages.score import FILTER, keep_by_score, score
from dclm_spark.stages.scored_table import decide
from dclm_spark.stages.select import minimum_score, select
from dclm_spark.stages.shard_manifest import write_manifest
from dclm_spark.stages.shards import write_shards
from dclm_spark.stages.tokenize import tokenize, with_special_ids
from udfs import storage

LOGGER = logging.getLogger("dclm_spark")


def build_baseline(
    spark: SparkSession,
    *,
    recipe: Recipe,
    inputs: str,
    output: str,
    base: str | None = None,
    place: Place | None = None,
    scored: str | None = None,
    limit: int | None = None,
    overwrite: bool = False,
    metrics: str | None = None,
) -> RunOutput:
    """Turn the files that `inputs` names into token shards below `output`, and write the report.

    `place` puts stages elsewhere than below `output`, where runs may share them; `scored` is a
    scored table (`dclm_spark.stages.scored_table`) to decide from instead of reading the files
    again; `limit` reads only so many of the files; `metrics` is a file for Prometheus
    (`dclm_spark.engine.monitoring.run_metrics`). What is committed already, from the same input,
    settings and code, is not done again; the result is the same bytes whichever way it came about.
    Raises SettingError where another driver writes to `output`, or that holds finished work of
    another recipe, other files or another version, which `overwrite` replaces.
    """
    request = RunRequest(
        inputs=inputs, output=output, base=base, place=place, scored=scored, limit=limit,
        overwrite=overwrite, metrics=metrics,
    )  # fmt: skip
    return run_to_shards(spark, recipe, request)[0]


def run_to_shards(
    spark: SparkSession, recipe: Recipe, request: RunRequest
) -> tuple[RunOutput, RunSummary]:
    """Run all stages and write the report; return the stages and the summary."""
    with reported(recipe, request) as work:
        candidates = _run_until_selected(spark, work)
        run, begun = work.run, work.begun
        assert run.selected is not None
        run.tokenized, run.shards, run.shard_manifest = write_corpus(
            spark, recipe, candidates, run.selected, begun.place, begun.source.clock
        )
    assert work.summary is not None
    return run.finished(), work.summary


@dataclass(kw_only=True)
class Work:
    """A run under way; `summary` is there once it has ended, well or not."""

    run: RunProgress
    begun: Begun
    summary: RunSummary | None = None


@contextmanager
def reported(recipe: Recipe, request: RunRequest) -> Iterator[Work]:
    """Begin a run, and write its report when the block ends, well or not."""
    with begin(recipe, request) as begun:
        work, failure = Work(run=RunProgress(), begun=begun), ""
        clock = begun.source.clock
        try:
            with clock.running():
                yield work
        except (Exception, KeyboardInterrupt) as error:
            failure = str(error) or type(error).__name__
            raise
        finally:
            summary = summarize(work.run, recipe, begun.identity, clock, failure)
            work.summary = replace(summary, skipped_files=begun.skipped)
            write_reports(work.summary, begun.output)
            clock.write_metrics(summary_metrics(work.summary))


def tokenize_source(
    spark: SparkSession, recipe: Recipe, request: RunRequest
) -> tuple[StageOutput, RunSummary]:
    """Run all stages but shards, report, and return the tokens and the summary; see `reported`."""
    with reported(recipe, request) as work:
        candidates, run = _run_until_selected(spark, work), work.run
        assert run.selected is not None
        tokens = with_special_ids(recipe.tokens, recipe.quirks)
        place = work.begun.place("tokenize")
        with timed_stage(spark, work.begun.source.clock, "tokenize"):
            run.tokenized = tokenize(spark, candidates, run.selected, tokens, place)
    assert run.tokenized is not None
    assert work.summary is not None
    return run.tokenized, work.summary


def plan_mixture(spark: SparkSession, recipe: Recipe, request: RunRequest) -> list[YieldRow]:
    """Run the stages up to the scores, count tokens, and return what the recipe's decision yields.

    Nothing of the decision is written but mixture.json, which says the same; `build_baseline` of
    the same recipe and request goes on from here. Raises as that does.
    """
    with scored_run(spark, recipe, request) as (begun, scored):
        rows = exact_yield(spark, scored.candidates, scored.decision)
        text = json.dumps(as_json(rows), indent=1)
        storage.write_bytes(storage.join(begun.output, "mixture.json"), text.encode())
    return rows


@contextmanager
def scored_run(
    spark: SparkSession, recipe: Recipe, request: RunRequest
) -> Iterator[tuple[Begun, Scored]]:
    """Begin a run and make all columns that its decision may ask for, tokens counted too."""
    with begin(recipe, request) as begun, begun.source.clock.running():
        check_decisions(recipe, spark)
        run = RunProgress()
        candidates = _run_until_candidates(spark, run, begun.source, begun.place)
        with timed_stage(spark, begun.source.clock, _columns_of(run)):
            scored = score_candidates(
                spark, recipe, candidates, begun.place, scored=run.scored, with_tokens=True
            )
        yield begun, scored


def write_reports(summary: RunSummary, output: str) -> None:
    """Write the report for people and for programs, also of a run that failed."""
    write_report(summary, storage.join(output, "report.html"))
    write_json(summary, storage.join(output, "report.json"))
    for line in closing_lines(summary, output):
        LOGGER.info("%s", line)


def _run_until_selected(spark: SparkSession, work: Work) -> StageOutput:
    """Run the stages up to the decision; return what it chose from. `work` holds what has ended."""
    run, source, place = work.run, work.begun.source, work.begun.place
    recipe = source.recipe
    check_decisions(recipe, spark)
    candidates = _run_until_candidates(spark, run, source, place)
    with timed_stage(spark, source.clock, _columns_of(run)):
        scored = score_candidates(spark, recipe, candidates, place, scored=run.scored)
    run.scored, run.signals = scored.quality, scored.signals
    run.minimum_score = minimum_score(recipe.quality, run.scored)
    with timed_stage(spark, source.clock, "select"):
        run.selected = select(spark, scored.candidates, scored.decision, place("select"))
    check_yield("select", run.selected, recipe.limits)
    return candidates


def _run_until_candidates(
    spark: SparkSession, run: RunProgress, source: Source, place: Place
) -> StageOutput:
    """Run the stages that remove copies and what comes before; return what others choose from."""
    recipe, clock = source.recipe, source.clock
    with timed_stage(spark, clock, "documents"):
        documents = _read_documents(spark, run, source, place("documents"))
    if recipe.quality.before_deduplication:
        documents = _keep_good(spark, run, source, place)
    schema = compared_schema(recipe)
    with timed_stage(spark, clock, "deduplicate"):
        run.deduplicated = deduplicate(
            spark, documents, schema, recipe.deduplication, place("deduplicate")
        )
    check_yield("deduplicate", run.deduplicated, recipe.limits)
    with timed_stage(spark, clock, "decontaminate"):
        run.decontaminated = decontaminate(
            spark,
            run.deduplicated,
            deduplicated_schema(schema),
            recipe.decontamination,
            place("decontaminate"),
        )
    if run.decontaminated is not None:
        check_yield("decontaminate", run.decontaminated, recipe.limits)
    with timed_stage(spark, clock, EVIDENCE):
        run.dedup_evidence = dedup_evidence(
            spark, documents, run.deduplicated, recipe.deduplication
        )
    return run.decontaminated or run.deduplicated


def _columns_of(run: RunProgress) -> str:
    """Return under which name the columns beside the documents are timed."""
    return "score" if run.filtered is None else "signals"


def _keep_good(spark: SparkSession, run: RunProgress, source: Source, place: Place) -> StageOutput:
    """Score the documents and keep the good ones, before copies are looked for."""
    recipe, clock = source.recipe, source.clock
    assert run.documents is not None
    with timed_stage(spark, clock, "score"):
        run.scored = score(spark, run.documents, recipe.quality, place("score"))
    run.minimum_score = minimum_score(recipe.quality, run.scored)
    assert run.minimum_score is not None
    schema = curation_settings(recipe).schema
    with timed_stage(spark, clock, FILTER):
        run.filtered = keep_by_score(
            spark, run.documents, run.scored, schema, run.minimum_score, place(FILTER)
        )
    check_yield(FILTER, run.filtered, recipe.limits)
    return run.filtered


def _read_documents(
    spark: SparkSession, run: RunProgress, source: Source, directory: str
) -> StageOutput:
    """Run the documents stage, from the files or from a scored table."""
    recipe, settings = source.recipe, curation_settings(source.recipe)
    if source.texts is not None:
        run.documents = judge_language(spark, source.texts, settings, directory, source.overwrite)
    elif source.scored is None:
        run.documents = write_documents(spark, source.files, settings, directory, source.overwrite)
    else:
        table = storage.absolute(source.scored)
        run.documents = decide(spark, source.files, settings, directory, table, source.overwrite)
    warn_of_missed_domains(run.documents)
    check_documents(run.documents, recipe.limits)
    check_yield("documents", run.documents, recipe.limits)
    return run.documents


def write_corpus(
    spark: SparkSession,
    recipe: Recipe,
    candidates: StageOutput,
    selected: StageOutput,
    place: Place,
    clock: RunClock | None = None,
) -> tuple[StageOutput, StageOutput, dict[str, Any]]:
    """Tokenize the selected of `candidates` and write their shards; return both, the manifest."""
    check_can_leave_out(place("shards"), recipe.tokens.format)
    tokens = with_special_ids(recipe.tokens, recipe.quirks)
    with timed_stage(spark, clock, "tokenize"):
        tokenized = tokenize(spark, candidates, selected, tokens, place("tokenize"))
    with timed_stage(spark, clock, "shards"):
        shards, manifest = shards_of(spark, recipe, tokenized, place("shards"))
    return tokenized, shards, manifest


def shards_of(
    spark: SparkSession,
    recipe: Recipe,
    tokenized: StageOutput,
    directory: str,
    sources: Sequence[dict[str, Any]] = (),
) -> tuple[StageOutput, dict[str, Any]]:
    """Write the shards of tokenized documents; return them and the manifest.

    `sources` is what the manifest says of the sources of a corpus of several.
    """
    tokens = with_special_ids(recipe.tokens, recipe.quirks)
    shards = write_shards(spark, tokenized, tokens, directory)
    manifest = write_manifest(
        shards,
        tokens,
        recipe_hash=recipe_hash(recipe),
        removed=write_tombstones(spark, tokenized, shards),
        sources=sources,
    )
    return shards, manifest
