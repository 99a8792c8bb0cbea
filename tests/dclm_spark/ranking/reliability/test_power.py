"""The chance to find a difference, against simulated rankings and textbook values."""

import math

import numpy as np
import pytest

from dclm_spark.evaluate.uncertainty import Metric, Stratum
from dclm_spark.ranking.bootstrap import POWER, compare
from dclm_spark.ranking.reliability.power import Design, seeds_needed


def test_the_limit_is_that_of_students_t() -> None:
    # Two corpora, n seeds each: 2 (n - 1) degrees of freedom; a table's values at 0.975.
    for seeds, wanted in ((2, 4.303), (3, 2.776), (6, 2.228)):
        assert Design(corpora=2, seeds=seeds).limit == pytest.approx(wanted, rel=0.02)
    # For ten pairs at once, 10 degrees of freedom, 0.9975.
    assert Design(corpora=5, seeds=3).limit == pytest.approx(3.581, rel=0.03)


def test_nothing_is_found_as_often_as_the_confidence_says() -> None:
    assert Design(corpora=2, seeds=3).power(0.0) == pytest.approx(0.05, abs=0.003)
    assert Design(corpora=2, seeds=1).power(100.0) == 0.0
    assert Design(corpora=2, seeds=1).detectable() == math.inf


@pytest.mark.parametrize(
    ("corpora", "seeds", "difference"), [(2, 3, 3.0), (4, 3, 3.5), (3, 5, 1.5)]
)
def test_the_power_is_that_of_the_rankings_own_verdicts(corpora, seeds, difference) -> None:
    draw = np.random.default_rng(7)
    names = [f"c{n}" for n in range(corpora) for _ in range(seeds)]
    found, tries = 0, 300
    for _ in range(tries):
        values = draw.normal(0, 1, len(names)) + difference * np.array([n == "c0" for n in names])
        stratum = Stratum(key="", numerators=np.tile(values, (2, 1)), denominators=np.ones(2))
        metric = Metric(name="m", strata=(stratum,))
        verdicts = compare(metric, names, draws=10).verdicts
        (pair,) = (one for one in verdicts if {one.first, one.second} == {"c0", "c1"})
        found += "better" in pair.verdict
    expected = Design(corpora=corpora, seeds=seeds).power(difference)
    assert found / tries == pytest.approx(expected, abs=0.08)


def test_seeds_that_are_needed_are_the_fewest_that_are_enough() -> None:
    needed = seeds_needed(5, 1.5)
    assert needed is not None
    assert Design(corpora=5, seeds=needed).power(1.5) >= POWER
    assert Design(corpora=5, seeds=needed - 1).power(1.5) < POWER
    assert seeds_needed(5, 50.0) == 2
    assert seeds_needed(5, 0.01) is None


def test_the_detectable_difference_is_found_with_the_stated_power() -> None:
    design = Design(corpora=5, seeds=3)
    assert design.power(design.detectable()) == pytest.approx(POWER, abs=0.01)
    # The more seeds, the smaller.
    assert Design(corpora=5, seeds=6).detectable() < design.detectable()
