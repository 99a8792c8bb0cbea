"""One corpus for each recipe, without computing twice what two recipes have in common."""

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from dclm_spark.curation import curation_settings, key_settings
from dclm_spark.errors import InputError
from dclm_spark.pipeline import Place, RunOutput, build_baseline, stages_below, write_corpus
from dclm_spark.quality.score import SCORES
from dclm_spark.rank.prepared import Corpus, keep_tokenizer
from dclm_spark.recipes.recipe import QualitySettings, Recipe, recipe_hash
from dclm_spark.run.manifests import StageOutput, Unit, unit_key
from dclm_spark.run.stage import run_units
from dclm_spark.run.tasks import commit_each
from dclm_spark.settings import settings_hash
from udfs import storage
from udfs.commit import ParquetOutput, UnitClock, commit
from udfs.keyed_order import document_keys
from udfs.parquet_files import read_table
from udfs.tally import documents_by_fate, merge

LOGGER = logging.getLogger("dclm_spark")

SHUFFLED = "shuffled scores"
DUPLICATED = "duplicated data"
# The corpus of the duplicated-data control is this part of a recipe's sequences, read again.
DUPLICATED_PART = 8
_SHUFFLE_SEED = 97


def shared_places(recipe: Recipe, output: str) -> Place:
    """Return places where stages that recipes have in common coincide.

    Documents, dedup and scores lie in `output`/shared/<stage>-<hash of all settings that they
    depend on>, the rest below `output`/recipes/<name>.
    """
    own = stages_below(storage.join(output, "recipes", recipe.name))
    model = replace(recipe.quality, threshold=0.0, top=None)
    chain: list[Any] = []
    shared = {}
    for stage, settings in (
        ("documents", key_settings(curation_settings(recipe))),
        ("deduplicated", recipe.deduplication),
        ("decontaminated", recipe.decontamination),
        ("scores", model),
    ):
        chain.append(settings)
        shared[stage] = storage.join(output, "shared", f"{stage}-{settings_hash(chain)[:12]}")

    def place(stage: str) -> str:
        return shared.get(stage) or own(stage)

    return place


def build_corpus(
    spark: SparkSession, recipe: Recipe, *, inputs: str, output: str, base: str | None, scored: str
) -> tuple[Corpus, RunOutput]:
    """Run `recipe` on the scored table of `inputs`, sharing stages below `output` with others."""
    run = build_baseline(
        spark,
        recipe=recipe,
        inputs=inputs,
        output=storage.join(output, "recipes", recipe.name),
        base=base,
        place=shared_places(recipe, output),
        scored=scored,
    )
    return _corpus(recipe, run.shards.directory, run.shard_manifest, output), run


def _corpus(
    recipe: Recipe, shards: str, manifest: dict[str, Any], output: str, control: str = ""
) -> Corpus:
    tokenizer = recipe.tokens.tokenizer
    return Corpus(
        name=recipe.name,
        recipe_hash=recipe_hash(recipe),
        manifest=storage.join(shards, "manifest.json"),
        num_tokens=int(manifest["num_tokens"]),
        tokenizer=tokenizer.uri,
        tokenizer_file=keep_tokenizer(output, tokenizer.uri, tokenizer.sha256),
        control=control,
    )


def shuffled_corpus(spark: SparkSession, recipe: Recipe, run: RunOutput, output: str) -> Corpus:
    """Keep as many documents as `run` did, but by a keyed random score: the negative control.

    What a quality filter gains over this is due to its choice, not to the number of documents.
    """
    kept = documents_by_fate(merge(run.encoded.facts())).get("kept", 0)
    judged = sum(file["rows"] for file in run.candidates.files("kept/"))
    control = replace(
        recipe,
        name=f"{recipe.name}-shuffled",
        quality=QualitySettings(threshold=1 - kept / judged),
    )
    place = stages_below(storage.join(output, "recipes", control.name))
    scores = random_scores(spark, run.candidates, place("scores"))
    _, shards, manifest = write_corpus(
        spark, control, run.candidates, scores, control.quality.threshold, place
    )
    return _corpus(control, shards.directory, manifest, output, SHUFFLED)


def duplicated_corpus(corpus: Corpus) -> Corpus:
    """Return one sequence in `DUPLICATED_PART`, to be read until the budget is spent."""
    return replace(
        corpus,
        name=f"{corpus.name}-duplicated",
        num_tokens=corpus.num_tokens // DUPLICATED_PART,
        control=DUPLICATED,
        part=DUPLICATED_PART,
    )


def random_scores(spark: SparkSession, documents: StageOutput, directory: str) -> StageOutput:
    """Give every kept document a score in 0..1 that depends on its id alone."""
    files = {file["unit"]: file for file in documents.files("kept/")}
    units = [
        Unit(name=name, key=unit_key(SHUFFLED, file["sha256"], _SHUFFLE_SEED))
        for name, file in files.items()
    ]

    def execute(pending: list[Unit]) -> DataFrame:
        rows = [{"unit": u.name, "key": u.key, "uri": files[u.name]["uri"]} for u in pending]

        return commit_each(spark, rows, lambda row: _score_file(row, directory))

    return run_units(spark, stage=SHUFFLED, directory=directory, units=units, execute=execute)


def _score_file(row: dict[str, Any], directory: str) -> pa.RecordBatch:
    clock = UnitClock()
    output = ParquetOutput(directory, f"scores/{row['unit']}.parquet", SCORES)
    for batch in read_table(row["uri"], ["doc_id"]):
        ids = batch.column("doc_id")
        keys = document_keys(ids, _SHUFFLE_SEED)
        scores: npt.NDArray[np.float64] = keys.astype(np.float64) / 2.0**64
        output.write(pa.RecordBatch.from_arrays([ids, pa.array(scores)], schema=SCORES))
    return commit(directory, row["unit"], row["key"], [output.close()], {}, clock)


def check_names(recipes: list[Recipe]) -> None:
    """Raise InputError for two recipes of one name: their corpora would share a folder."""
    names = [recipe.name for recipe in recipes]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"--recipes: two recipes are called {name!r}; give each .yaml file its own `name`"
            )
