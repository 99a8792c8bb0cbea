"""What an evaluation was asked and what it found, and the summary of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dclm_spark.evaluate.aggregate import centered
from dclm_spark.evaluate.bits_per_byte import bits_per_byte
from dclm_spark.evaluate.suite import suite_metrics, task_metrics
from dclm_spark.evaluate.tasks import CORE, EXTENDED, MMLU
from dclm_spark.settings import to_dict


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings:
    """What to run: `sample` rows of each task at most (None: all), spread evenly from `seed`.

    `heldout` are JSON-lines files of texts for bits per byte. `batch_tokens` are the padded tokens
    that are computed at once; None: what suits the model and its device.
    """

    data: str
    sample: int | None = None
    seed: int = 0
    heldout: tuple[str, ...] = ()
    batch_tokens: int | None = None
    max_tokens: int = 2048


@dataclass
class Results:
    """Everything known after a run, task results by label and why the others are missing."""

    model: str
    fingerprint: str
    settings: EvaluateSettings
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    heldout: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    # What of a held-out file could not be read, by its name.
    lost_texts: dict[str, str] = field(default_factory=dict)

    @property
    def run(self) -> dict[str, list[dict[str, Any]]]:
        """Return the item records by label, as `suite` takes them."""
        return {label: result["records"] for label, result in self.tasks.items()}


def summarize(results: Results) -> dict[str, Any]:
    """Return the result record: every number with n, standard error and interval.

    CORE, EXTENDED and MMLU have value null and the reasons when a task is missing; the mean over
    the tasks that are there is under `..._partial`, with their number. There are none where no
    task was asked for.
    """
    chance = {label: result["baseline_data"] for label, result in results.tasks.items()}
    aggregates = {
        name: metric.estimate().to_dict()
        for name, metric in (suite_metrics([results.run], chance) if results.tasks else {}).items()
    }
    suites = {"core": CORE, "extended": EXTENDED, "mmlu": (MMLU,)}
    for name, labels in suites.items() if results.tasks or results.missing else ():
        _explain_gaps(aggregates, name, labels, results)
    return {
        "model": results.model,
        "model_fingerprint": results.fingerprint,
        "settings": to_dict(results.settings),
        "caveats": _caveats(results),
        "missing": results.missing,
        "aggregates": aggregates,
        "tasks": {label: _task_summary(label, results) for label in results.tasks},
        "bits_per_byte": {
            name: bits_per_byte(name, [records]).estimate().to_dict()
            for name, records in results.heldout.items()
        },
    }


def _explain_gaps(
    aggregates: dict[str, Any], name: str, labels: Sequence[str], results: Results
) -> None:
    absent = [label for label in labels if label not in results.tasks]
    if not absent:
        return
    reasons = {label: results.missing.get(label, "not asked for") for label in absent}
    whole = [name] if name == "mmlu" else [f"{name}_v1", f"{name}_v2", f"{name}_data"]
    for key in whole:
        aggregates[key] = {"value": None, "missing": reasons}
        if f"{key}_partial" in aggregates:
            aggregates[f"{key}_partial"]["tasks"] = len(labels) - len(absent)
            aggregates[f"{key}_partial"]["of_tasks"] = len(labels)


def _task_summary(label: str, results: Results) -> dict[str, Any]:
    result = results.tasks[label]
    found: dict[str, Any] = {
        "n": len(result["records"]),
        "rows": result["data"]["rows"],
        "data_status": result["data"]["status"],
        "seconds": result["seconds"],
        "baselines": {
            "v1": result["task"]["baseline_v1"] / 100,
            "v2": result["task"]["baseline_v2"] / 100,
            "data": result["baseline_data"],
        },
    }
    for name, metric in task_metrics(label, [results.run]).items():
        found[name] = metric.estimate().to_dict()
    value = found["accuracy"]["value"]
    found["centered"] = {
        version: centered(value, chance)
        for version, chance in found["baselines"].items()
        if chance < 1
    }
    return found


def _caveats(results: Results) -> list[str]:
    """Say in words what keeps these numbers from being DCLM's."""
    found = []
    if results.settings.sample is not None:
        found.append(f"at most {results.settings.sample} rows of each task were scored")
    for label, result in results.tasks.items():
        if result["data"]["status"] in ("equivalent", "partial"):
            found.append(f"{label}: {result['data']['note']}")
    found.extend(f"{label} is missing: {reason}" for label, reason in results.missing.items())
    found.extend(f"held-out {name}: {reason}" for name, reason in results.lost_texts.items())
    return found
