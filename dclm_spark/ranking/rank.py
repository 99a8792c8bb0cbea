"""The story of a ranking: corpora -> models with several seeds -> measurements -> leaderboard."""

import logging
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pyspark.sql import SparkSession

from dclm_spark.crawl.listing import list_inputs
from dclm_spark.errors import InputError, SettingError
from dclm_spark.evaluate.tasks import select_tasks
from dclm_spark.rank.leaderboard import build_leaderboard, write_leaderboard
from dclm_spark.rank.recorded_runs import recorded_runs
from dclm_spark.ranking.corpora import (
    Corpus,
    build_corpus,
    check_names,
    duplicated_corpus,
    shuffled_corpus,
)
from dclm_spark.ranking.embedded import (
    SAMPLE_PAGES,
    SAMPLE_TRAINING,
    sample_crawl,
    sample_recipes,
)
from dclm_spark.ranking.heldout import CleanTexts, clean_heldout
from dclm_spark.ranking.planted import read_facts, write_articles
from dclm_spark.ranking.recording import records_below, write_records
from dclm_spark.ranking.runs import (
    Measurement,
    RankedRun,
    fact_accuracies,
    ranked_run,
    train_and_measure,
)
from dclm_spark.recipes import load_recipe
from dclm_spark.recipes.recipe import Recipe
from dclm_spark.scored import add_to_table
from dclm_spark.train.scales import TrainSettings, scale
from dclm_spark.train.settings import override
from udfs import storage

LOGGER = logging.getLogger("dclm_spark")


@dataclass(frozen=True, kw_only=True)
class RankSettings:
    """A ranking: recipes by name or file, what they work on, and how models are trained.

    Without `inputs` the embedded sample is used. `seeds` counts models per recipe, numbered from
    1. `assignments` change every recipe, `training` the scale. `tokens` is the budget of every
    model (None: the scale's). `only` is one row, recipe/seed, to be done again from nothing.
    `scored` is a scored table that rankings share (None: one below `output`).
    """

    recipes: tuple[str, ...]
    output: str
    inputs: str | None = None
    base: str | None = None
    scale: str = "tiny"
    seeds: int = 3
    tokens: int | None = None
    assignments: tuple[str, ...] = ()
    training: tuple[str, ...] = ()
    heldout: tuple[str, ...] = ()
    tasks: str = ""
    data: str = ""
    rows_per_task: int | None = None
    num_pages: int = SAMPLE_PAGES
    only: str | None = None
    scored: str | None = None

    @property
    def table(self) -> str:
        """Return where the scored table lies that all recipes are decided from."""
        return self.scored or storage.join(self.output, "scored")


@dataclass(kw_only=True)
class Source:
    """What all recipes start from, and what all models are measured on."""

    recipes: list[Recipe]
    inputs: str
    base: str | None
    measurement: Measurement


def rank_recipes(spark: SparkSession, settings: RankSettings) -> dict[str, Any]:
    """Compare recipes by the models trained on them; write and return the leaderboard.

    Finished stages and runs below `settings.output` are not done again.
    """
    settings = replace(settings, output=storage.absolute(settings.output))
    _check(settings)
    source = _source(settings)
    if settings.inputs is None:
        # More threads than one slow down the sample's models, and would change their numbers.
        torch.set_num_threads(1)
    check_names(source.recipes)
    model = _model(settings)
    heldout = _clean_heldout(spark, settings, source)
    measurement = replace(source.measurement, heldout=tuple(one.uri for one in heldout))
    corpora = _corpora(spark, settings, source)
    runs = _runs(corpora, settings, model, measurement)
    for run in runs:
        train_and_measure(run, measurement, again=settings.only is not None)
    evaluations = write_records(runs, settings.output, partial(command, settings))
    leaderboard = build_leaderboard(recorded_runs([records_below(settings.output)], evaluations))
    leaderboard["conclusions"] += [one.conclusion for one in heldout]
    leaderboard["fact_accuracy"] = fact_accuracies(runs)
    if settings.only is None:
        write_leaderboard(leaderboard, settings.output)
        LOGGER.info("leaderboard: %s", storage.join(settings.output, "leaderboard.html"))
    return leaderboard


def _model(settings: RankSettings) -> TrainSettings:
    of_sample = settings.inputs is None and settings.scale == "tiny"
    defaults = SAMPLE_TRAINING if of_sample else ()
    model = override(scale(settings.scale), (*defaults, *settings.training))
    return model if settings.tokens is None else replace(model, tokens=settings.tokens)


