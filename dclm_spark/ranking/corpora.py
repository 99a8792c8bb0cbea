"""One corpus for each recipe, without computing twice what two recipes have in common."""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dclm_spark.beginning import Place, stages_below
from dclm_spark.engine.manifests import StageOutput
from dclm_spark.engine.run_output import RunOutput
from dclm_spark.engine.tables import read_files
from dclm_spark.errors import InputError
from dclm_spark.evaluate.bits_per_byte import read_damaged_texts, told_lost
from dclm_spark.evaluate.runner import heldout_name
from dclm_spark.pipeline import build_baseline, write_corpus
from dclm_spark.ranking.prepared import SHUFFLED as SHUFFLED
from dclm_spark.ranking.prepared import CleanTexts, Corpus, keep_tokenizer
from dclm_spark.recipes.recipe import Recipe, curation_settings, recipe_hash
from dclm_spark.settings import settings_hash
from dclm_spark.signals.decision import Decision
from dclm_spark.signals.scored_documents import QUALITY, Candidates
from dclm_spark.signals.signal_tables import SignalTable
from dclm_spark.stages.decontaminate import DecontaminationSettings, write_index
from dclm_spark.stages.documents import key_settings
from dclm_spark.stages.score import FILTER, QualitySettings, random_scores
from dclm_spark.stages.select import quality_rules, select
from dclm_spark.stages.tokenize import check_trained_here
from udfs import storage
from udfs.dedup.contamination import NGRAM_WORDS, full_ngrams, load_index
from udfs.dedup.shingles import shingle_hashes
from udfs.storage.cache import fetch
from udfs.storage.stream import shown

# spec 4.2: a sample is clean when less than a fifth of it stands in the training data.
CLEAN_BELOW = 0.2
_TEXTS = pa.schema([pa.field("text", pa.string())])
_FOUND = pa.schema([pa.field("ngram", pa.int64())])


def clean_heldout(
    spark: SparkSession, pool: Sequence[StageOutput], uris: Sequence[str], folder: Path
) -> list[CleanTexts]:
    """Write each held-out file below `folder` without the texts that `pool` holds.

    `pool` are stages of extracted texts, whatever a recipe keeps of them, so the texts measured
    are the same for all. A text of fewer words than an n-gram cannot be looked for and stays.
    Raises InputError for two files of one name and for a file of which nothing is left.
    """
    if len(set(map(heldout_name, uris))) < len(uris):
        raise InputError(f"--heldout {', '.join(map(shown, uris))}: two files have the same name")
    read = {heldout_name(uri): read_damaged_texts(uri) for uri in uris}
    texts = {name: rows for name, (rows, _) in read.items()}
    facts = [sorted(stage.fingerprint for stage in pool), texts, NGRAM_WORDS, CLEAN_BELOW]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    report = folder / "clean.json"
    if not report.exists() or json.loads(report.read_text())["key"] != key:
        index = write_index({"heldout": _all(texts)}, str(folder / "index.npy"))
        seen = _ngrams_in_pool(spark, pool, index)
        counts = {name: _write(folder, name, rows, seen) for name, rows in texts.items()}
        text = json.dumps({"key": key, "left_out": counts}, indent=1)
        storage.write_bytes(str(report), text.encode())
    left_out = json.loads(report.read_text())["left_out"]
    return [
        CleanTexts(
            uri=str(folder / f"{name}.jsonl"),
            num_texts=len(rows),
            num_left_out=left_out[name],
            ngram_words=NGRAM_WORDS,
            lost=told_lost(lost),
        )
        for name, (rows, lost) in read.items()
    ]


def _all(texts: dict[str, list[str]]) -> list[str]:
    return [text for rows in texts.values() for text in rows]


def _ngrams_in_pool(
    spark: SparkSession, pool: Sequence[StageOutput], index: DecontaminationSettings
) -> set[int]:
    """Return the hashes of the index that the pool has, at most as many as it holds."""
    uris = [file["uri"] for stage in pool for file in stage.files("kept/")]
    uri, digest, words = index.index, index.sha256, index.ngram_words

    def find(batch: pa.RecordBatch) -> pa.RecordBatch:
        known = load_index(fetch(uri, digest), words).hashes
        hashes, _ = shingle_hashes(batch.column("text"), words)
        found = known[np.isin(known, hashes)].view(np.int64)
        return pa.RecordBatch.from_arrays([pa.array(found)], schema=_FOUND)

    frame: DataFrame = read_files(spark, uris, _TEXTS, transform=find, output_schema=_FOUND)
    found = frame.agg(F.collect_set("ngram").alias("ngrams")).first()
    return set(found["ngrams"]) if found is not None else set()


