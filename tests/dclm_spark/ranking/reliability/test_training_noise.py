"""The noise of training, where what each run deviates by is known."""

import numpy as np
import pytest

from dclm_spark.evaluate.uncertainty import Metric, Stratum
from dclm_spark.ranking.reliability.training_noise import recipe_noise

RECIPES, SEEDS = 5, 3
NAMES = [f"r{recipe}" for recipe in range(RECIPES) for _ in range(SEEDS)]
RUN_SEEDS = list(range(SEEDS)) * RECIPES


def metric(values: list[float] | np.ndarray) -> Metric:
    """Return a metric of two items on which each run has its value."""
    table = np.tile(np.asarray(values, dtype=float), (2, 1))
    stratum = Stratum(key="texts", numerators=table, denominators=np.ones(2))
    return Metric(name="m", strata=(stratum,), higher_is_better=False)


FOUR_RUNS = (metric([1.5, 10.5, 1.5, 12.5]), ["a", "a", "b", "b"], 0.95)


def test_a_runs_deviation_is_what_its_recipe_and_its_seed_do_not_say() -> None:
    # Recipes have the means 6 and 7, seeds 1.5 and 11.5: what is left is 0.5 of each run.
    assert recipe_noise(*FOUR_RUNS, run_seeds=[1, 2, 1, 2])[2] == pytest.approx(1.0)
    # The same with the second recipe's seeds in the other order: 5 of each run.
    assert recipe_noise(*FOUR_RUNS, run_seeds=[1, 2, 2, 1])[2] == pytest.approx(10.0)


@pytest.mark.parametrize("run_seeds", [[1, 2, 1, 3], [1, 1, 1, 1], []])
def test_seeds_that_are_not_the_same_cancel_in_nothing(run_seeds: list[int]) -> None:
    alone = np.sqrt((9**2 / 2 + 11**2 / 2) / 2)
    assert recipe_noise(*FOUR_RUNS, run_seeds=run_seeds)[2] == pytest.approx(alone)


def test_an_interval_of_a_difference_holds_as_often_as_it_says_whatever_seeds_do() -> None:
    draw = np.random.default_rng(5)
    held = 0
    worlds = 400
    for world in range(worlds):
        of_seeds = np.tile(draw.normal(0, 1.0, SEEDS), RECIPES)
        values = of_seeds + draw.normal(0, 0.01, len(NAMES))
        means, noise, _ = recipe_noise(
            metric(values), NAMES, 0.9, draws=400, seed=world, run_seeds=RUN_SEEDS
        )
        low, high = np.quantile(noise[:, 0] - noise[:, 1], [0.05, 0.95])
        held += low < means[0] - means[1] < high
    assert held / worlds == pytest.approx(0.9, abs=0.045)
