"""The story of a run: WARCs -> documents -> dedup -> decontamination -> quality -> shards."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession

from dclm_spark.dedup.evidence import dedup_evidence
from dclm_spark.engine.manifests import StageOutput
from dclm_spark.engine.run_record import run_identity, write_run_record
from dclm_spark.errors import SettingError
from dclm_spark.limits import check_documents, check_yield
from dclm_spark.preflight import check_run, describe
from dclm_spark.recipes.recipe import Recipe, curation_settings, recipe_hash
from dclm_spark.report.machine import write_json
from dclm_spark.report.page import write_report
from dclm_spark.report.summarize import summarize
from dclm_spark.report.summary import RunSummary
from dclm_spark.stages.decontaminate import without_evaluation_data
from dclm_spark.stages.deduplicate import deduplicate, deduplicated_schema
from dclm_spark.stages.documents import curate, warn_of_missed_domains
from dclm_spark.stages.encode import encode, with_special_ids
from dclm_spark.stages.run_output import RunOutput, RunProgress
from dclm_spark.stages.score import QualitySettings, score, top_threshold
from dclm_spark.stages.scored_table import decide
from dclm_spark.stages.shards import write_manifest, write_shards
from udfs import storage
from udfs.tokens.tokenizer import load_encoder, tokenizer_fingerprint

LOGGER = logging.getLogger("dclm_spark")
# From a stage ("documents", "deduplicated", "decontaminated", "scores", "encoded",
# "shards") to its folder.
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
) -> RunOutput:
    """Turn the files that `inputs` names into token shards below `output`, and write the report.

    `place` puts stages elsewhere than below `output`, where runs may share them; `scored` is a
    scored table (`dclm_spark.stages.scored_table`) to decide from instead of reading the files
    again; `limit` reads only so many of the files. What is committed already, from the same input,
    settings and code, is not done again; the result is the same bytes whichever way it came about.
    """
    output = storage.absolute(output)
    started = time.time()
    if scored is not None and recipe.input.columns:
        raise SettingError(
            f"input.columns = {list(recipe.input.columns)}: a scored table keeps no own columns; "
            "run without --scored, or without input.columns"
        )
    checked = check_run(recipe, inputs, output, base=base, limit=limit)
    files = checked.inputs.files
    for line in describe(recipe, checked):
        LOGGER.info("%s", line)
    identity = run_identity(recipe_hash(recipe), files)
    write_run_record(output, recipe, files, identity)
    place = place or stages_below(output)
    settings = curation_settings(recipe)
    run = RunProgress()
    failure = ""
    try:
        if scored is None:
            run.documents = curate(spark, files, settings, place("documents"))
        else:
            table = storage.absolute(scored)
            run.documents = decide(spark, files, settings, place("documents"), table)
        warn_of_missed_domains(run.documents)
        check_documents(run.documents, recipe.limits)
        _run_stages(spark, run, settings.schema, recipe, place)
        return run.finished()
    except (Exception, KeyboardInterrupt) as error:
        failure = str(error) or type(error).__name__
        raise
    finally:
        summary = summarize(run, recipe, identity, started, failure)
        _write_reports(replace(summary, skipped_files=checked.inputs.skipped), output)


def _write_reports(summary: RunSummary, output: str) -> None:
    """Write the report for people and for programs, also of a run that failed."""
    report = storage.join(output, "report.html")
    write_report(summary, report)
    write_json(summary, storage.join(output, "report.json"))
    LOGGER.info("report: %s", report)


def stages_below(output: str) -> Place:
    """Return the usual places: `output`/stages/<stage>, and the shards in `output`/shards."""

    def place(stage: str) -> str:
        return storage.join(output, *(("shards",) if stage == "shards" else ("stages", stage)))

    return place


def _run_stages(
    spark: SparkSession, run: RunProgress, schema: pa.Schema, recipe: Recipe, place: Place
) -> None:
    """Run the stages after the documents; `run` holds what has ended."""
    assert run.documents is not None
    check_yield("documents", run.documents, recipe.limits)
    run.deduplicated = deduplicate(
        spark, run.documents, schema, recipe.deduplication, place("deduplicated")
    )
    check_yield("deduplicate", run.deduplicated, recipe.limits)
    run.decontaminated = without_evaluation_data(
        spark,
        run.deduplicated,
        deduplicated_schema(schema),
        recipe.decontamination,
        place("decontaminated"),
    )
    if run.decontaminated is not None:
        check_yield("decontaminate", run.decontaminated, recipe.limits)
    candidates = run.decontaminated or run.deduplicated
    run.dedup_evidence = dedup_evidence(
        spark, run.documents, run.deduplicated, recipe.deduplication
    )
    if recipe.quality.enabled:
        run.scores = score(spark, candidates, recipe.quality, place("scores"))
        run.threshold = quality_threshold(recipe.quality, run.scores)
    run.encoded = encode_corpus(spark, recipe, candidates, run.scores, run.threshold or 0.0, place)
    check_yield("select", run.encoded, recipe.limits)
    run.shards, run.shard_manifest = shard_corpus(spark, recipe, run.encoded, place)


def encode_corpus(
    spark: SparkSession,
    recipe: Recipe,
    candidates: StageOutput,
    scores: StageOutput | None,
    threshold: float,
    place: Place,
) -> StageOutput:
    """Encode the documents that score enough."""
    tokens = with_special_ids(recipe.tokens, recipe.quirks)
    return encode(spark, candidates, scores, threshold, tokens, place("encoded"))


def shard_corpus(
    spark: SparkSession, recipe: Recipe, encoded: StageOutput, place: Place
) -> tuple[StageOutput, dict[str, Any]]:
    """Write the shards of encoded documents; return them and their manifest."""
    tokens = with_special_ids(recipe.tokens, recipe.quirks)
    shards = write_shards(spark, encoded, tokens, place("shards"))
    manifest = write_manifest(
        shards,
        tokens,
        vocabulary_size=load_encoder(tokens.tokenizer).vocabulary_size,
        tokenizer_sha256=tokenizer_fingerprint(tokens.tokenizer),
        recipe_hash=recipe_hash(recipe),
    )
    return shards, manifest


def write_corpus(
    spark: SparkSession,
    recipe: Recipe,
    candidates: StageOutput,
    scores: StageOutput | None,
    threshold: float,
    place: Place,
) -> tuple[StageOutput, StageOutput, dict[str, Any]]:
    """Encode the documents that score enough, write their shards; return both and the manifest."""
    encoded = encode_corpus(spark, recipe, candidates, scores, threshold, place)
    return (encoded, *shard_corpus(spark, recipe, encoded, place))


def quality_threshold(settings: QualitySettings, scores: StageOutput) -> float:
    """Return the score from which documents are kept: absolute, or the quantile for `top`."""
    if settings.top is None:
        return settings.threshold
    return top_threshold(scores.facts(), settings.top)
