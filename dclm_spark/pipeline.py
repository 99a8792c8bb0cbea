"""The story of a run: documents, deduplicate, decontaminate, score, select, tokenize, shards."""

import logging
import time
from collections.abc import Callable
from typing import Any

from pyspark.sql import SparkSession

from dclm_spark.crawl.listing import list_inputs
from dclm_spark.dedup.earlier import earlier_keys
from dclm_spark.dedup.evidence import dedup_evidence
from dclm_spark.engine.lease import only_driver
from dclm_spark.engine.manifests import StageOutput
from dclm_spark.engine.run_record import run_identity, write_run_record
from dclm_spark.recipes.recipe import Recipe, curation_settings, recipe_hash
from dclm_spark.report.page import write_report
from dclm_spark.report.summarize import summarize
from dclm_spark.stages import STAGES
from dclm_spark.stages.decontaminate import decontaminate
from dclm_spark.stages.deduplicate import deduplicate, deduplicated_schema
from dclm_spark.stages.documents import write_documents
from dclm_spark.stages.finished_work import check_finished_work, remove_other_formats
from dclm_spark.stages.run_output import RunOutput
from dclm_spark.stages.score import check_model, score
from dclm_spark.stages.scored_table import decide
from dclm_spark.stages.select import minimum_score, select
from dclm_spark.stages.shards import write_manifest, write_shards
from dclm_spark.stages.tokenize import tokenize
from udfs import storage
from udfs.tokens.tokenizer import load_encoder, tokenizer_fingerprint
from udfs.units.documents import DOCUMENTS

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
    overwrite: bool = False,
) -> RunOutput:
    """Turn the files that `inputs` names into token shards below `output`, and write the report.

    `place` puts stages elsewhere than below `output`, where runs may share them; `scored` is a
    scored table (`dclm_spark.stages.scored_table`) to decide from instead of reading the files
    again. What is committed already, from the same input, settings and code, is not done again;
    the result is the same bytes whichever way it came about. Raises SettingError where another
    driver writes to `output`, and where that holds finished work of another recipe, of other files
    or of another version's format; with `overwrite` such work is replaced and removed.
    """
    output = storage.absolute(output)
    started = time.time()
    place = place or stages_below(output)
    earlier_keys(recipe.deduplication)
    check_model(recipe.quality)
    files = list_inputs(inputs, base)
    identity = run_identity(recipe.name, recipe_hash(recipe), files)
    with only_driver(output, *([scored] if scored else [])):
        if overwrite:
            remove_other_formats(output, map(place, STAGES))
        else:
            check_finished_work(output, identity, files, place("documents"))
        write_run_record(output, recipe, files, identity)
        settings = curation_settings(recipe)
        if scored is None:
            documents = write_documents(spark, files, settings, place("documents"), overwrite)
        else:
            table = storage.absolute(scored)
            documents = decide(spark, files, settings, place("documents"), table, overwrite)
        run = _run_stages(spark, documents, recipe, place)
        summary = summarize(run, recipe, identity, started)
        write_report(summary, storage.join(output, "report.html"))
    LOGGER.info("report: %s", storage.join(output, "report.html"))
    return run


def check_output(recipe: Recipe, inputs: str, output: str, base: str | None = None) -> None:
    """Raise SettingError where `output` holds finished work of another recipe or other files.

    Needs no Spark: jobs ask before they start it.
    """
    output = storage.absolute(output)
    files = list_inputs(inputs, base)
    identity = run_identity(recipe.name, recipe_hash(recipe), files)
    check_finished_work(output, identity, files, stages_below(output)("documents"))


def stages_below(output: str) -> Place:
    """Return the usual places: `output`/stages/<stage>, and the shards in `output`/shards."""

    def place(stage: str) -> str:
        return storage.join(output, *(("shards",) if stage == "shards" else ("stages", stage)))

    return place


def _run_stages(
    spark: SparkSession, documents: StageOutput, recipe: Recipe, place: Place
) -> RunOutput:
    deduplicated = deduplicate(
        spark, documents, DOCUMENTS, recipe.deduplication, place("deduplicate")
    )
    decontaminated = decontaminate(
        spark,
        deduplicated,
        deduplicated_schema(DOCUMENTS),
        recipe.decontamination,
        place("decontaminate"),
    )
    candidates = decontaminated or deduplicated
    evidence = dedup_evidence(spark, documents, deduplicated, recipe.deduplication)
    scored = None
    if recipe.quality.enabled:
        scored = score(spark, candidates, recipe.quality, place("score"))
    minimum = minimum_score(recipe.quality, scored)
    selected = select(spark, candidates, scored, minimum, place("select"))
    tokenized, shards, manifest = write_corpus(spark, recipe, candidates, selected, place)
    return RunOutput(
        documents=documents,
        deduplicated=deduplicated,
        decontaminated=decontaminated,
        dedup_evidence=evidence,
        scored=scored,
        minimum_score=minimum,
        selected=selected,
        tokenized=tokenized,
        shards=shards,
        shard_manifest=manifest,
    )


def write_corpus(
    spark: SparkSession,
    recipe: Recipe,
    candidates: StageOutput,
    selected: StageOutput,
    place: Place,
) -> tuple[StageOutput, StageOutput, dict[str, Any]]:
    """Tokenize the selected of `candidates` and write their shards; return both, the manifest."""
    tokens = recipe.tokens
    tokenized = tokenize(spark, candidates, selected, tokens, place("tokenize"))
    shards = write_shards(spark, tokenized, tokens, place("shards"))
    manifest = write_manifest(
        shards,
        tokens,
        vocabulary_size=load_encoder(tokens.tokenizer).vocabulary_size,
        tokenizer_sha256=tokenizer_fingerprint(tokens.tokenizer),
        recipe_hash=recipe_hash(recipe),
    )
    return tokenized, shards, manifest
