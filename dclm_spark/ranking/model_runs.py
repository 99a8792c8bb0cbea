"""One model: trained on a corpus with one seed, measured, and recorded so that it can be redone."""

import hashlib
import json
import logging
import math
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dclm_spark.evaluate.models import load_model
from dclm_spark.evaluate.results import EvaluateSettings
from dclm_spark.evaluate.runner import (
    evaluate,
    heldout_name,
    read_heldout,
)
from dclm_spark.evaluate.tasks import Task
from dclm_spark.ranking.planted import ANSWERS, score_facts
from dclm_spark.ranking.prepared import Corpus, part_of
from dclm_spark.sample.facts import Fact
from dclm_spark.settings import settings_hash, to_dict
from dclm_spark.shard_format import ShardManifest, read_manifest
from dclm_spark.source_commit import source_commit
from dclm_spark.train.scales import TrainSettings
from dclm_spark.train.trainer import train
from udfs import storage
from udfs.storage.cache import fetch

LOGGER = logging.getLogger("dclm_spark")
FINISHED = "run.json"


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What every model is measured on; `facts` are those of the embedded sample."""

    heldout: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    tasks: tuple[Task, ...] = ()
    data: str = ""
    rows_per_task: int | None = None


@dataclass(frozen=True, kw_only=True)
class RankedRun:
    """A row of the leaderboard and where it lies below `output`."""

    corpus: Corpus
    seed: int
    settings: TrainSettings
    fingerprint: str
    folder: Path

    @property
    def name(self) -> str:
        """Return recipe/seed, as the job's --only takes it."""
        return f"{self.corpus.name}/{self.seed}"


def fitted(settings: TrainSettings, sequence_length: int, tokens: int | None) -> TrainSettings:
    """Return a scale for sequences of another length, with the same tokens in a step.

    Nothing is held out of the corpus: all recipes are measured on the same outside texts.
    """
    per_step = settings.tokens_per_step
    sequences = max(1, per_step // sequence_length)
    micro = max(1, settings.micro_batch_sequences * settings.model.sequence_length)
    return replace(
        settings,
        model=replace(settings.model, sequence_length=sequence_length),
        data=replace(settings.data, heldout_sequences=0),
        tokens=tokens or settings.tokens,
        batch_sequences=sequences,
        micro_batch_sequences=min(sequences, max(1, micro // sequence_length)),
    )


def ranked_run(
    corpus: Corpus, seed: int, settings: TrainSettings, measurement: Measurement, output: str
) -> RankedRun:
    """Say where a run lies: its folder's name changes with all that its numbers depend on."""
    whole = Path(corpus.manifest)
    manifest = whole if corpus.part == 1 else part_of(whole, corpus.part)
    facts = read_manifest(str(manifest))
    settings = replace(fitted(settings, facts.sequence_length, None), seed=seed)
    settings = replace(settings, data=replace(settings.data, passes=_passes(facts, settings)))
    # Texts count by name and content, so that a ranking which was moved goes on.
    texts = [(heldout_name(uri), _digest(uri)) for uri in measurement.heldout]
    measured = asdict(measurement) | {"heldout": texts}
    key = settings_hash([facts.fingerprint, facts.tokenizer_sha256, to_dict(settings), measured])
    return RankedRun(
        corpus=replace(corpus, manifest=str(manifest)),
        seed=seed,
        settings=settings,
        fingerprint=facts.fingerprint,
        folder=Path(output) / "runs" / corpus.name / f"seed-{seed}-{key[:10]}",
    )


def _passes(manifest: ShardManifest, settings: TrainSettings) -> float:
    """Return how often the corpus is read to spend the budget; 1.0 if it is large enough."""
    wanted = settings.last_step * settings.batch_sequences
    return max(1.0, math.ceil(100 * wanted / manifest.num_sequences) / 100)


def _digest(uri: str) -> str:
    return hashlib.sha256(fetch(uri).read_bytes()).hexdigest()


def is_finished(run: RankedRun) -> bool:
    """Say whether the run is done; its folder's name vouches for data and settings."""
    return (run.folder / FINISHED).is_file()


def run_facts(run: RankedRun) -> dict[str, Any]:
    """Return what a finished run says of itself: final_loss, num_tokens, commit."""
    facts: dict[str, Any] = json.loads((run.folder / FINISHED).read_text())
    return facts


def train_and_measure(run: RankedRun, measurement: Measurement, *, again: bool = False) -> None:
    """Train and measure the run unless it is finished; `again` starts from nothing."""
    if again:
        shutil.rmtree(run.folder, ignore_errors=True)
    if is_finished(run):
        LOGGER.info("%s: finished before", run.name)
        return
    model = run.folder / "model"
    result = train(run.settings, shards=run.corpus.manifest, output=model, resume=model.exists())
    measure(run, measurement)
    facts = {
        "final_loss": result.final_loss,
        "num_tokens": result.num_tokens,
        "commit": source_commit(),
    }
    storage.write_bytes(str(run.folder / FINISHED), json.dumps(facts, indent=1).encode())
    LOGGER.info("%s: final loss %.3f, %s", run.name, result.final_loss, run.folder)


def measure(run: RankedRun, measurement: Measurement) -> dict[str, Any]:
    """Score the trained model on everything that `measurement` names; return the summary."""
    model = load_model(str(run.folder / "model"), run.corpus.tokenizer_file)
    length = run.settings.model.sequence_length
    settings = EvaluateSettings(
        data=measurement.data,
        sample=measurement.rows_per_task,
        heldout=measurement.heldout,
        max_tokens=length,
    )
    folder = run.folder / "evaluation"
    summary = evaluate(model, measurement.tasks, folder, settings)
    if measurement.facts:
        records = score_facts(model, measurement.facts)
        place = folder / "heldout" / f"{ANSWERS}.json"
        answers = {"key": "", "uri": "the sample's facts", "records": records}
        storage.write_bytes(str(place), json.dumps(answers).encode())
    return summary


def model_configuration(run: RankedRun) -> dict[str, Any]:
    """Return what a leaderboard says of the model; `settings` hashes what all rows share."""
    settings = run.settings
    model = settings.model
    # What differs between rows is the seed and how often data is read.
    common = replace(settings, seed=0, data=replace(settings.data, passes=1.0))
    return {
        "scale": settings.scale,
        "layers": model.num_layers,
        "width": model.width,
        "sequence_length": model.sequence_length,
        "tokens": settings.num_steps * settings.tokens_per_step,
        "passes over the corpus": settings.data.passes,
        "settings": settings_hash(to_dict(common))[:12],
    }


def fact_accuracies(runs: Sequence[RankedRun]) -> dict[str, list[float]]:
    """Return per corpus and seed the share of planted facts whose true answer is preferred."""
    found: dict[str, list[float]] = {}
    for run in runs:
        records = read_heldout(run.folder / "evaluation").get(ANSWERS, [])
        if records:
            share = sum(record["ok"] for record in records) / len(records)
            found.setdefault(run.corpus.name, []).append(round(share, 4))
    return found
