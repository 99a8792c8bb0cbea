"""From prepared corpora to a leaderboard: models with several seeds, measured and compared.

Nothing here needs Spark, so a machine with a GPU can do it on a folder that a cluster prepared.
"""

import logging
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from dclm_spark.errors import InputError, SettingError
from dclm_spark.evaluate.tasks import Task, select_tasks
from dclm_spark.ranking.leaderboard import build_leaderboard, recorded_runs, write_leaderboard
from dclm_spark.ranking.model_runs import (
    Measurement,
    RankedRun,
    fact_accuracies,
    ranked_run,
    train_and_measure,
)
from dclm_spark.ranking.prepared import PreparedRanking, read_prepared
from dclm_spark.ranking.records import records_below, write_records
from dclm_spark.settings import override
from dclm_spark.train.scales import TrainSettings, scale
from udfs import storage

LOGGER = logging.getLogger("dclm_spark")

# Less than any corpus of the sample has, but several passes over the part that is read again.
SAMPLE_TOKENS = 147_456
# What the scale `tiny` becomes there: with so few tokens, many small steps tell corpora apart best.
SAMPLE_TRAINING = (
    f"tokens={SAMPLE_TOKENS}",
    "model.sequence_length=256",
    "model.num_layers=2",
    "batch_sequences=2",
    "micro_batch_sequences=2",
    "loss_chunk_tokens=null",
    "checkpoint.interval_steps=1000",
)


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """The models of a ranking whose folder is `output`, and what they are measured on.

    `seeds` counts models per recipe, numbered from 1. `training` changes the scale; `tokens` is
    the budget of every model (None: the scale's). `only` is one row, recipe/seed, to be done
    again from nothing.
    """

    output: str
    scale: str = "tiny"
    seeds: int = 3
    tokens: int | None = None
    training: tuple[str, ...] = ()
    tasks: str = ""
    data: str = ""
    rows_per_task: int | None = None
    only: str | None = None


def rank_models(
    settings: ModelSettings, command: Callable[[str], str] | None = None
) -> dict[str, Any]:
    """Train and measure a model per corpus and seed; write and return the leaderboard.

    Finished runs below `settings.output` are not done again. `command` says how a row,
    recipe/seed, is done again (default: with jobs/rank_models.py).
    """
    settings = replace(settings, output=storage.absolute(settings.output))
    check_models(settings)
    prepared = read_prepared(settings.output)
    check_measurable(settings, bool(prepared.heldout or prepared.facts))
    if prepared.facts:
        # More threads than one slow down the sample's models, and would change their numbers.
        torch.set_num_threads(1)
    measurement = Measurement(
        heldout=tuple(one.uri for one in prepared.heldout),
        facts=prepared.facts,
        tasks=_tasks(settings),
        data=settings.data,
        rows_per_task=settings.rows_per_task,
    )
    runs = _runs(settings, prepared, measurement)
    for run in runs:
        train_and_measure(run, measurement, again=settings.only is not None)
    leaderboard = _leaderboard(settings, prepared, runs, command or partial(command_of, settings))
    if settings.only is None:
        write_leaderboard(leaderboard, settings.output)
        LOGGER.info("leaderboard: %s", storage.join(settings.output, "leaderboard.html"))
    return leaderboard


def check_models(settings: ModelSettings) -> None:
    """Raise SettingError, InputError or ValueError for settings that no ranking can have."""
    if not storage.is_local(settings.output):
        raise SettingError(
            f"--output {settings.output}: models are trained and read on this machine; give a "
            "local folder"
        )
    if settings.seeds < 1:
        raise SettingError(f"--seeds {settings.seeds}: expected 1 or more; 3 give an interval")
    if settings.tasks and not settings.data:
        raise InputError("--tasks needs --data, a folder or URI with the tasks' files")
    # What else would be found out when all corpora are made.
    override(scale(settings.scale), settings.training)
    _tasks(settings)


def check_measurable(settings: ModelSettings, has_texts: bool) -> None:
    """Raise InputError when there is nothing to measure models on."""
    if not has_texts and not settings.tasks:
        raise InputError(
            "--heldout is not given: without it there is nothing to measure models on; give JSON "
            "lines of texts that are not in the pool, or --tasks with --data"
        )


def _tasks(settings: ModelSettings) -> tuple[Task, ...]:
    return select_tasks(settings.tasks) if settings.tasks else ()


def _runs(
    settings: ModelSettings, prepared: PreparedRanking, measurement: Measurement
) -> list[RankedRun]:
    """Return all rows, seed by seed, so that an interrupted ranking has whole seeds."""
    model = _model(settings, prepared)
    runs = [
        ranked_run(corpus, seed, model, measurement, settings.output)
        for seed in range(1, settings.seeds + 1)
        for corpus in prepared.corpora
    ]
    if settings.only is None:
        return runs
    chosen = [run for run in runs if run.name == settings.only]
    if not chosen:
        known = ", ".join(run.name for run in runs)
        raise SettingError(f"--only {settings.only!r}: no such row; known: {known}")
    return chosen


def _model(settings: ModelSettings, prepared: PreparedRanking) -> TrainSettings:
    of_sample = prepared.facts and settings.scale == "tiny"
    defaults = SAMPLE_TRAINING if of_sample else ()
    model = override(scale(settings.scale), (*defaults, *settings.training))
    return model if settings.tokens is None else replace(model, tokens=settings.tokens)


def _leaderboard(
    settings: ModelSettings,
    prepared: PreparedRanking,
    runs: list[RankedRun],
    command: Callable[[str], str],
) -> dict[str, Any]:
    evaluations = write_records(runs, settings.output, command)
    leaderboard = build_leaderboard(recorded_runs([records_below(settings.output)], evaluations))
    leaderboard["conclusions"] += [one.conclusion for one in prepared.heldout]
    leaderboard["fact_accuracy"] = fact_accuracies(runs)
    return leaderboard


def command_of(settings: ModelSettings, row: str) -> str:
    """Return the command that does one row (recipe/seed) again on the prepared corpora."""
    return shlex.join(["python", "jobs/rank_models.py", *model_options(settings, row)])


def model_options(settings: ModelSettings, row: str) -> list[str]:
    """Return the options of the jobs that say how models are trained and measured."""
    options: list[tuple[str, Any]] = [
        ("--output", settings.output),
        ("--scale", settings.scale),
        ("--seeds", settings.seeds),
        ("--tokens", settings.tokens),
        ("--tasks", settings.tasks or None),
        ("--data", settings.data or None),
        ("--rows-per-task", settings.rows_per_task),
        *(("--train", one) for one in settings.training),
        ("--only", row),
    ]
    return option_words(options)


def option_words(options: Sequence[tuple[str, Any]]) -> list[str]:
    """Return the words of a command line for the options that have a value other than None."""
    given = [pair for pair in options if pair[1] is not None]
    return [str(word) for pair in given for word in pair]
