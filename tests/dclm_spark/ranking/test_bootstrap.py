import numpy as np
import pytest

from dclm_spark.errors import InputError
from dclm_spark.evaluate.uncertainty import Metric, Stratum
from dclm_spark.ranking.bootstrap import NOT_DISTINGUISHABLE, ONE_SEED, compare

SEED_NOISE = 0.02


def simulated(
    draw: np.random.Generator, truth: dict[str, float], seeds: int, items: int = 300
) -> tuple[Metric, list[str]]:
    """Runs whose chance of an item is its easiness + the recipe's truth + the run's luck."""
    easiness = draw.uniform(-0.35, 0.35, items)
    recipes = [recipe for recipe in truth for _ in range(seeds)]
    luck = draw.normal(0, SEED_NOISE, len(recipes))
    chance = easiness[:, None] + np.array([truth[recipe] for recipe in recipes]) + luck
    right = (draw.random(chance.shape) < chance).astype(float)
    stratum = Stratum(key="t", numerators=right, denominators=np.ones(items))
    return Metric(name="simulated", strata=(stratum,)), recipes


def test_the_interval_of_a_difference_covers_the_truth_as_often_as_it_says() -> None:
    draw = np.random.default_rng(7)
    truth = {"a": 0.50, "b": 0.53}
    covered = 0
    for trial in range(200):
        metric, recipes = simulated(draw, truth, seeds=3)
        verdict = compare(metric, recipes, draws=400, seed=trial).verdicts[0]
        covered += verdict.low <= -0.03 <= verdict.high
    # 95 % stated; 200 trials have a standard error of 1.5 points. Item noise within a run is
    # counted in the seed deviation too, so the interval errs on the wide side.
    assert 0.91 <= covered / 200 <= 1.0


def test_equal_recipes_are_rarely_told_apart_and_far_ones_always() -> None:
    draw = np.random.default_rng(11)
    told_apart = 0
    for trial in range(100):
        metric, recipes = simulated(draw, {"a": 0.5, "b": 0.5, "c": 0.5}, seeds=3)
        verdicts = compare(metric, recipes, draws=400, seed=trial).verdicts
        told_apart += any(verdict.verdict != NOT_DISTINGUISHABLE for verdict in verdicts)
    assert told_apart <= 11
    metric, recipes = simulated(draw, {"bad": 0.4, "good": 0.6}, seeds=3, items=1000)
    comparison = compare(metric, recipes)
    assert comparison.verdicts[0].verdict == "good is better"
    assert [score.recipe for score in comparison.scores] == ["good", "bad"]


def test_where_lower_is_better_the_lower_one_wins() -> None:
    sizes = np.random.default_rng(0).uniform(50, 90, 200)
    bits = sizes[:, None] * np.array([1.0, 1.01, 1.2, 1.21])
    stratum = Stratum(key="t", numerators=bits, denominators=sizes)
    metric = Metric(name="bits", strata=(stratum,), higher_is_better=False)
    comparison = compare(metric, ["raw", "raw", "worse", "worse"])
    assert comparison.verdicts[0].verdict == "raw is better"
    assert comparison.scores[0].recipe == "raw"
    assert comparison.scores[0].seed_deviation == pytest.approx(0.01 / 2**0.5)


def test_one_seed_each_gives_no_verdict() -> None:
    metric, recipes = simulated(np.random.default_rng(0), {"a": 0.4, "b": 0.6}, seeds=1)
    comparison = compare(metric, recipes)
    assert comparison.verdicts[0].verdict == ONE_SEED
    assert comparison.scores[0].seed_deviation is None


def test_the_detectable_difference_is_mostly_detected() -> None:
    draw = np.random.default_rng(3)
    metric, recipes = simulated(draw, {"a": 0.5, "b": 0.5}, seeds=3, items=1000)
    detectable = compare(metric, recipes).verdicts[0].minimum_detectable
    assert 0.01 < detectable < 0.2


def test_a_run_without_a_recipe_is_an_error() -> None:
    metric, recipes = simulated(np.random.default_rng(0), {"a": 0.4, "b": 0.6}, seeds=2)
    with pytest.raises(InputError, match="3 recipe names for 4 runs"):
        compare(metric, recipes[:3])
