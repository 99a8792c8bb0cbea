"""Gold answers weighted by signal to noise: tasks that tell corpora apart count, others not."""

import math

import numpy as np
import pytest

from dclm_spark.ranking.reliability.weighted_answers import (
    signal_to_noise,
    signal_weights,
    weighted_answers,
    weights_told,
)

RECIPES = ["a", "a", "a", "b", "b", "b"]


def run(losses: dict[str, float]) -> dict[str, list[dict]]:
    """Return records of 20 items of one byte whose gold answers cost these bits."""
    return {
        label: [
            {
                "row": row, "category": None, "gold": 0, "tokens": [1, 1], "bytes": [1, 1],
                "mean_nats": [bits * math.log(2), 1.0], "ok": 1,
            }
            for row in range(20)
        ]
        for label, bits in losses.items()
    }  # fmt: skip


RUNS = [
    run({"copa": copa, "piqa": piqa, "arc_easy": arc})
    for copa, piqa, arc in (
        (2.0, 3.0, 1.0), (2.1, 3.9, 1.1), (1.9, 3.3, 0.9),
        (3.0, 3.1, 1.4), (3.1, 3.8, 1.5), (2.9, 3.2, 1.3),
    )
]  # fmt: skip


def test_signal_is_the_spread_of_means_without_what_noise_makes_of_it() -> None:
    values = np.array([2.0, 2.1, 1.9, 3.0, 3.1, 2.9])
    # Variance within: 0.01; of the means 2 and 3: 0.5, of which 0.01 / 3 is noise.
    assert signal_to_noise(values, RECIPES) == pytest.approx(math.sqrt((0.5 - 0.01 / 3) / 0.01))
    assert signal_to_noise(np.array([3.0, 3.9, 3.3, 3.1, 3.8, 3.2]), RECIPES) == 0
    assert signal_to_noise(np.array([1.0, 2.0]), ["a", "b"]) == 0


def test_tasks_count_by_their_signal_and_those_without_do_not() -> None:
    weights = signal_weights(RUNS, RECIPES)
    assert set(weights) == {"copa", "arc_easy"}
    assert sum(weights.values()) == pytest.approx(1)
    assert weights["copa"] / weights["arc_easy"] == pytest.approx(2.5, abs=0.1)
    metric = weighted_answers(RUNS, RECIPES)
    assert metric is not None
    expected = weights["copa"] * 2.1 + weights["arc_easy"] * 1.1
    assert metric.values()[1] == pytest.approx(expected)
    assert not metric.higher_is_better


def test_the_weights_are_told() -> None:
    (line,) = weights_told("tiny", {"copa": 0.75, "piqa": 0.25})
    assert line.endswith("never the metric that decides): copa 75%, piqa 25%.")
    assert weights_told("tiny", {}) == []


def test_where_no_task_has_signal_there_is_no_metric() -> None:
    assert weighted_answers([RUNS[0], RUNS[0]], ["a", "b"]) is None
    assert weighted_answers([{}, {}, {}, {}], ["a", "a", "b", "b"]) is None
