"""Bits per byte of gold answers, each task weighted by the signal that it has over the noise.

Signal is the spread of the corpora's means beyond what noise alone would give, noise the deviation
of a run from the mean of its corpus, both from the runs at hand. So the weights are known only when
all is measured: the metric is reported, and a ranking is never decided by it.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dclm_spark.evaluate.suite import Run, gold_bits_stratum
from dclm_spark.evaluate.tasks import EXTENDED, GENERATION, TASK_BY_LABEL
from dclm_spark.evaluate.uncertainty import Metric

NAME = "signal_weighted_gold_bits_per_byte"
Floats = NDArray[np.float64]


def signal_weights(runs: Sequence[Run], recipes: Sequence[str]) -> dict[str, float]:
    """Return the weights of the tasks that have signal, of those that all runs have; they sum to 1.

    `recipes` names the corpus of each run. Without two runs of one corpus, or where no task has
    signal, there are none.
    """
    labels = [
        label
        for label in EXTENDED
        if TASK_BY_LABEL[label].kind != GENERATION and all(run.get(label) for run in runs)
    ]
    ratios = {label: signal_to_noise(_values(label, runs), recipes) for label in labels}
    total = math.fsum(ratios.values())
    return {label: ratio / total for label, ratio in ratios.items() if ratio > 0}


def _values(label: str, runs: Sequence[Run]) -> Floats:
    stratum = gold_bits_stratum(label, runs)
    return np.asarray(stratum.numerators.sum(axis=0) / stratum.denominators.sum())


def signal_to_noise(values: Floats, recipes: Sequence[str]) -> float:
    """Return the true spread of the recipes' means in deviations of a run; 0 where none is seen.

    The means' variance is lessened by what the noise of their runs makes of it.
    """
    groups = [values[[one == name for one in recipes]] for name in dict.fromkeys(recipes)]
    freedom = len(values) - len(groups)
    if len(groups) < 2 or freedom < 1:
        return 0.0
    noise = sum(float(((own - own.mean()) ** 2).sum()) for own in groups) / freedom
    share = float(np.mean([1 / len(own) for own in groups]))
    signal = float(np.var([own.mean() for own in groups], ddof=1)) - noise * share
    return math.sqrt(signal / noise) if signal > 0 and noise > 0 else 0.0


def weighted_answers(runs: Sequence[Run], recipes: Sequence[str]) -> Metric | None:
    """Return the metric over the columns `runs`; None where no task has signal."""
    weights = signal_weights(runs, recipes)
    if not weights:
        return None
    strata = tuple(gold_bits_stratum(label, runs, weight) for label, weight in weights.items())
    return Metric(name=NAME, strata=strata, higher_is_better=False)


def weights_told(cell: str, weights: Mapping[str, float]) -> list[str]:
    """Return what a leaderboard says of the weights of a cell's tasks; nothing without any."""
    if not weights:
        return []
    largest = sorted(weights.items(), key=lambda item: (-item[1], item[0]))
    told = ", ".join(f"{label} {weight:.0%}" for label, weight in largest[:6])
    more = f" and {len(largest) - 6} more" if len(largest) > 6 else ""
    return [f"{cell}, {NAME} (weights of these runs, never the metric that decides): {told}{more}."]
