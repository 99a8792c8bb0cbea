"""CORE, EXTENDED and the other means over tasks, by three sets of baselines (spec 8.4)."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from dclm_spark.errors import SettingError
from dclm_spark.evaluate.tasks import CORE, EXTENDED, TASKS

# Two names in DCLM's groups are no labels, so these tasks never count in them.
_ABOVE_99 = frozenset(CORE) - {"bigbench_language_identification"} | {
    "gsm8k",
    "svamp",
    "pubmed_qa_labeled",
    "enterprise_pii_classification",
}
_ABOVE_95 = _ABOVE_99 | {
    "bigbench_novel_concepts",
    "bigbench_strategy_qa",
    "bigbench_conceptual_combinations",
    "logi_qa",
    "bbq",
}
_SMALL = {"hellaswag_zeroshot", "arc_easy", "arc_challenge", "copa", "winogrande", "boolq"}

GROUPS: dict[str, frozenset[str]] = {
    "rw_small": frozenset(_SMALL),
    "95%_CI_above": _ABOVE_95,
    "99%_CI_above": _ABOVE_99,
    "low_variance_datasets": frozenset(CORE),
}
CURRENT_VERSION = "v2"
CATEGORIES: tuple[str, ...] = tuple(sorted({task.category for task in TASKS}))
_LABELS_OF = {
    category: [task.label for task in TASKS if task.category == category] for category in CATEGORIES
}


def baselines(version: str) -> dict[str, float]:
    """Return the random baseline of every label as a share: `v1` the paper's, `v2` corrected."""
    if version not in ("v1", "v2"):
        raise SettingError(f"version = {version!r}: give v1 or v2")
    percent = {task.label: task.baseline_v1 for task in TASKS}
    if version == "v2":
        percent = {task.label: task.baseline_v2 for task in TASKS}
    return {label: value / 100 for label, value in percent.items()}


def centered(accuracy: float, baseline: float) -> float:
    """Return accuracy with the baseline at 0 and perfection at 1; below chance is negative."""
    return (accuracy - baseline) / (1 - baseline)


def dclm_aggregates(
    accuracies: Mapping[str, float], version: str = CURRENT_VERSION
) -> dict[str, Any]:
    """Return every aggregate under the names and with the gaps of DCLM's evaluation files.

    Means skip missing tasks, except CORE and EXTENDED, which become a text that names them.
    A mean over nothing is not-a-number.
    """
    chance = baselines(version)
    known = {label: accuracies[label] for label in EXTENDED if label in accuracies}
    points = {label: centered(value, chance[label]) for label, value in known.items()}
    missing = _absent(EXTENDED, known)
    found: dict[str, Any] = {
        "missing tasks": str(missing),
        "aggregated_task_categories_centered": {
            category: _mean(points, _LABELS_OF[category]) for category in CATEGORIES
        },
        "aggregated_centered_results": _mean(points),
        "aggregated_results": _mean(known),
    }
    for name, members in GROUPS.items():
        found[name] = _mean(known, members)
        found[f"{name}_centered"] = _mean(points, members)
    core = found["low_variance_datasets_centered"]
    found[f"Core_{version}"] = _unless_missing(core, _absent(CORE, known))
    found[f"Extended_{version}"] = _unless_missing(found["aggregated_centered_results"], missing)
    found["eval_version"] = version
    if version == CURRENT_VERSION:
        found["Core"], found["Extended"] = found[f"Core_{version}"], found[f"Extended_{version}"]
    return found


def _absent(labels: Iterable[str], known: Mapping[str, float]) -> list[str]:
    return [label for label in labels if label not in known]


def _unless_missing(value: float, missing: list[str]) -> float | str:
    return f"N/A due to missing tasks: {missing}" if missing else value


def _mean(values: Mapping[str, float], members: Iterable[str] = EXTENDED) -> float:
    chosen = [values[label] for label in members if label in values]
    return math.fsum(chosen) / len(chosen) if chosen else math.nan
