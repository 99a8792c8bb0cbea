"""The story of a run: documents, deduplicate, decontaminate, score, select, tokenize, shards."""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import pyarrow as pa
from pyspark.sql import SparkSession

from dclm_spark.crawl.listing import InputFile, find_inputs
from dclm_spark.dedup.evidence.stage_evidence import dedup_evidence
from dclm_spark.engine.lease import only_driver
from dclm_spark.engine.manifests import StageOutput
from dclm_spark.engine.monitoring.run_clock import RunClock, timed_stage
from dclm_spark.engine.run_record import RunIdentity, run_identity, write_run_record
from dclm_spark.errors import SettingError
from dclm_spark.limits import check_documents, check_yield
from dclm_spark.preflight import CheckedRun, check_run, describe
from dclm_spark.recipes.deciding import check_decisions, score_candidates
from dclm_spark.recipes.recipe import Recipe, curation_settings, recipe_hash
from dclm_spark.removal.tombstones import check_can_leave_out, write_tombstones
from dclm_spark.report.closing import closing_lines, summary_metrics
from dclm_spark.report.machine import write_json
from dclm_spark.report.page import write_report
from dclm_spark.report.stage_rows import EVIDENCE
from dclm_spark.report.summarize import summarize
from dclm_spark.report.summary import RunSummary
from dclm_spark.signals.mixture_yield import YieldRow, as_json, exact_yield
from dclm_spark.stages import STAGES
from dclm_spark.stages.decontaminate import decontaminate
from dclm_spark.stages.deduplicate import deduplicate, deduplicated_schema
from dclm_spark.stages.documents import warn_of_missed_domains, write_documents
from dclm_spark.stages.finished_work import check_finished_work, remove_other_formats
from dclm_spark.stages.run_output import RunOutput, RunProgress
from dclm_spark.stages.scored_table import decide
from dclm_spark.stages.select import minimum_score, select
from dclm_spark.stages.shard_manifest import write_manifest
from dclm_spark.stages.shards import write_shards
from dclm_spark.stages.tokenize import tokenize, with_special_ids
from udfs import storage

LOGGER = logging.getLogger("dclm_spark")
# From the name of a stage to its folder.
Place = Callable[[str], str]


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
    with _begun(recipe, request) as begun:
        run, failure = RunProgress(), ""
        clock = begun.source.clock
        try:
            with clock.running():
                _run_stages(spark, run, begun.source, begun.place)
            return run.finished()
        except (Exception, KeyboardInterrupt) as error:
            failure = str(error) or type(error).__name__
            raise
        finally:
            summary = summarize(run, recipe, begun.identity, clock, failure)
            _write_reports(replace(summary, skipped_files=begun.skipped), begun.output)
            clock.write_metrics(summary_metrics(summary))


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What a run reads and writes; see `build_baseline`."""

    inputs: str
    output: str
    base: str | None = None
    place: Place | None = None
    scored: str | None = None
    limit: int | None = None
    overwrite: bool = False
    metrics: str | None = None


def plan_mixture(spark: SparkSession, recipe: Recipe, request: RunRequest) -> list[YieldRow]:
    """Run the stages up to the scores, count tokens, and return what the recipe's decision yields.

    Nothing of the decision is written but mixture.json, which says the same; `build_baseline` of
    the same recipe and request goes on from here. Raises as that does.
    """
    with _begun(recipe, request) as begun, begun.source.clock.running():
        check_decisions(recipe, spark)
        run = RunProgress()
        candidates = _run_until_candidates(spark, run, begun.source, begun.place)
        scored = score_candidates(spark, recipe, candidates, begun.place, with_tokens=True)
        rows = exact_yield(spark, scored.candidates, scored.decision)
        text = json.dumps(as_json(rows), indent=1)
        storage.write_bytes(storage.join(begun.output, "mixture.json"), text.encode())
        return rows


class _Source(NamedTuple):
    """What the documents stage reads, whether it may replace finished work, and the run's clock."""

    recipe: Recipe
    files: Sequence[InputFile]
    scored: str | None
    overwrite: bool
    clock: RunClock


class _Begun(NamedTuple):
    """A run that has begun: who it is, where it lies and what it reads."""

    identity: RunIdentity
    output: str
    place: Place
    source: _Source
    skipped: tuple[str, ...]


