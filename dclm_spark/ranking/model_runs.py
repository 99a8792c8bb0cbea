"""One model: trained on a corpus with one seed, measured, and recorded so that it can be redone."""

import hashlib
import json
import logging
import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from dclm_spark.evaluate.models import in_precision, load_model, products
from dclm_spark.evaluate.results import EvaluateSettings
from dclm_spark.evaluate.runner import evaluate, heldout_name, read_heldout
from dclm_spark.evaluate.tasks import Task
from dclm_spark.ranking.budgets.cells import Cell
from dclm_spark.ranking.heldout_curves import curve_points, curve_shards, with_curve
from dclm_spark.ranking.planted import ANSWERS, score_facts
from dclm_spark.ranking.prepared import Corpus, part_of
from dclm_spark.ranking.reliability.power_plan import Curves
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
    # Of evaluation, one of `dclm_spark.evaluate.models.PRECISIONS`.
    precision: str = "fp32"

    def key(self) -> dict[str, Any]:
        """Return what numbers depend on; texts count by name and content, wherever they lie."""
        texts = [(heldout_name(uri), _digest(uri)) for uri in self.heldout]
        facts = asdict(self) | {"heldout": texts}
        # Rankings from before there was a choice go on.
        if self.precision == "fp32":
            del facts["precision"]
        return facts


@dataclass(frozen=True, kw_only=True)
class RankedRun:
    """A row of the leaderboard and where it lies below `output`.

    `curve` are shards of held-out texts that are measured during training, None: none.
    """

    corpus: Corpus
    seed: int
    cell: Cell
    settings: TrainSettings
    fingerprint: str
    folder: Path
    curve: str | None = None

    @property
    def name(self) -> str:
        """Return corpus/seed, as the job's --only takes it where there is one cell."""
        return f"{self.corpus.name}/{self.seed}"

    @property
    def full_name(self) -> str:
        """Return corpus/seed@cell, as the job's --only takes it."""
        return f"{self.name}@{self.cell.label}"


def ranked_run(
    corpus: Corpus, seed: int, cell: Cell, measurement: Measurement, output: str
) -> RankedRun:
    """Say where a run lies: its folder's name changes with all that its numbers depend on."""
    whole = Path(corpus.manifest)
    manifest = whole if corpus.part == 1 else part_of(whole, corpus.part)
    facts = read_manifest(str(manifest))
    settings = replace(cell.settings, seed=seed)
    settings = replace(settings, data=replace(settings.data, passes=_passes(facts, settings)))
    measured = measurement.key()
    key = settings_hash([facts.fingerprint, facts.tokenizer_sha256, to_dict(settings), measured])
    return RankedRun(
        corpus=replace(corpus, manifest=str(manifest)),
        seed=seed,
        cell=cell,
        settings=settings,
        fingerprint=facts.fingerprint,
        folder=Path(output) / "runs" / corpus.name / f"seed-{seed}-{key[:10]}",
        curve=curve_shards(measurement.heldout, corpus, output),
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
    """Train and measure the run unless it is finished; `again` does a finished one from nothing.

    What an interrupted run has trained is gone on with, also with `again`.
    """
    if is_finished(run) and not again:
        LOGGER.info("%s: finished before", run.full_name)
        return
    if is_finished(run):
        # First, so that what is left of a removal that is stopped counts as unfinished.
        (run.folder / FINISHED).unlink()
        for part in ("model", "evaluation"):
            shutil.rmtree(run.folder / part, ignore_errors=True)
    model = run.folder / "model"
    started = time.monotonic()
    settings = with_curve(run.settings, run.curve, run.corpus.tokenizer_file)
    result = train(settings, shards=run.corpus.manifest, output=model, resume=model.exists())
    trained = time.monotonic()
    measure(run, measurement)
    facts = {
        "final_loss": result.final_loss,
        "num_tokens": result.num_tokens,
        "commit": source_commit(),
        "curve": curve_points(model, run.settings.tokens_per_step),
        # Of the process that ended the run; one that was stopped before had its own.
        "seconds": {
            "training": round(trained - started, 3),
            "evaluation": round(time.monotonic() - trained, 3),
        },
        "device": device_name(),
    }
    storage.write_bytes(str(run.folder / FINISHED), json.dumps(facts, indent=1).encode())
    LOGGER.info("%s: final loss %.3f, %s", run.full_name, result.final_loss, run.folder)


def device_name() -> str:
    """Return the name of the device that this process trains on."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"


def measure(run: RankedRun, measurement: Measurement) -> dict[str, Any]:
    """Score the trained model on everything that `measurement` names; return the summary."""
    model = load_model(str(run.folder / "model"), run.corpus.tokenizer_file)
    model = in_precision(model, measurement.precision)
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
        with products(model):
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


def curves_by_seed(runs: Sequence[RankedRun]) -> dict[str, Curves]:
    """Return per cell and corpus the held-out losses of each seed at each declared step."""
    found: dict[str, dict[str, list[list[tuple[int, float]]]]] = {}
    for run in runs:
        points = [(tokens, loss) for tokens, loss in run_facts(run).get("curve", [])]
        found.setdefault(run.cell.label, {}).setdefault(run.corpus.name, []).append(points)
    return dict(found)


def curves_of(runs: Sequence[RankedRun]) -> list[dict[str, Any]]:
    """Return per cell and corpus the held-out loss at each declared step, a mean over its seeds."""
    found: dict[tuple[str, str], list[list[tuple[int, float]]]] = {}
    for run in runs:
        points = run_facts(run).get("curve", [])
        found.setdefault((run.cell.label, run.corpus.name), []).append(points)
    return [
        {"cell": cell, "recipe": name, "points": _mean_points(of_seeds)}
        for (cell, name), of_seeds in found.items()
        if all(of_seeds)
    ]


def _mean_points(of_seeds: Sequence[Sequence[tuple[int, float]]]) -> list[tuple[int, float]]:
    return [
        (points[0][0], sum(loss for _, loss in points) / len(points))
        for points in zip(*of_seeds, strict=True)
    ]
