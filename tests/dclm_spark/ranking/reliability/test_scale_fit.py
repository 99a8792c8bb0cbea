"""Lines over scales: what they predict, and how often their interval holds it."""

import numpy as np
import pytest

from dclm_spark.ranking.reliability.scale_fit import Point, predict


def points(differences: list[float], error: float) -> list[Point]:
    return [
        Point(flops=10.0 ** (15 + place), difference=value, standard_error=error)
        for place, value in enumerate(differences)
    ]


def test_a_straight_line_is_continued() -> None:
    found = predict(points([0.3, 0.2, 0.1], 0.01), 1e19)
    assert found.difference == pytest.approx(-0.1)
    assert found.crossing_flops == pytest.approx(1e18)
    # At x = 4 of x = 0, 1, 2: s^2 (1/3 + (4 - 1)^2 / 2).
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * 0.01 * (1 / 3 + 4.5) ** 0.5, 1e-3)
    assert found.probability > 0.99


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    draw = np.random.default_rng(2)
    held = 0
    for _ in range(400):
        noisy = [0.2 - 0.05 * place + draw.normal(0, 0.02) for place in range(3)]
        found = predict(points(noisy, 0.02), 1e18)
        held += found.low <= 0.05 <= found.high
    assert 0.92 <= held / 400 <= 0.99


def test_a_line_needs_two_scales() -> None:
    with pytest.raises(ValueError, match="two scales"):
        predict(points([0.1], 0.01), 1e18)
