"""The constants of published orders: what they were made of, and how good they are."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from dclm_spark.errors import InputError
from dclm_spark.ranking.reliability import published
from dclm_spark.ranking.reliability.published import (
    IN_DEVIATIONS,
    OrderModel,
    calibration_error,
    fit,
    order_model,
    order_models,
    read_pairs,
    write_table,
)
from tests.shared_data import SHARED, needs_shared

DATABASE = SHARED / "dclm_results" / "DCLM_model_database.csv"


@needs_shared
def test_the_table_is_what_the_script_makes_of_the_database(tmp_path: Path) -> None:
    write_table(str(DATABASE), tmp_path / "table.json")
    kept = Path(published.__file__).with_name(published.TABLE).read_text()
    made = json.loads((tmp_path / "table.json").read_text())
    assert made["num_models"] == 416
    assert made == json.loads(kept)


@needs_shared
def test_orders_held_as_often_as_a_plain_count_says() -> None:
    rows = list(csv.DictReader(DATABASE.read_text().splitlines()))
    pairs = read_pairs(rows, "Core")
    # 11 data sets at 400M-1x and at both larger scales, 17 at 1B-1x and 7B-1x.
    assert len(pairs.held) == 55 + 55 + 136
    assert pairs.held[:55].mean() == pytest.approx(0.709, abs=5e-4)
    assert pairs.held[55:110].mean() == pytest.approx(0.836, abs=5e-4)
    assert pairs.held[110:].mean() == pytest.approx(0.794, abs=5e-4)


@pytest.mark.parametrize("metric", ["core_v1", "core_v2", "extended_v1", IN_DEVIATIONS])
def test_left_out_data_sets_are_predicted_with_a_small_error_and_better_than_by_the_share(
    metric: str,
) -> None:
    model = order_models()[metric]
    assert model.calibration_error <= 0.08
    assert model.brier < model.brier_of_share
    assert model.is_calibrated


def test_a_metric_whose_distance_tells_nothing_gives_its_share() -> None:
    model = order_models()["accuracy/boolq"]
    assert not model.is_calibrated
    assert model.probability(0.0) == model.probability(1.0) == model.share


def test_a_larger_distance_holds_more_often_up_to_what_was_seen() -> None:
    model = order_models()["core_v2"]
    chances = [model.probability(distance) for distance in (0.0, 0.01, 0.03, model.reach)]
    assert chances == sorted(chances)
    assert model.probability(100.0) == model.probability(model.reach) < 1.0


def test_the_regression_finds_the_constants_that_made_the_pairs() -> None:
    draw = np.random.default_rng(1)
    distances = draw.exponential(1.0, 20_000)
    held = (draw.random(20_000) < 1 / (1 + np.exp(-(0.2 + 1.3 * distances)))).astype(float)
    intercept, slope = fit(distances, held)
    assert intercept == pytest.approx(0.2, abs=0.06)
    assert slope == pytest.approx(1.3, abs=0.08)


def test_a_distance_that_speaks_against_the_order_counts_as_nothing() -> None:
    held = np.array([1.0, 1.0, 1.0, 0.0])
    intercept, slope = fit(np.array([0.0, 0.1, 0.2, 5.0]), held)
    assert slope == 0.0
    assert 1 / (1 + np.exp(-intercept)) == pytest.approx(0.75)


def test_the_calibration_error_is_the_distance_from_what_was_predicted() -> None:
    predicted = np.array([0.95] * 10 + [0.15] * 10)
    held = np.array([1.0] * 9 + [0.0] + [0.0] * 10)
    assert calibration_error(predicted, held) == pytest.approx(0.5 * 0.05 + 0.5 * 0.15)


def test_pairs_without_order_are_not_predicted_better_than_by_the_share() -> None:
    draw = np.random.default_rng(5)
    names = tuple((f"d{a}", f"d{b}") for a in range(12) for b in range(a))
    pairs = published.Pairs(
        names=names, distances=draw.random(len(names)),
        held=(draw.random(len(names)) < 0.5).astype(float),
    )  # fmt: skip
    assert isinstance(order_model(pairs, None), OrderModel)
    assert not order_model(pairs, None).is_calibrated


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="not DCLM's model database, it lacks"):
        write_table(str(path), tmp_path / "table.json")
