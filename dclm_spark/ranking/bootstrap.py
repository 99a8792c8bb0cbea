"""Recipes compared by paired resampling of items, with the noise between seeds on top."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np

from dclm_spark.evaluate.bits_per_byte import bits_per_byte
from dclm_spark.evaluate.suite import Run, suite_metrics, task_metrics
from dclm_spark.evaluate.tasks import EXTENDED
from dclm_spark.evaluate.uncertainty import Metric
from dclm_spark.ranking.planted import ANSWERS
from dclm_spark.ranking.reliability.training_noise import DRAWS, Floats, recipe_noise
from dclm_spark.ranking.reliability.weighted_answers import weighted_answers


@dataclass(frozen=True, kw_only=True)
class RecipeRun:
    """A run and everything needed to do it again.

    `control` is empty for a real recipe, else what it controls for (such as `shuffled scores`).
    Only runs of one `cell` (scale, budget, target) are compared with one another.
    `tasks` are item records by label, `heldout` the records of texts by name.
    """

    recipe: str
    seed: int
    recipe_hash: str
    corpus_fingerprint: str
    model_configuration: Mapping[str, Any]
    commit: str
    command: str
    control: str = ""
    cell: str = ""
    tasks: Run = field(default_factory=dict)
    heldout: Mapping[str, Sequence[dict[str, Any]]] = field(default_factory=dict)


def metrics_of(
    runs: Sequence[RecipeRun], data_baselines: Mapping[str, float] | None = None
) -> list[Metric]:
    """Return every metric that all runs have: held-out bits per byte, aggregates, tasks.

    Gold answers are also weighted by the signal that each task has in these runs.

    Several files of held-out texts, such as one for each domain, have a mean in which each counts
    the same, whatever its size: `bits_per_byte/macro`.
    """
    names = [name for name in runs[0].heldout if all(name in run.heldout for run in runs)]
    found = [bits_per_byte(name, [list(run.heldout[name]) for run in runs]) for name in names]
    texts = [one for name, one in zip(names, found, strict=True) if name != ANSWERS]
    if len(texts) > 1:
        found.insert(0, _macro(texts))
    records = [run.tasks for run in runs]
    if any(records):
        found.extend(suite_metrics(records, data_baselines).values())
        weighted = weighted_answers(records, [run.recipe for run in runs])
        found += [weighted] if weighted else []
    for label in EXTENDED:
        if all(run.get(label) for run in records):
            found.extend(task_metrics(label, records).values())
    return found


def _macro(metrics: Sequence[Metric]) -> Metric:
    strata = [
        replace(stratum, weight=stratum.weight / len(metrics))
        for metric in metrics
        for stratum in metric.strata
    ]
    return Metric(name="bits_per_byte/macro", strata=tuple(strata), higher_is_better=False)


CONFIDENCE = 0.95
POWER = 0.8
NOT_DISTINGUISHABLE = "not distinguishable"
ONE_SEED = "no verdict: one seed each"


@dataclass(frozen=True, kw_only=True)
class RecipeScore:
    """The mean over a recipe's seeds; the interval covers items and, if known, seeds.

    `seed_deviation` is the standard deviation of one training run, pooled over all recipes; it
    is None when no recipe has two seeds.
    """

    recipe: str
    mean: float
    low: float
    high: float
    standard_error: float
    seeds: int
    values: tuple[float, ...]
    seed_deviation: float | None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether `first` differs from `second`; positive `difference` means first is higher.

    The interval holds for all pairs of the metric at once (Bonferroni). A true difference of
    `minimum_detectable` would be found with probability `POWER`. `standard_error` is that of the
    difference, from items and seeds.
    """

    first: str
    second: str
    difference: float
    low: float
    high: float
    standard_error: float
    minimum_detectable: float
    verdict: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All recipes on one metric, best first, and every pair of them."""

    metric: str
    higher_is_better: bool
    items: int
    scores: tuple[RecipeScore, ...]
    verdicts: tuple[Verdict, ...]


def compare(
    metric: Metric, recipes: Sequence[str], draws: int = DRAWS, seed: int = 0, looks: int = 1
) -> Comparison:
    """Compare recipes on a metric whose columns are runs; `recipes` names each run's recipe.

    Items are resampled together for all runs, so luck with items cancels in differences. Training
    noise is taken as equal for all recipes and estimated from their seeds, as a t distribution.
    Intervals hold for all pairs and for `looks` at growing data at once.
    """
    values = metric.values()
    names = list(dict.fromkeys(recipes))
    pairs = list(combinations(range(len(names)), 2))
    confidence = 1 - (1 - CONFIDENCE) / max(1, len(pairs)) / looks
    means, noise, deviation = recipe_noise(metric, recipes, confidence, draws, seed)
    scores = [
        _score(name, recipes, values, means[place], noise[:, place], deviation)
        for place, name in enumerate(names)
    ]
    verdicts = [
        _verdict(
            (names[one], names[other]),
            float(means[one] - means[other]),
            noise[:, one] - noise[:, other],
            confidence,
            better="higher" if metric.higher_is_better else "lower",
            has_seeds=deviation is not None,
        )
        for one, other in pairs
    ]
    scores.sort(key=lambda score: score.mean, reverse=metric.higher_is_better)
    return Comparison(
        metric=metric.name,
        higher_is_better=metric.higher_is_better,
        items=metric.num_items,
        scores=tuple(scores),
        verdicts=tuple(verdicts),
    )


def _score(
    name: str,
    recipes: Sequence[str],
    values: Floats,
    mean: float,
    noise: Floats,
    deviation: float | None,
) -> RecipeScore:
    low, high = np.quantile(noise, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    own = tuple(float(v) for v, recipe in zip(values, recipes, strict=True) if recipe == name)
    return RecipeScore(
        recipe=name,
        mean=float(mean),
        low=float(mean + low),
        high=float(mean + high),
        standard_error=float(noise.std(ddof=1)),
        seeds=len(own),
        values=own,
        seed_deviation=deviation,
    )


def _verdict(
    names: tuple[str, str],
    difference: float,
    noise: Floats,
    confidence: float,
    *,
    better: str,
    has_seeds: bool,
) -> Verdict:
    tail = (1 - confidence) / 2
    low, high = np.quantile(noise, [tail, 1 - tail]) + difference
    detectable = np.quantile(np.abs(noise), confidence) + np.quantile(noise, POWER)
    is_clear = bool(low > 0 or high < 0)
    winner = names[0] if (difference > 0) == (better == "higher") else names[1]
    return Verdict(
        first=names[0],
        second=names[1],
        difference=difference,
        low=float(low),
        high=float(high),
        standard_error=float(noise.std(ddof=1)),
        minimum_detectable=float(detectable),
        verdict=(
            ONE_SEED
            if not has_seeds
            else f"{winner} is better"
            if is_clear
            else NOT_DISTINGUISHABLE
        ),
    )