@contextmanager
def _begun(recipe: Recipe, request: RunRequest) -> Iterator[_Begun]:
    """Check a run, keep other drivers away, and say beside its output what it is."""
    output = storage.absolute(request.output)
    _check_scored(recipe, request.scored)
    checked = check_run(recipe, request.inputs, output, base=request.base, limit=request.limit)
    for line in describe(recipe, checked):
        LOGGER.info("%s", line)
    place = request.place or stages_below(output)
    files = checked.inputs.files
    identity = run_identity(recipe.name, recipe_hash(recipe), files)
    with only_driver(output, *([request.scored] if request.scored else [])):
        if request.overwrite:
            remove_other_formats(output, map(place, STAGES))
        else:
            check_finished_work(output, identity, files, place("documents"))
        write_run_record(output, recipe, files, identity)
        clock = RunClock(output, ":".join(identity.key), request.metrics)
        source = _Source(recipe, files, request.scored, request.overwrite, clock)
        yield _Begun(identity, output, place, source, checked.inputs.skipped)


def _check_scored(recipe: Recipe, scored: str | None) -> None:
    if scored is not None and recipe.input.columns:
        raise SettingError(
            f"input.columns = {list(recipe.input.columns)}: a scored table keeps no own columns; "
            "run without --scored, or without input.columns"
        )


def _write_reports(summary: RunSummary, output: str) -> None:
    """Write the report for people and for programs, also of a run that failed."""
    write_report(summary, storage.join(output, "report.html"))
    write_json(summary, storage.join(output, "report.json"))
    for line in closing_lines(summary, output):
        LOGGER.info("%s", line)


def check_output(
    recipe: Recipe, inputs: str, output: str, *, base: str | None = None, limit: int | None = None
) -> None:
    """Raise SettingError where `output` holds finished work of another recipe or other files."""
    place, files = storage.absolute(output), find_inputs(inputs, base, limit).files
    identity = run_identity(recipe.name, recipe_hash(recipe), files)
    check_finished_work(place, identity, files, stages_below(place)("documents"))


def check_before_start(
    recipe: Recipe,
    inputs: str,
    output: str,
    *,
    base: str | None = None,
    limit: int | None = None,
    overwrite: bool = False,
) -> CheckedRun:
    """Check everything that can be before Spark starts, finished work in `output` first."""
    if not overwrite:
        check_output(recipe, inputs, output, base=base, limit=limit)
    return check_run(recipe, inputs, output, base=base, limit=limit)


def stages_below(output: str) -> Place:
    """Return the usual places: `output`/stages/<stage>, and the shards in `output`/shards."""

    def place(stage: str) -> str:
        return storage.join(output, *(("shards",) if stage == "shards" else ("stages", stage)))

    return place


def _run_stages(spark: SparkSession, run: RunProgress, source: _Source, place: Place) -> None:
    """Run all stages; `run` holds what has ended."""
    recipe = source.recipe
    check_decisions(recipe, spark)
    candidates = _run_until_candidates(spark, run, source, place)
    with timed_stage(spark, source.clock, "score"):
        scored = score_candidates(spark, recipe, candidates, place)
    run.scored, run.signals = scored.quality, scored.signals
    run.minimum_score = minimum_score(recipe.quality, run.scored)
    with timed_stage(spark, source.clock, "select"):
        run.selected = select(spark, scored.candidates, scored.decision, place("select"))
    check_yield("select", run.selected, recipe.limits)
    run.tokenized, run.shards, run.shard_manifest = write_corpus(
        spark, recipe, candidates, run.selected, place, source.clock
    )


def _run_until_candidates(
    spark: SparkSession, run: RunProgress, source: _Source, place: Place
) -> StageOutput:
    """Run the stages that read texts before any score; return what the others choose from."""
    recipe, clock = source.recipe, source.clock
    with timed_stage(spark, clock, "documents"):
        documents, schema = _read_documents(spark, run, source, place("documents"))
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


def _read_documents(
    spark: SparkSession, run: RunProgress, source: _Source, directory: str
) -> tuple[StageOutput, pa.Schema]:
    """Run the documents stage, from the files or from a scored table; return its schema, too."""
    recipe, settings = source.recipe, curation_settings(source.recipe)
    if source.scored is None:
        run.documents = write_documents(spark, source.files, settings, directory, source.overwrite)
    else:
        table = storage.absolute(source.scored)
        run.documents = decide(spark, source.files, settings, directory, table, source.overwrite)
    warn_of_missed_domains(run.documents)
    check_documents(run.documents, recipe.limits)
    check_yield("documents", run.documents, recipe.limits)
    return run.documents, settings.schema


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
        shards = write_shards(spark, tokenized, tokens, place("shards"))
        manifest = write_manifest(
            shards,
            tokens,
            recipe_hash=recipe_hash(recipe),
            removed=write_tombstones(spark, tokenized, shards),
        )
    return tokenized, shards, manifest
