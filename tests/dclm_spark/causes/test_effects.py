"""The parts of a lead, from ablations whose numbers are set by hand."""

import numpy as np
import pytest

from dclm_spark.causes.effects import (
    AGAINST,
    CAUSE,
    FIRST,
    SECOND,
    effects,
    first_with,
    second_with,
)
from dclm_spark.evaluate.uncertainty import Metric, Stratum
from dclm_spark.ranking.bootstrap import NOT_DISTINGUISHABLE, ONE_SEED

# What losses are: A 2.0, B 2.5; group 1 carries 0.4, 2 works against the lead, 3 does nothing.
LOSSES = {
    FIRST: 2.0,
    SECOND: 2.5,
    first_with(1): 2.4,
    second_with(1): 2.1,
    first_with(2): 1.9,
    second_with(2): 2.6,
    first_with(3): 2.001,
    second_with(3): 2.501,
}
GROUPS = ["one", "two", "three"]


def metric(
    seeds: int, noise: float, *, of_seeds: float = 0.0, higher_is_better: bool = False
) -> tuple[Metric, list[str], list[int]]:
    """Return losses of 200 items, which all recipes share, and of runs with some noise.

    Each seed shifts the losses of all recipes alike, by `of_seeds` on average.
    """
    draw = np.random.default_rng(1)
    recipes = [name for name in LOSSES for _ in range(seeds)]
    sign = -1 if higher_is_better else 1
    means = np.array([sign * LOSSES[name] for name in recipes])
    items = draw.normal(0, 0.3, (200, 1))
    values = means + draw.normal(0, noise, len(recipes)) + items - items.mean()
    values += np.tile(draw.normal(0, of_seeds, seeds), len(LOSSES))
    stratum = Stratum(key="texts", numerators=values, denominators=np.ones(200))
    run_seeds = list(range(seeds)) * len(LOSSES)
    return (
        Metric(name="m", strata=(stratum,), higher_is_better=higher_is_better),
        recipes,
        run_seeds,
    )


@pytest.mark.parametrize("higher_is_better", [False, True])
def test_each_group_has_its_part_of_the_lead(higher_is_better: bool) -> None:
    found = effects(*metric(3, 0.002, higher_is_better=higher_is_better), GROUPS, "cell")
    assert found.lead == pytest.approx(0.5, abs=0.01)
    parts = {part.group: part for part in found.parts}
    assert parts["one"].effect == pytest.approx(0.4, abs=0.01)
    assert parts["one"].in_second == pytest.approx(0.4, abs=0.01)
    assert parts["one"].share == pytest.approx(0.8, abs=0.02)
    assert parts["two"].effect == pytest.approx(-0.1, abs=0.01)
    verdicts = {name: part.verdict for name, part in parts.items()}
    assert verdicts == {"one": CAUSE, "two": AGAINST, "three": NOT_DISTINGUISHABLE}
    assert found.causes == ("one",)
    assert [part.group for part in found.parts] == ["one", "three", "two"]


def test_causes_are_those_of_whoever_leads() -> None:
    turned = {FIRST: SECOND, SECOND: FIRST} | {
        name: other
        for number in (1, 2, 3)
        for name, other in (
            (first_with(number), second_with(number)),
            (second_with(number), first_with(number)),
        )
    }
    measured, recipes, seeds = metric(3, 0.002)
    found = effects(measured, [turned[name] for name in recipes], seeds, GROUPS, "cell")
    assert found.lead == pytest.approx(-0.5, abs=0.01)
    assert found.causes == ("one",)


def test_noise_between_seeds_hides_a_small_part_and_one_seed_gives_no_verdict() -> None:
    found = effects(*metric(3, 0.3), GROUPS, "cell")
    assert found.causes == ()
    assert {part.share for part in found.parts} == {None}
    found = effects(*metric(1, 0.0), GROUPS, "cell")
    assert {part.verdict for part in found.parts} == {ONE_SEED}


def test_what_a_seed_does_to_all_corpora_alike_hides_nothing() -> None:
    metric_, recipes, seeds = metric(3, 0.01, of_seeds=1.0)
    found = effects(metric_, recipes, seeds, GROUPS, "cell")
    assert found.causes == ("one",)
    (one, *_) = found.parts
    # Three runs with deviations of 0.01 on each of four sides: 0.0058, and Student's 18 degrees.
    assert 0.008 < (one.high - one.low) / 2 < 0.03
    # Seeds that are not the same for all corpora cancel in nothing.
    assert effects(metric_, recipes, list(range(len(seeds))), GROUPS, "cell").causes == ()
