"""How many seeds a ranking needs to find a difference, known before any model is trained.

With n seeds of each of k corpora, runs within a corpus deviate by s, and intervals hold for all
pairs at once: a true difference of two corpora of d is found with the probability that a noncentral
t variable of k (n - 1) degrees of freedom and of noncentrality d / (s sqrt(2 / n)) is beyond the
limits of the interval. Noise of the choice of texts is left out: it is the same for all corpora,
and cancels.
"""

import math
from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dclm_spark.ranking.bootstrap import CONFIDENCE, POWER

MOST_SEEDS = 64
# Of the normal and the chi-square variable; the powers are right to 0.003.
_DRAWS = 200_000


@lru_cache(8)
def _draws(freedom: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return standard normal draws, and those of a run's deviation by its estimate."""
    generator = np.random.default_rng((freedom, 0))
    normal = generator.standard_normal(_DRAWS)
    return normal, np.sqrt(generator.chisquare(freedom, _DRAWS) / freedom)


@lru_cache(256)
def _limit(freedom: int, pairs: int) -> float:
    """Return how many standard errors a difference must have, for so many pairs at once."""
    normal, spread = _draws(freedom)
    return float(np.quantile(np.abs(normal / spread), 1 - (1 - CONFIDENCE) / pairs))


@dataclass(frozen=True, kw_only=True)
class Design:
    """A ranking of `corpora` with `seeds` models each."""

    corpora: int
    seeds: int

    @property
    def freedom(self) -> int:
        """Return the degrees of freedom of the noise between seeds."""
        return self.corpora * (self.seeds - 1)

    @property
    def limit(self) -> float:
        """Return how many standard errors a difference must have, for all pairs at once."""
        pairs = max(1, self.corpora * (self.corpora - 1) // 2)
        return _limit(self.freedom, pairs)

    def power(self, difference: float) -> float:
        """Return how likely a true difference, in deviations of a run, is found; 0 with one seed.

        >>> Design(corpora=2, seeds=3).power(0.0) < 0.06, Design(corpora=2, seeds=3).power(9) > 0.99
        (True, True)
        """
        if self.seeds < 2:
            return 0.0
        normal, spread = _draws(self.freedom)
        shift = abs(difference) * math.sqrt(self.seeds / 2)
        return float(np.mean(np.abs(normal + shift) > self.limit * spread))

    def detectable(self) -> float:
        """Return the difference, in deviations of a run, that is found with POWER; inf: none."""
        if self.seeds < 2:
            return math.inf
        low, high = 0.0, 1.0
        while self.power(high) < POWER:
            high *= 2
        for _ in range(20):
            middle = (low + high) / 2
            low, high = (middle, high) if self.power(middle) < POWER else (low, middle)
        return high


def seeds_needed(corpora: int, difference: float) -> int | None:
    """Return the fewest seeds that find a difference, in deviations of a run, with POWER.

    None where MOST_SEEDS are not enough.
    """

    def power(seeds: int) -> float:
        return Design(corpora=corpora, seeds=seeds).power(difference)

    numbers = range(2, MOST_SEEDS + 1)
    at = bisect_left(numbers, POWER, key=power)
    return numbers[at] if at < len(numbers) else None
