"""Weighted means of per-item outcomes and their bootstrap, for one model or many at once."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DRAWS = 2000
CONFIDENCE = 0.95
# Numbers that are drawn at a time.
_CELLS = 4_000_000
# Up to so many distinct outcomes their counts are drawn; from so many items on sums are drawn as
# normal numbers, whose quantiles differ from those of drawn items by half the skewness of an
# outcome over the root of their number: 2 % of a standard error at a skewness of 3.
_FEW_OUTCOMES, _MANY_ITEMS = 64, 5_000


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with what is known of its error.

    `n` counts items; `standard_error` and the interval come from resampling items and say
    nothing about another training run. The interval holds `CONFIDENCE` of the draws.
    """

    value: float
    n: int
    standard_error: float
    low: float
    high: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields for JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Stratum:
    """Items resampled together: ratio = sum of numerators / sum of denominators, per model.

    `numerators` is [items, models], `denominators` [items]. Strata with the same `key` hold the
    same items in the same order and get the same resample. `weight` multiplies the ratio.
    """

    key: str
    numerators: Floats
    denominators: Floats
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A weighted sum of strata plus a constant."""

    name: str
    strata: tuple[Stratum, ...]
    constant: float = 0.0
    higher_is_better: bool = True

    @property
    def num_items(self) -> int:
        """Return the number of items that enter, each counted once per stratum."""
        return sum(len(stratum.denominators) for stratum in self.strata)

    def values(self) -> Floats:
        """Return the metric of every model."""
        total = sum(
            stratum.weight * stratum.numerators.sum(axis=0) / stratum.denominators.sum()
            for stratum in self.strata
        )
        return np.asarray(total + self.constant, dtype=np.float64)

    def resampled(self, draws: int = DRAWS, seed: int = 0) -> Floats:
        """Return [draws, models] values with the items of every stratum drawn with replacement."""
        generator = np.random.default_rng(seed)
        by_key: dict[str, list[Stratum]] = {}
        for stratum in self.strata:
            by_key.setdefault(stratum.key, []).append(stratum)
        total = np.full((draws, self.strata[0].numerators.shape[1]), self.constant)
        for strata in by_key.values():
            total += _resampled_together(strata, draws, generator)
        return total

    def estimate(self, model: int = 0, draws: int = DRAWS, seed: int = 0) -> Estimate:
        """Return the value of one model with its standard error and percentile interval."""
        sampled = self.resampled(draws, seed)[:, model]
        low, high = np.quantile(sampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        return Estimate(
            value=float(self.values()[model]),
            n=self.num_items,
            standard_error=float(sampled.std(ddof=1)),
            low=float(low),
            high=float(high),
        )


def _resampled_together(
    strata: Sequence[Stratum], draws: int, generator: np.random.Generator
) -> Floats:
    """Return [draws, models]: the weighted ratios of strata that have the same items."""
    columns = np.concatenate(
        [np.column_stack((part.numerators, part.denominators)) for part in strata], axis=1
    )
    sums = _drawn_sums(columns, draws, generator).reshape(draws, len(strata), -1)
    ratios = sums[:, :, :-1] / sums[:, :, -1:]
    weights = np.array([part.weight for part in strata])
    return np.asarray(np.einsum("dsm,s->dm", ratios, weights), dtype=np.float64)


def _drawn_sums(columns: Floats, draws: int, generator: np.random.Generator) -> Floats:
    """Return [draws, columns]: sums over as many items as there are, drawn with replacement."""
    distinct, counts = np.unique(columns, axis=0, return_counts=True)
    if len(distinct) <= _FEW_OUTCOMES:
        # Right or wrong: how often each outcome is drawn says all.
        drawn = generator.multinomial(counts.sum(), counts / counts.sum(), size=draws)
        return np.asarray(drawn @ distinct, dtype=np.float64)
    if len(columns) > _MANY_ITEMS:
        spread = np.cov(columns, rowvar=False) * len(columns)
        return generator.multivariate_normal(columns.sum(axis=0), spread, draws, method="eigh")
    step = max(1, _CELLS // columns.size)
    sizes = [min(step, draws - first) for first in range(0, draws, step)]
    places = (generator.integers(len(columns), size=(size, len(columns))) for size in sizes)
    chunks = [[column[some].sum(axis=1) for column in columns.T.copy()] for some in places]
    return np.concatenate(chunks, axis=1).T
