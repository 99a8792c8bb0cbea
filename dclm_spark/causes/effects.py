"""How much of one corpus's lead over another each group of documents carries, by ablations."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dclm_spark.evaluate.uncertainty import Metric
from dclm_spark.ranking.bootstrap import (
    CONFIDENCE,
    NOT_DISTINGUISHABLE,
    ONE_SEED,
)
from dclm_spark.ranking.reliability.training_noise import Floats, recipe_noise

FIRST, SECOND = "A", "B"
CAUSE, AGAINST = "a cause", "works against the lead"


def first_with(number: int) -> str:
    """Return the name of the first corpus with group `number` as the second has it."""
    return f"{FIRST} with {number} as in {SECOND}"


def second_with(number: int) -> str:
    """Return the name of the second corpus with group `number` as the first has it."""
    return f"{SECOND} with {number} as in {FIRST}"


@dataclass(frozen=True, kw_only=True)
class Part:
    """What a group does to the lead of the first corpus; positive is in its favour.

    `in_first` is what the first loses that has the group as the second has it, `in_second` what
    the second gains that has it as the first; `effect` their mean, `share` that of the lead, None
    where the lead is not distinguishable. The interval holds for all groups at once.
    """

    group: str
    effect: float
    low: float
    high: float
    in_first: float
    in_second: float
    share: float | None
    verdict: str


@dataclass(frozen=True, kw_only=True)
class Effects:
    """The lead of the first corpus on one metric, and its parts; larger parts first.

    `first` and `second` are means of the metric as it is, `lead` is positive where the first is
    better, with an interval of its own.
    """

    cell: str
    metric: str
    higher_is_better: bool
    first: float
    second: float
    lead: float
    low: float
    high: float
    parts: tuple[Part, ...]

    @property
    def causes(self) -> tuple[str, ...]:
        """Return the groups that carry the lead."""
        return tuple(part.group for part in self.parts if part.verdict == CAUSE)


def effects(
    metric: Metric,
    recipes: Sequence[str],
    run_seeds: Sequence[int],
    groups: Sequence[str],
    cell: str,
) -> Effects:
    """Return what each of `groups` (number 1 and on) does to the lead of FIRST over SECOND.

    `recipes` names the corpus of each run of the metric: FIRST, SECOND, and for each group
    `first_with` and `second_with` its number; `run_seeds` has the run's seed.
    """
    names = list(dict.fromkeys(recipes))
    confidence = 1 - (1 - CONFIDENCE) / max(1, len(groups))
    means, noise, deviation = recipe_noise(metric, recipes, confidence, run_seeds=run_seeds)
    sign = 1.0 if metric.higher_is_better else -1.0
    first, second = (_unit(names, name) for name in (FIRST, SECOND))
    lead = float(sign * means @ (first - second))
    low, high = _interval(sign * noise @ (first - second), CONFIDENCE, lead)
    parts = []
    for number, group in enumerate(groups, 1):
        sides = (
            sign * (first - _unit(names, first_with(number))),
            sign * (_unit(names, second_with(number)) - second),
        )
        drawn = noise @ (sides[0] + sides[1]) / 2
        part = _part(group, (float(means @ sides[0]), float(means @ sides[1])), lead)
        ends = _interval(drawn, confidence, part.effect)
        verdict = _verdict(ends, lead) if deviation is not None else ONE_SEED
        is_clear = deviation is not None and (low > 0 or high < 0)
        share = part.share if is_clear else None
        parts.append(replace(part, low=ends[0], high=ends[1], verdict=verdict, share=share))
    return Effects(
        cell=cell,
        metric=metric.name,
        higher_is_better=metric.higher_is_better,
        first=float(means @ first),
        second=float(means @ second),
        lead=lead,
        low=low,
        high=high,
        parts=tuple(sorted(parts, key=lambda part: -part.effect * np.sign(lead))),
    )


def _part(group: str, sides: tuple[float, float], lead: float) -> Part:
    """Return the part of a group by what its exchange does to both corpora, without its noise."""
    effect = (sides[0] + sides[1]) / 2
    return Part(
        group=group,
        effect=effect,
        low=effect,
        high=effect,
        in_first=sides[0],
        in_second=sides[1],
        share=effect / lead if lead else None,
        verdict="",
    )


def _unit(names: Sequence[str], name: str) -> Floats:
    """Return a vector that takes one recipe's mean."""
    vector = np.zeros(len(names))
    vector[names.index(name)] = 1.0
    return vector


def _interval(noise: Floats, confidence: float, value: float) -> tuple[float, float]:
    tail = (1 - confidence) / 2
    low, high = np.quantile(noise, [tail, 1 - tail]) + value
    return float(low), float(high)


def _verdict(ends: tuple[float, float], lead: float) -> str:
    if ends[0] <= 0 <= ends[1]:
        return NOT_DISTINGUISHABLE
    return CAUSE if (ends[0] > 0) == (lead > 0) else AGAINST
