import numpy as np
import pytest

from dclm_spark.evaluate.uncertainty import Metric, Stratum


def right_or_wrong(key: str, share: float, n: int, weight: float = 1.0) -> Stratum:
    outcomes = (np.arange(n) < share * n).astype(float)[:, None]
    return Stratum(key=key, numerators=outcomes, denominators=np.ones(n), weight=weight)


def test_the_standard_error_of_a_share_is_the_binomial_one() -> None:
    estimate = Metric(name="m", strata=(right_or_wrong("a", 0.3, 400),)).estimate(draws=20000)
    assert estimate.value == 0.3
    assert estimate.standard_error == pytest.approx((0.3 * 0.7 / 400) ** 0.5, rel=0.03)
    assert estimate.low < 0.3 < estimate.high


def test_a_weighted_mean_of_tasks_adds_its_variances() -> None:
    strata = (right_or_wrong("a", 0.5, 100, 0.5), right_or_wrong("b", 0.2, 50, 0.5))
    metric = Metric(name="m", strata=strata, constant=-0.1)
    assert metric.values()[0] == pytest.approx(0.25)
    expected = (0.25 * 0.25 / 100 + 0.25 * 0.16 / 50) ** 0.5
    assert metric.estimate(draws=20000).standard_error == pytest.approx(expected, rel=0.03)


def test_strata_over_the_same_items_are_drawn_together() -> None:
    same = (right_or_wrong("a", 0.5, 100, 1.0), right_or_wrong("a", 0.5, 100, -1.0))
    assert np.abs(Metric(name="m", strata=same).resampled(100)).max() < 1e-12
    other = (right_or_wrong("a", 0.5, 100, 1.0), right_or_wrong("b", 0.5, 100, -1.0))
    assert Metric(name="m", strata=other).resampled(100).std() > 0.03


def test_a_ratio_resamples_numerator_and_denominator_of_an_item_together() -> None:
    sizes = np.random.default_rng(0).uniform(1, 9, 300)
    stratum = Stratum(key="t", numerators=2 * sizes[:, None], denominators=sizes)
    assert Metric(name="bits", strata=(stratum,)).resampled(50) == pytest.approx(2.0)


@pytest.mark.parametrize("num_items", [60, 300, 20_000])
def test_outcomes_of_any_number_have_the_error_of_a_ratio_of_means(num_items: int) -> None:
    generator = np.random.default_rng(1)
    sizes = generator.uniform(1, 9, num_items)
    bits = sizes * generator.gamma(2.0, 0.5, num_items)
    stratum = Stratum(key="t", numerators=bits[:, None], denominators=sizes)
    estimate = Metric(name="bits", strata=(stratum,)).estimate(draws=8000)
    residuals = bits - estimate.value * sizes
    expected = residuals.std() / sizes.mean() / num_items**0.5
    assert estimate.standard_error == pytest.approx(expected, rel=0.05)
    assert estimate.low == pytest.approx(estimate.value - 1.96 * expected, abs=0.25 * expected)
    assert estimate.high == pytest.approx(estimate.value + 1.96 * expected, abs=0.25 * expected)
