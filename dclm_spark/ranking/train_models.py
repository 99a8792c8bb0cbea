"""From corpora to a leaderboard: models with several seeds and scales, measured and compared.

Nothing here needs Spark, so a machine with a GPU can do it on a folder that a cluster prepared.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import torch

from dclm_spark.errors import SettingError
from dclm_spark.ranking.bootstrap import RecipeRun
from dclm_spark.ranking.budgets.cells import Cell, Reading, cells_of, reading, whole_sizes
from dclm_spark.ranking.budgets.cost import expected_cost, spent, training_flops
from dclm_spark.ranking.budgets.repetition import thinned
from dclm_spark.ranking.given_corpora import clean_of_shards, given_corpora
from dclm_spark.ranking.leaderboard import build_leaderboard, recorded_runs, write_leaderboard
from dclm_spark.ranking.model_runs import (
    Measurement,
    RankedRun,
    curves_by_seed,
    curves_of,
    fact_accuracies,
    is_finished,
    ranked_run,
)
from dclm_spark.ranking.options import (
    ModelSettings,
    check_measurable,
    check_models,
    command_of,
)
from dclm_spark.ranking.prepared import SHUFFLED, Corpus, PreparedRanking, read_prepared
from dclm_spark.ranking.records import records_below, write_records
from dclm_spark.ranking.reliability.part_sizes import PartSize, part_sizes, size_conclusions
from dclm_spark.ranking.reliability.power import Design
from dclm_spark.ranking.reliability.power_plan import (
    power_beforehand,
    power_conclusions,
    power_table,
)
from dclm_spark.ranking.reliability.target import Target, with_reliability
from dclm_spark.ranking.reliability.weighted_answers import signal_weights, weights_told
from dclm_spark.ranking.workers import Work, run_all
from dclm_spark.shard_format import read_manifest
from udfs import storage

LOGGER = logging.getLogger("dclm_spark")

# Less than any corpus of the sample has, but several passes over the part that is read again.
SAMPLE_TOKENS = 147_456
# What the scale `tiny` becomes there: with so few tokens, many small steps tell corpora apart best.
SAMPLE_TRAINING = (
    f"tokens={SAMPLE_TOKENS}",
    "schedule.warmup_steps=10",
    "model.sequence_length=256",
    "model.num_layers=2",
    "batch_sequences=2",
    "micro_batch_sequences=2",
    "loss_chunk_tokens=null",
    "checkpoint.interval_steps=1000",
)


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """All rows that a ranking has, and what is known before any model is trained."""

    prepared: PreparedRanking
    cells: tuple[Cell, ...]
    readings: tuple[tuple[Cell, Reading], ...]
    measurement: Measurement
    runs: tuple[RankedRun, ...]
    parts: tuple[PartSize, ...]

    def too_small(self) -> list[str]:
        """Say which parts of corpora are too small to stand for them."""
        return size_conclusions(self.parts, {cell.label: cell.tokens for cell in self.cells})


@dataclass(frozen=True, kw_only=True)
class RankedModels:
    """What a ranking ended with: its rows, what was measured of them, and the leaderboard."""

    runs: tuple[RankedRun, ...]
    recorded: tuple[RecipeRun, ...]
    leaderboard: dict[str, Any]


def rank_models(
    settings: ModelSettings, command: Callable[[str], str] | None = None
) -> dict[str, Any]:
    """Train and measure a model per cell, corpus and seed; write and return the leaderboard.

    Finished runs below `settings.output` are not done again. `command` says how a row is done
    again (default: with jobs/rank_models.py).
    """
    return ranked_models(settings, command).leaderboard


def ranked_models(
    settings: ModelSettings, command: Callable[[str], str] | None = None
) -> RankedModels:
    """Do what `rank_models` does, and return what it found of every model, too."""
    settings = replace(settings, output=storage.absolute(settings.output))
    check_models(settings)
    ranking = plan_ranking(settings)
    if ranking.prepared.facts:
        # More threads than one slow down the sample's models, and would change their numbers.
        torch.set_num_threads(1)
    waiting = [run for run in ranking.runs if not is_finished(run)]
    design = Design(corpora=len(ranking.prepared.corpora), seeds=settings.seeds)
    power = power_beforehand(design, settings.output) if waiting else []
    for line in [*expected_cost(waiting).lines(), *power]:
        LOGGER.info("%s", line)
    for line in ranking.too_small():
        LOGGER.warning("%s", line)
    runs = run_all(
        Work(
            runs=ranking.runs,
            measurement=ranking.measurement,
            again=settings.only is not None,
            early_stop=settings.early_stop,
            seeds=settings.seeds,
        ),
        settings.workers,
    )
    command = command or partial(command_of, settings)
    recorded = _recorded(settings, ranking, runs, command)
    leaderboard = _leaderboard(settings, ranking, runs, recorded)
    leaderboard["cost"] = {"expected": expected_cost(ranking.runs).facts(), "spent": spent(runs)}
    if settings.only is None:
        write_leaderboard(leaderboard, settings.output)
        LOGGER.info("leaderboard: %s", storage.join(settings.output, "leaderboard.html"))
    return RankedModels(runs=tuple(runs), recorded=tuple(recorded), leaderboard=leaderboard)


def plan_ranking(settings: ModelSettings) -> Ranking:
    """Return the rows, with thinned corpora and clean held-out texts written.

    Raises SettingError or InputError for a budget that a corpus cannot serve, before any training.
    """
    given = given_corpora(settings) if settings.corpora else None
    prepared = given or read_prepared(settings.output)
    has_texts = bool(settings.heldout if given else prepared.heldout or prepared.facts)
    check_measurable(settings, has_texts)
    length = read_manifest(prepared.corpora[0].manifest).sequence_length
    defaults = SAMPLE_TRAINING if prepared.facts else ()
    cells = tuple(cells_of(settings, length, defaults))
    sizes = whole_sizes(settings, prepared.corpora)
    readings = tuple(
        (cell, reading(cell, corpus, sizes[corpus.name], settings.max_passes))
        for cell in cells
        for corpus in prepared.corpora
    )
    rows = _rows(settings, prepared, readings)
    if given:
        prepared = clean_of_shards(settings, prepared, [corpus.manifest for _, corpus, _ in rows])
    measurement = Measurement(
        heldout=tuple(one.uri for one in prepared.heldout),
        facts=prepared.facts,
        tasks=settings.chosen_tasks,
        data=settings.data,
        rows_per_task=settings.rows_per_task,
        precision=settings.precision,
    )
    runs = tuple(
        ranked_run(corpus, seed, cell, measurement, settings.output) for cell, corpus, seed in rows
    )
    return Ranking(
        prepared=prepared,
        cells=cells,
        readings=readings,
        measurement=measurement,
        runs=_chosen(runs, settings.only),
        parts=part_sizes(runs, {corpus.manifest for corpus in prepared.corpora}),
    )


def _rows(
    settings: ModelSettings,
    prepared: PreparedRanking,
    readings: tuple[tuple[Cell, Reading], ...],
) -> list[tuple[Cell, Corpus, int]]:
    """Return all rows, cell by cell and seed by seed, so that what was stopped has whole seeds."""
    corpora = {corpus.name: corpus for corpus in prepared.corpora}
    cells = list(dict.fromkeys(cell.label for cell, _ in readings))
    found = []
    for label in cells:
        for seed in range(1, settings.seeds + 1):
            for cell, how in readings:
                if cell.label == label:
                    corpus = _part(corpora[how.corpus], how, seed, settings.output)
                    found.append((cell, corpus, seed))
    return found


def _part(corpus: Corpus, how: Reading, seed: int, output: str) -> Corpus:
    """Return the corpus, or the documents of it that a seed's proxy reads.

    Each seed chooses its own, so that the noise between seeds has that of the choice, too.
    """
    if how.unique_tokens is None or how.unique_tokens >= corpus.num_tokens * corpus.part:
        return corpus
    folder = Path(output) / "thinned" / corpus.name
    manifest = thinned(corpus.manifest, how.unique_tokens, seed, folder)
    return replace(corpus, manifest=str(manifest))


def _chosen(runs: tuple[RankedRun, ...], only: str | None) -> tuple[RankedRun, ...]:
    if only is None:
        return runs
    chosen = tuple(run for run in runs if only in (run.name, run.full_name))
    if len(chosen) != 1:
        known = ", ".join(run.full_name for run in chosen or runs)
        what = "several rows" if chosen else "no such row"
        raise SettingError(f"--only {only!r}: {what}; known: {known}")
    return chosen


def _recorded(
    settings: ModelSettings,
    ranking: Ranking,
    runs: list[RankedRun],
    command: Callable[[str], str],
) -> list[RecipeRun]:
    """Write the records of finished rows and return what was measured, in the order of cells."""
    evaluations = write_records(runs, settings.output, command)
    order = [cell.label for cell in ranking.cells]
    recorded = recorded_runs([records_below(settings.output)], evaluations)
    return sorted(recorded, key=lambda run: order.index(run.cell))


def _leaderboard(
    settings: ModelSettings, ranking: Ranking, runs: list[RankedRun], recorded: list[RecipeRun]
) -> dict[str, Any]:
    looks = settings.seeds - 1 if settings.early_stop else 1
    leaderboard = build_leaderboard(recorded, looks=max(1, looks), parts=ranking.parts)
    leaderboard["parts"] = [asdict(one) for one in ranking.parts]
    leaderboard["conclusions"] = ranking.too_small() + leaderboard["conclusions"]
    flops = {run.cell.label: training_flops(run) for run in runs}
    with_reliability(leaderboard, ranking.cells, ranking.readings, Target.of(settings), flops)
    for cell, own in groupby(recorded, lambda run: run.cell):
        cell_runs = list(own)
        weights = signal_weights([run.tasks for run in cell_runs], [r.recipe for r in cell_runs])
        leaderboard["conclusions"] += weights_told(cell, weights)
    leaderboard["curves"] = curves_of(runs)
    leaderboard["power"] = power_table(leaderboard, curves_by_seed(runs))
    controls = {row["recipe"]: row["control"] for row in leaderboard["rows"]}
    leaderboard["conclusions"] += power_conclusions(leaderboard["power"], controls, SHUFFLED)
    leaderboard["conclusions"] += [one.conclusion for one in ranking.prepared.heldout]
    leaderboard["fact_accuracy"] = fact_accuracies(runs)
    return leaderboard
