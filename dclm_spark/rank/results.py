"""One training run of a recipe with its evaluation: what the leaderboard is built from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dclm_spark.evaluate.bits_per_byte import bits_per_byte
from dclm_spark.evaluate.suite import Run, suite_metrics, task_metrics
from dclm_spark.evaluate.tasks import EXTENDED
from dclm_spark.evaluate.uncertainty import Metric


@dataclass(frozen=True, kw_only=True)
class RecipeRun:
    """A run and everything needed to do it again.

    `control` is empty for a real recipe, else what it controls for (such as `shuffled scores`).
    `tasks` are item records by label, `heldout` the records of texts by name.
    """

    recipe: str
    seed: int
    recipe_hash: str
    corpus_fingerprint: str
    model_configuration: Mapping[str, Any]
    commit: str
    command: str
    control: str = ""
    tasks: Run = field(default_factory=dict)
    heldout: Mapping[str, Sequence[dict[str, Any]]] = field(default_factory=dict)


def metrics_of(
    runs: Sequence[RecipeRun], data_baselines: Mapping[str, float] | None = None
) -> list[Metric]:
    """Return every metric that all runs have: held-out bits per byte, aggregates, tasks."""
    names = [name for name in runs[0].heldout if all(name in run.heldout for run in runs)]
    found = [bits_per_byte(name, [list(run.heldout[name]) for run in runs]) for name in names]
    records = [run.tasks for run in runs]
    if any(records):
        found.extend(suite_metrics(records, data_baselines).values())
    for label in EXTENDED:
        if all(run.get(label) for run in records):
            found.extend(task_metrics(label, records).values())
    return found