def _write(folder: Path, name: str, rows: Sequence[str], seen: set[int]) -> int:
    """Write the clean texts of a file and return how many are left out."""
    clean = [text for text in rows if _share_in(text, seen) < CLEAN_BELOW]
    if not clean:
        raise InputError(
            f"--heldout {name}: the pool holds all of its {len(rows)} texts, so they measure "
            "memory; give texts from elsewhere"
        )
    lines = (json.dumps({"text": text}) for text in clean)
    text = "".join(f"{line}\n" for line in lines)
    storage.write_bytes(str(folder / f"{name}.jsonl"), text.encode())
    if len(clean) < len(rows):
        LOGGER.warning(
            "held-out %s: the pool holds %d of %d texts", name, len(rows) - len(clean), len(rows)
        )
    return len(rows) - len(clean)


def _share_in(text: str, seen: set[int]) -> float:
    ngrams = set(full_ngrams([text]).view(np.int64).tolist())
    return len(ngrams & seen) / len(ngrams) if ngrams else 0.0


LOGGER = logging.getLogger("dclm_spark")

DUPLICATED = "duplicated data"
# The corpus of the duplicated-data control is this part of a recipe's sequences, read again.
DUPLICATED_PART = 8


def shared_places(recipe: Recipe, output: str) -> Place:
    """Return places where stages that recipes have in common coincide.

    Documents, dedup and scores lie in `output`/shared/<stage>-<hash of all settings that they
    depend on>, the rest below `output`/recipes/<name>.
    """
    own = stages_below(storage.join(output, "recipes", recipe.name))
    chain: list[Any] = []
    shared = {}
    for stage, settings in _shareable(recipe):
        chain.append(settings)
        shared[stage] = storage.join(output, "shared", f"{stage}-{settings_hash(chain)[:12]}")

    def place(stage: str) -> str:
        return shared.get(stage) or own(stage)

    return place


def _shareable(recipe: Recipe) -> list[tuple[str, Any]]:
    """Return stages in their order, each with what it depends on besides those before it."""
    quality = recipe.quality
    score = ("score", replace(quality, threshold=0.0, top=None))
    first: list[tuple[str, Any]] = [("documents", key_settings(curation_settings(recipe)))]
    copies = [("deduplicate", recipe.deduplication), ("decontaminate", recipe.decontamination)]
    if quality.before_deduplication:
        return [*first, score, (FILTER, (quality.threshold, quality.top)), *copies]
    return [*first, *copies, score]


@dataclass(frozen=True, kw_only=True)
class Pool:
    """What all recipes choose from: input files and the scored table that is made of them."""

    inputs: str
    base: str | None
    scored: str
    # Finished work on other files, or of a recipe that was otherwise, may be removed.
    overwrite: bool = False


def build_corpus(
    spark: SparkSession, recipe: Recipe, pool: Pool, output: str
) -> tuple[Corpus, RunOutput]:
    """Run `recipe` on the scored table of `pool`, sharing stages below `output` with others."""
    run = build_baseline(
        spark,
        recipe=recipe,
        inputs=pool.inputs,
        output=storage.join(output, "recipes", recipe.name),
        base=pool.base,
        place=shared_places(recipe, output),
        scored=pool.scored,
        overwrite=pool.overwrite,
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
    kept = run.selected.documents()["kept"]
    judged = run.candidates.rows("kept/")
    control = replace(
        recipe,
        name=f"{recipe.name}-shuffled",
        quality=QualitySettings(threshold=1 - kept / judged),
    )
    place = stages_below(storage.join(output, "recipes", control.name))
    scored = random_scores(spark, run.candidates, place("score"))
    table = SignalTable(output=scored, fields=(QUALITY,), folder="scores")
    candidates = Candidates(documents=run.candidates, tables=(table,))
    decision = Decision(rules=quality_rules(control.quality.threshold))
    selected = select(spark, candidates, decision, place("select"))
    _, shards, manifest = write_corpus(spark, control, run.candidates, selected, place)
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


def check_names(recipes: list[Recipe]) -> None:
    """Raise InputError for two recipes of one name: their corpora would share a folder.

    Raises SettingError for a recipe whose shards are not for our trainer.
    """
    names = [recipe.name for recipe in recipes]
    for recipe in recipes:
        check_trained_here(recipe.tokens)
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"--recipes: two recipes are called {name!r}; give each .yaml file its own `name`"
            )