def _check(settings: RankSettings) -> None:
    if not storage.is_local(settings.output):
        raise SettingError(
            f"--output {settings.output}: models are trained and read on this machine; give a "
            "local folder"
        )
    if settings.seeds < 1:
        raise SettingError(f"--seeds {settings.seeds}: expected 1 or more; 3 give an interval")
    if settings.inputs is not None and not settings.heldout and not settings.tasks:
        raise InputError(
            "--heldout is not given: without it there is nothing to measure models on; give JSON "
            "lines of texts that are not in the pool, or --tasks with --data"
        )
    if settings.tasks and not settings.data:
        raise InputError("--tasks needs --data, a folder or URI with the tasks' files")


def _source(settings: RankSettings) -> Source:
    measurement = Measurement(
        heldout=settings.heldout,
        tasks=select_tasks(settings.tasks) if settings.tasks else (),
        data=settings.data,
        rows_per_task=settings.rows_per_task,
    )
    if settings.inputs is not None:
        recipes = [load_recipe(name, settings.assignments) for name in settings.recipes]
        return Source(
            recipes=recipes, inputs=settings.inputs, base=settings.base, measurement=measurement
        )
    folder = Path(settings.output) / "sample"
    crawl = sample_crawl(folder, settings.num_pages)
    articles = str(write_articles(folder / "heldout" / "unseen_articles.jsonl"))
    return Source(
        recipes=sample_recipes(settings.recipes, settings.assignments, crawl, folder),
        inputs=str(crawl.listing),
        base=str(crawl.base),
        measurement=replace(
            measurement,
            heldout=(articles, *measurement.heldout),
            facts=tuple(read_facts(crawl.facts)),
        ),
    )


def _clean_heldout(
    spark: SparkSession, settings: RankSettings, source: Source
) -> list[CleanTexts]:
    """Leave out what the pool holds, so that no recipe is measured on what it could remember."""
    if not source.measurement.heldout:
        return []
    files = list_inputs(source.inputs, source.base)
    pool = {}
    for recipe in source.recipes:
        texts, _ = add_to_table(spark, files, recipe, settings.table)
        pool[texts.directory] = texts
    folder = Path(settings.output) / "heldout"
    return clean_heldout(spark, list(pool.values()), source.measurement.heldout, folder)


def _corpora(spark: SparkSession, settings: RankSettings, source: Source) -> list[Corpus]:
    """Return the recipes' corpora and those of the controls, made from the last filtered one."""
    corpora: list[Corpus] = []
    controlled = None
    for recipe in source.recipes:
        corpus, run = build_corpus(
            spark,
            recipe,
            inputs=source.inputs,
            output=settings.output,
            base=source.base,
            scored=settings.table,
        )
        corpora.append(corpus)
        if recipe.quality.enabled:
            controlled = (corpus, run)
    if controlled is None:
        LOGGER.warning("no recipe has a quality filter: there are no scores to shuffle")
        return [*corpora, duplicated_corpus(corpora[-1])]
    filtered, run = controlled
    shuffled = shuffled_corpus(spark, filtered.recipe, run, settings.output)
    return [*corpora, shuffled, duplicated_corpus(filtered)]


def _runs(
    corpora: Sequence[Corpus],
    settings: RankSettings,
    model: TrainSettings,
    measurement: Measurement,
) -> list[RankedRun]:
    """Return all rows, seed by seed, so that an interrupted ranking has whole seeds."""
    runs = [
        ranked_run(corpus, seed, model, measurement, settings.output)
        for seed in range(1, settings.seeds + 1)
        for corpus in corpora
    ]
    if settings.only is None:
        return runs
    chosen = [run for run in runs if run.name == settings.only]
    if not chosen:
        known = ", ".join(run.name for run in runs)
        raise SettingError(f"--only {settings.only!r}: no such row; known: {known}")
    return chosen


def command(settings: RankSettings, row: str) -> str:
    """Return the command that does one row (recipe/seed) again, from nothing."""
    words = ["python", "jobs/rank_recipes.py", "--recipes", *settings.recipes]
    options = (
        ("--input", settings.inputs),
        ("--base", settings.base),
        ("--output", settings.output),
        ("--scored", settings.scored),
        ("--scale", settings.scale),
        ("--seeds", settings.seeds),
        ("--tokens", settings.tokens),
        ("--tasks", settings.tasks or None),
        ("--data", settings.data or None),
        ("--rows-per-task", settings.rows_per_task),
        ("--pages", settings.num_pages if settings.inputs is None else None),
        ("--only", row),
        *(("--heldout", uri) for uri in settings.heldout),
        *(("--set", one) for one in settings.assignments),
        *(("--train", one) for one in settings.training),
    )
    for option, value in options:
        words += [option, str(value)] if value is not None else []
    return shlex.join(words)
