"""How often the order of two data sets at one scale was that at a larger one, in published models.

The table beside this file holds constants fitted to the models that DCLM published (its database
of 416 models, github.com/mlfoundations/dclm, `assets/DCLM_model_database.csv`, MIT). It is made by

    python -m dclm_spark.ranking.reliability.published DCLM_model_database.csv

`in_deviations` is for metrics that the database lacks, such as bits per byte: all tasks together,
with distances in standard deviations of a run.

For each metric: P(order holds) = 1 / (1 + exp(-(intercept + slope * distance / unit))), where the
distance is that of two data sets' scores at the smaller scale. Pairs are those of all data sets
with models at both of two scales: 400M-1x and 1B-1x, 400M-1x and 7B-1x, 1B-1x and 7B-1x.
"""

import csv
import json
import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib import resources
from itertools import combinations
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from dclm_spark.errors import InputError
from dclm_spark.evaluate.tasks import CORE
from udfs import storage

TABLE = "published_orders.json"
IN_DEVIATIONS = "in_deviations"
SOURCE = "github.com/mlfoundations/dclm, assets/DCLM_model_database.csv"
LICENCE = "MIT"
# Parameters and tokens of the competition scales.
_SCALES = {
    ("411616256", "8232325120"): "400m-1x",
    ("1439795200", "28795904000"): "1b-1x",
    ("6889410560", "137788211200"): "7b-1x",
}
_STEPS = (("400m-1x", "1b-1x"), ("400m-1x", "7b-1x"), ("1b-1x", "7b-1x"))
# The pull of both constants towards 0: with a handful of data sets, they would else run away.
_RIDGE = 1.0
_BINS = 10
LARGEST_CALIBRATION_ERROR = 0.08
# Our name of a metric -> DCLM's column.
_COLUMNS = {"core_v2": "low_variance_datasets", "core_v1": "Core", "extended_v1": "Extended"} | {
    f"accuracy/{label}": label for label in CORE
}
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Pairs of data sets at two scales: how far apart they were, and whether the order held."""

    names: tuple[tuple[str, str], ...]
    distances: Floats
    held: Floats


@dataclass(frozen=True, kw_only=True)
class OrderModel:
    """P(order holds) by distance for one metric, and how good it is on data sets left out.

    `share` is how often the order held; the Brier scores are of the model and of that share alone.
    `deviation` is that of two runs on one data set, None where too few were repeated.
    """

    intercept: float
    slope: float
    unit: float
    # Nineteen of twenty pairs are no further apart; beyond it nothing was seen.
    reach: float
    num_pairs: int
    share: float
    calibration_error: float
    brier: float
    brier_of_share: float
    deviation: float | None

    @property
    def is_calibrated(self) -> bool:
        """Say whether the distance tells more than the share, on data sets that were left out."""
        return (
            self.calibration_error <= LARGEST_CALIBRATION_ERROR and self.brier < self.brier_of_share
        )

    def probability(self, distance: float) -> float:
        """Return P(order holds) for two corpora so far apart; the share if it is not calibrated."""
        if not self.is_calibrated:
            return self.share
        within = min(abs(distance), self.reach)
        return 1 / (1 + math.exp(-(self.intercept + self.slope * within / self.unit)))


@lru_cache(1)
def order_models() -> dict[str, OrderModel]:
    """Return the fitted constants by metric."""
    text = resources.files(__package__).joinpath(TABLE).read_text("utf-8")
    return {name: OrderModel(**facts) for name, facts in json.loads(text)["metrics"].items()}


def read_pairs(rows: Sequence[Mapping[str, str]], column: str) -> Pairs:
    """Return the pairs of data sets that have a score in `column` at two scales.

    A data set's score is the median of its models': names may hide other hyperparameters. Ties say
    nothing and are left out.
    """
    scores: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        scale = _SCALES.get((row["params"], row["tokens"]))
        if scale and row[column]:
            scores[scale][row["Dataset"]].append(float(row[column]))
    found = [pair for step in _STEPS for pair in _pairs_of(scores, *step)]
    return Pairs(
        names=tuple(names for names, _, _ in found),
        distances=np.array([distance for _, distance, _ in found]),
        held=np.array([float(held) for _, _, held in found]),
    )


def _pairs_of(
    scores: Mapping[str, Mapping[str, list[float]]], small: str, large: str
) -> Iterator[tuple[tuple[str, str], float, bool]]:
    common = sorted(set(scores[small]) & set(scores[large]))
    for names in combinations(common, 2):
        gaps = [
            median(scores[scale][names[0]]) - median(scores[scale][names[1]])
            for scale in (small, large)
        ]
        if gaps[0] and gaps[1]:
            yield names, abs(gaps[0]), (gaps[0] > 0) == (gaps[1] > 0)


def fit(distances: Floats, held: Floats) -> tuple[float, float]:
    """Return intercept and slope of a logistic regression; the slope is never negative."""
    columns = np.column_stack((np.ones(len(distances)), distances))
    constants = np.zeros(2)
    for _ in range(100):
        chance = 1 / (1 + np.exp(-columns @ constants))
        curvature = columns.T @ (columns * (chance * (1 - chance))[:, None]) + _RIDGE * np.eye(2)
        step = np.linalg.solve(curvature, columns.T @ (held - chance) - _RIDGE * constants)
        constants = constants + step
        if np.abs(step).max() < 1e-10:
            break
    if constants[1] < 0:
        share = float(held.mean())
        return math.log(share / (1 - share)), 0.0
    return float(constants[0]), float(constants[1])


def order_model(pairs: Pairs, deviation: float | None) -> OrderModel:
    """Fit the pairs and judge the fit on the pairs of each data set in turn, fitted without it."""
    unit = float(np.median(pairs.distances))
    distances = pairs.distances / unit
    predicted, seen, shares = [], [], []
    for name in sorted({name for names in pairs.names for name in names}):
        own = np.array([name in names for names in pairs.names])
        intercept, slope = fit(distances[~own], pairs.held[~own])
        predicted.append(1 / (1 + np.exp(-(intercept + slope * distances[own]))))
        seen.append(pairs.held[own])
        shares.append(np.full(own.sum(), pairs.held[~own].mean()))
    chance, held, share = map(np.concatenate, (predicted, seen, shares))
    intercept, slope = fit(distances, pairs.held)
    return OrderModel(
        intercept=round(intercept, 4),
        slope=round(slope, 4),
        unit=round(unit, 6),
        reach=round(float(np.quantile(pairs.distances, 0.95)), 6),
        num_pairs=len(pairs.held),
        share=round(float(pairs.held.mean()), 4),
        calibration_error=round(calibration_error(chance, held), 4),
        brier=round(float(((chance - held) ** 2).mean()), 4),
        brier_of_share=round(float(((share - held) ** 2).mean()), 4),
        deviation=None if deviation is None else round(deviation, 6),
    )


def calibration_error(predicted: Floats, held: Floats) -> float:
    """Return the mean distance of prediction and share that held, over ten bins of prediction."""
    bins = np.minimum((predicted * _BINS).astype(int), _BINS - 1)
    return float(
        sum(
            abs(predicted[bins == place].mean() - held[bins == place].mean())
            * (bins == place).mean()
            for place in np.unique(bins)
        )
    )


def run_deviation(rows: Sequence[Mapping[str, str]], column: str) -> float | None:
    """Return the standard deviation of runs on one data set at 1B-1x, robust against other recipes.

    From the median absolute distance to the data set's median, corrected for few runs.
    """
    runs: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if _SCALES.get((row["params"], row["tokens"])) == "1b-1x" and row[column]:
            runs[row["Dataset"]].append(float(row[column]))
    repeated = [values for values in runs.values() if len(values) > 1]
    distances = [
        abs(value - median(values)) * math.sqrt(len(values) / (len(values) - 1))
        for values in repeated
        for value in values
    ]
    return 1.4826 * median(distances) if len(distances) >= _BINS else None


def _in_deviations(pairs: Mapping[str, Pairs], deviations: Mapping[str, float | None]) -> Pairs:
    """Return the pairs of all tasks with their distances in standard deviations of a run."""
    parts = [
        (pairs[name], deviation)
        for name, deviation in deviations.items()
        if name.startswith("accuracy/") and deviation
    ]
    return Pairs(
        names=tuple(names for part, _ in parts for names in part.names),
        distances=np.concatenate([part.distances / deviation for part, deviation in parts]),
        held=np.concatenate([part.held for part, _ in parts]),
    )


def write_table(source: str, target: Path) -> None:
    """Fit all metrics to DCLM's database at `source` and write the table.

    Raises InputError for a file that is not that database.
    """
    rows = list(csv.DictReader(storage.read_bytes(source).decode().splitlines()))
    missing = {"Dataset", "params", "tokens", *_COLUMNS.values()} - set(rows[0] if rows else ())
    if missing:
        raise InputError(f"{source}: not DCLM's model database, it lacks {sorted(missing)}")
    pairs = {name: read_pairs(rows, column) for name, column in _COLUMNS.items()}
    deviations = {name: run_deviation(rows, column) for name, column in _COLUMNS.items()}
    metrics = {name: asdict(order_model(pairs[name], deviations[name])) for name in _COLUMNS}
    metrics[IN_DEVIATIONS] = asdict(order_model(_in_deviations(pairs, deviations), None))
    facts = {
        "source": SOURCE,
        "licence": LICENCE,
        "num_models": len(rows),
        "scales": [" to ".join(step) for step in _STEPS],
        "metrics": metrics,
    }
    storage.write_bytes(str(target), f"{json.dumps(facts, indent=1)}\n".encode())


if __name__ == "__main__":
    write_table(sys.argv[1], Path(__file__).with_name(TABLE))
