"""Metrics of the suite over one or many models, from the records of their items."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dclm_spark.evaluate.aggregate import CATEGORIES, GROUPS, baselines
from dclm_spark.evaluate.datasets import TaskData
from dclm_spark.evaluate.tasks import (
    CHOICE,
    CORE,
    EXACT,
    EXTENDED,
    GENERATION,
    SCHEMA,
    TASK_BY_LABEL,
    TASKS,
)
from dclm_spark.evaluate.uncertainty import Metric, Stratum

Record = Mapping[str, Any]
Run = Mapping[str, Sequence[Record]]
"""The item records of one model by task label."""

SMALLEST_STRATUM = 10
VERSIONS = ("v1", "v2", "data")


def data_baseline(data: TaskData) -> float:
    """Return the accuracy of the best answer that ignores the question (third baseline set).

    Tried: a uniform guess, and always the same answer text; the score is the task's own, so a
    mean over its categories. Always the same position is no strategy: a model never sees it.
    """
    kind = data.task.kind
    if kind == GENERATION:
        return 0.0
    groups = [[data.rows[n] for n in numbers] for numbers in data.categories().values()]
    if kind == EXACT:
        return _best_constant(groups, lambda row: row["continuation"])
    options = "choices" if kind == CHOICE else "context_options"
    uniform = _mean(_mean(1 / len(row[options]) for row in group) for group in groups)
    # In a schema the ending is given and the contexts differ, so there is no text to repeat.
    text = 0.0 if kind == SCHEMA else _best_constant(groups, lambda r: r["choices"][r["gold"]])
    return max(uniform, text)


def _best_constant(groups: Sequence[Sequence[Record]], answer: Callable[[Record], Any]) -> float:
    shares: dict[Any, float] = {}
    for group in groups:
        for value, count in Counter(answer(row) for row in group).items():
            shares[value] = shares.get(value, 0.0) + count / len(group) / len(groups)
    return max(shares.values())


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return math.fsum(listed) / len(listed)


def task_metrics(label: str, runs: Sequence[Run]) -> dict[str, Metric]:
    """Return accuracy and, where choices are scored, the continuous signals of one task.

    `gold_bits_per_byte` is the loss of the right answer; `gold_probability` its share of
    exp(-mean loss) over the choices: both move long before accuracy does.
    """
    found = {"accuracy": Metric(name=f"accuracy/{label}", strata=accuracy_strata(label, runs))}
    kind = TASK_BY_LABEL[label].kind
    if kind != GENERATION:
        found["gold_bits_per_byte"] = Metric(
            name=f"gold_bits_per_byte/{label}",
            strata=(gold_bits_stratum(label, runs),),
            higher_is_better=False,
        )
    if kind in (CHOICE, SCHEMA):
        strata = _strata(label, runs, _gold_probability)
        found["gold_probability"] = Metric(name=f"gold_probability/{label}", strata=strata)
    return found


def accuracy_strata(label: str, runs: Sequence[Run], weight: float = 1.0) -> tuple[Stratum, ...]:
    """Return the right-or-wrong outcomes of a task, a stratum for each of its categories."""
    return _strata(label, runs, lambda record: float(record["ok"]), weight)


def gold_bits_stratum(label: str, runs: Sequence[Run], weight: float = 1.0) -> Stratum:
    """Return bits and bytes of the right answers of a task."""
    places = _places(runs[0][label])
    by_run = [_by_place(run[label]) for run in runs]
    bits = [[_gold_bits(records[place]) for records in by_run] for place in places]
    sizes = [by_run[0][place]["bytes"][by_run[0][place]["gold"]] for place in places]
    return Stratum(
        key=f"{label} bytes",
        numerators=np.array(bits),
        denominators=np.array(sizes, dtype=np.float64),
        weight=weight,
    )


def suite_metrics(
    runs: Sequence[Run], data_baselines: Mapping[str, float] | None = None
) -> dict[str, Metric]:
    """Return the aggregates whose tasks all runs have, by name, such as `core_v2`.

    CORE, EXTENDED and MMLU are absent when one of their tasks is; `core_v2_partial` and so on
    are then the means over what is there. `data_baselines` gives the third set of baselines.
    """
    common = [label for label in EXTENDED if all(run.get(label) for run in runs)]
    chance = {"v1": baselines("v1"), "v2": baselines("v2"), "data": dict(data_baselines or {})}
    wanted: dict[str, Sequence[str]] = {"core": CORE, "extended": EXTENDED}
    found: dict[str, Metric] = {}
    for name, members in wanted.items():
        present = [label for label in members if label in common]
        suffix = "" if len(present) == len(members) else "_partial"
        for version in VERSIONS:
            if present and all(chance[version].get(label, 1.0) < 1 for label in present):
                metric = _mean_metric(f"{name}_{version}{suffix}", present, runs, chance[version])
                found[metric.name] = metric
        scored = [label for label in present if TASK_BY_LABEL[label].kind != GENERATION]
        if scored:
            metric = _mean_bits(f"{name}_gold_bits_per_byte{suffix}", scored, runs)
            found[metric.name] = metric
    if "mmlu_fewshot" in common:
        found["mmlu"] = Metric(name="mmlu", strata=accuracy_strata("mmlu_fewshot", runs))
    found.update(_group_metrics(common, runs, chance["v2"]))
    return found


def _group_metrics(
    common: Sequence[str], runs: Sequence[Run], chance: Mapping[str, float]
) -> dict[str, Metric]:
    groups = {f"{name}_centered": list(members) for name, members in GROUPS.items()}
    del groups["low_variance_datasets_centered"]  # the same as CORE
    for category in CATEGORIES:
        groups[category] = [task.label for task in TASKS if task.category == category]
    metrics = {}
    for name, members in groups.items():
        present = [label for label in common if label in members]
        if present:
            metrics[name] = _mean_metric(name, present, runs, chance)
    return metrics


def _mean_metric(
    name: str, labels: Sequence[str], runs: Sequence[Run], chance: Mapping[str, float]
) -> Metric:
    strata: list[Stratum] = []
    constant = 0.0
    for label in labels:
        scale = 1 / (1 - chance[label]) / len(labels)
        strata.extend(accuracy_strata(label, runs, scale))
        constant -= chance[label] * scale
    return Metric(name=name, strata=tuple(strata), constant=constant)


def _mean_bits(name: str, labels: Sequence[str], runs: Sequence[Run]) -> Metric:
    strata = tuple(gold_bits_stratum(label, runs, 1 / len(labels)) for label in labels)
    return Metric(name=name, strata=strata, higher_is_better=False)


def _strata(
    label: str, runs: Sequence[Run], outcome: Callable[[Record], float], weight: float = 1.0
) -> tuple[Stratum, ...]:
    by_run = [_by_place(run[label]) for run in runs]
    by_category: dict[str | None, list[tuple[str | None, int]]] = {}
    for place in _places(runs[0][label]):
        by_category.setdefault(place[0], []).append(place)
    file = TASK_BY_LABEL[label].file
    if min(map(len, by_category.values())) < SMALLEST_STRATUM:
        # Resampling a handful of items says nothing, so small categories are drawn together.
        size = sum(map(len, by_category.values())) / len(by_category)
        shares = {place: size / len(group) for group in by_category.values() for place in group}
        groups: dict[str | None, list[tuple[str | None, int]]] = {None: list(shares)}
    else:
        groups, shares = by_category, {}
    return tuple(
        Stratum(
            # Two tasks over the same rows of one file share their luck.
            key=f"{file} {category} {hash(tuple(places))}",
            numerators=np.array(
                [
                    [outcome(records[place]) * shares.get(place, 1.0) for records in by_run]
                    for place in places
                ]
            ),
            denominators=np.ones(len(places)),
            weight=weight / len(groups),
        )
        for category, places in groups.items()
    )


def _places(records: Sequence[Record]) -> list[tuple[str | None, int]]:
    return sorted(((r["category"], r["row"]) for r in records), key=lambda p: (str(p[0]), p[1]))


def _by_place(records: Sequence[Record]) -> dict[tuple[str | None, int], Record]:
    return {(record["category"], record["row"]): record for record in records}


def _gold_bits(record: Record) -> float:
    gold = record["gold"]
    return float(record["mean_nats"][gold] * record["tokens"][gold] / math.log(2))


def _gold_probability(record: Record) -> float:
    losses = np.array(record["mean_nats"])
    shares = np.exp(losses.min() - losses)
    return float(shares[record["gold"]] / shares.sum())
