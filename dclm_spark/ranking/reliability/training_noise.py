"""What the mean of a recipe's runs would be again: items drawn anew, with the noise of training."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dclm_spark.errors import InputError
from dclm_spark.evaluate.uncertainty import Metric

Floats = NDArray[np.float64]

DRAWS = 4000
# Draws beyond an interval's end on each side: fewer would make the end of the interval a guess.
_DRAWS_IN_A_TAIL = 20


def recipe_noise(
    metric: Metric,
    recipes: Sequence[str],
    confidence: float,
    draws: int = DRAWS,
    seed: int = 0,
    run_seeds: Sequence[int] = (),
) -> tuple[Floats, Floats, float | None]:
    """Return the recipes' means, their noise [draws, recipes], and a run's deviation if known.

    Recipes stand in the order of their first runs. Draws are enough for both ends of an interval
    of `confidence`. With the seed of each run in `run_seeds`, what a seed does to all recipes alike
    is no noise, if all have the same seeds: right for differences of recipes, which it cancels in,
    and not for one recipe's mean. Raises InputError unless `recipes` names each run's recipe.
    """
    values = metric.values()
    if len(recipes) != len(values):
        raise InputError(f"{metric.name}: {len(recipes)} recipe names for {len(values)} runs")
    share, counts = _shares(recipes, list(dict.fromkeys(recipes)))
    means = values @ share
    table = _by_seed(values, recipes, run_seeds)
    deviation, freedom = (
        _seed_deviation(values, recipes) if table is None else _deviation_beside_seeds(table)
    )
    noise = metric.resampled(draws, seed) @ share - means
    if deviation is not None:
        noise = _repeated(noise, int(np.ceil(2 * _DRAWS_IN_A_TAIL / (1 - confidence))))
        noise += _training_noise(deviation, freedom, counts, len(noise), seed)
    return means, noise, deviation


def _shares(recipes: Sequence[str], names: Sequence[str]) -> tuple[Floats, Floats]:
    """Return the share [runs, recipes] of each run in its recipe's mean, and the runs of each."""
    member = np.array([[float(of == name) for name in names] for of in recipes])
    counts = member.sum(axis=0)
    return member / counts, counts


def _repeated(noise: Floats, draws: int) -> Floats:
    """Return at least so many draws: those of items again, each to get other training noise."""
    times = max(1, -(-draws // len(noise)))
    return np.tile(noise, (times, 1))


def _seed_deviation(values: Floats, recipes: Sequence[str]) -> tuple[float | None, int]:
    """Return the pooled standard deviation of one run within its recipe, and its freedom."""
    squares, freedom = 0.0, 0
    for name in dict.fromkeys(recipes):
        of_recipe = values[[recipe == name for recipe in recipes]]
        squares += float(((of_recipe - of_recipe.mean()) ** 2).sum())
        freedom += len(of_recipe) - 1
    return (float(np.sqrt(squares / freedom)) if freedom else None), freedom


def _by_seed(values: Floats, recipes: Sequence[str], run_seeds: Sequence[int]) -> Floats | None:
    """Return the runs as [recipes, seeds], None unless every recipe has each of the seeds once."""
    places = {run: place for place, run in enumerate(zip(recipes, run_seeds, strict=False))}
    names, seeds = dict.fromkeys(recipes), dict.fromkeys(run_seeds)
    runs = [(name, seed) for name in names for seed in seeds]
    if min(len(names), len(seeds)) < 2 or len(runs) != len(values) or set(runs) != set(places):
        return None
    return values[[places[run] for run in runs]].reshape(len(names), len(seeds))


def _deviation_beside_seeds(table: Floats) -> tuple[float, int]:
    """Return the deviation of one run [recipes, seeds] beside its recipe and seed, its freedom."""
    alike = table.mean(axis=1, keepdims=True) + table.mean(axis=0) - table.mean()
    freedom = (table.shape[0] - 1) * (table.shape[1] - 1)
    return float(np.sqrt(((table - alike) ** 2).sum() / freedom)), freedom


def _training_noise(
    deviation: float, freedom: int, counts: Floats, draws: int, seed: int
) -> Floats:
    """Return [draws, recipes]; the common chi-square makes every difference t-distributed."""
    generator = np.random.default_rng((seed, 1))
    normal = generator.standard_normal((draws, len(counts)))
    spread = np.sqrt(freedom / generator.chisquare(freedom, (draws, 1)))
    return np.asarray(normal * spread * deviation / np.sqrt(counts), dtype=np.float64)
