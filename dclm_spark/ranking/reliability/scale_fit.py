"""The difference of two corpora as a line over the logarithm of compute, with its uncertainty."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

# Of all lines that a difference may follow; the interval of what is predicted holds 95 % of them.
CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Point:
    """A measured difference and its standard error at so many training FLOPs."""

    flops: float
    difference: float
    standard_error: float


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The difference at the target: the line's value and the interval that its errors allow.

    `probability` is that the difference there has the sign of `difference`; `crossing_flops` is
    where the line changes sign, None where it does not beyond the largest scale.
    """

    flops: float
    difference: float
    low: float
    high: float
    probability: float
    crossing_flops: float | None


def predict(points: Sequence[Point], flops: float) -> Prediction:
    """Extrapolate a difference to `flops` by a straight line in log(FLOPs).

    Two points give the line and their errors its uncertainty; of more, what they scatter beyond
    their errors widens it. That the line is straight is an assumption that nothing here tests.
    Raises ValueError for points at fewer than two scales.
    """
    place = np.log10([point.flops for point in points])
    if len(np.unique(place)) < 2:
        raise ValueError("points: a line needs two scales or more")
    value = np.array([point.difference for point in points])
    error = np.array([max(point.standard_error, 1e-12) for point in points])
    columns = np.column_stack((np.ones(len(place)), place)) / error[:, None]
    covariance = np.linalg.inv(columns.T @ columns)
    line = covariance @ columns.T @ (value / error)
    freedom = len(points) - 2
    if freedom:
        scatter = float((((value - line[0] - line[1] * place) / error) ** 2).sum()) / freedom
        covariance *= max(1.0, scatter)
    target = np.array([1.0, math.log10(flops)])
    mean, deviation = float(target @ line), float(math.sqrt(target @ covariance @ target))
    half = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * deviation
    return Prediction(
        flops=flops,
        difference=mean,
        low=mean - half,
        high=mean + half,
        probability=NormalDist().cdf(abs(mean) / deviation),
        crossing_flops=_crossing(line, float(place.max())),
    )


def _crossing(line: np.ndarray[tuple[int], np.dtype[np.float64]], last: float) -> float | None:
    """Return the FLOPs beyond the largest scale at which the line is 0."""
    if line[1] == 0:
        return None
    place = -line[0] / line[1]
    return float(10**place) if last < place < 40 else None
