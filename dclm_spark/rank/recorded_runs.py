"""From records to what the leaderboard compares: a run for each evaluation with its items."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from dclm_spark.errors import InputError
from dclm_spark.evaluate.runner import read_heldout, read_run
from dclm_spark.rank.records import (
    DatasetRecord,
    EvaluationRecord,
    ModelRecord,
    check_links,
    read_records,
)
from dclm_spark.rank.results import RecipeRun


def recorded_runs(
    folders: Sequence[str | Path], evaluations: Collection[str] | None = None
) -> list[RecipeRun]:
    """Return the runs that the records below `folders` describe, in the order of their names.

    With `evaluations`, only those uuids. An evaluation whose items lie elsewhere, such as one of
    DCLM's database, cannot be compared with an interval and is left out. Raises InputError for a
    broken link, and for two runs of one recipe and seed.
    """
    found: dict[tuple[str, int], RecipeRun] = {}
    for folder in map(Path, folders):
        check_links(folder)
        datasets = {record.uuid: record for record in read_records(DatasetRecord, folder)}
        models = {record.uuid: record for record in read_records(ModelRecord, folder)}
        for evaluation in read_records(EvaluationRecord, folder):
            items = items_of(evaluation, folder)
            if items is None or (evaluations is not None and evaluation.uuid not in evaluations):
                continue
            model = models[evaluation.model_uuid]
            run = _run(datasets[model.dataset_uuid], model, items)
            if (run.recipe, run.seed) in found:
                raise InputError(
                    f"{folder}: recipe {run.recipe}, seed {run.seed} is on record twice; give "
                    "folders of records that belong to one ranking, or remove the older one"
                )
            found[run.recipe, run.seed] = run
    return list(found.values())


def items_of(evaluation: EvaluationRecord, folder: Path) -> Path | None:
    """Return the folder of an evaluation's items, None where they are not at hand."""
    if not evaluation.results_url or "://" in evaluation.results_url:
        return None
    items = (folder / evaluation.results_url).parent
    return items if (items / "tasks").is_dir() or (items / "heldout").is_dir() else None


def _run(dataset: DatasetRecord, model: ModelRecord, items: Path) -> RecipeRun:
    facts: dict[str, Any] = dict(model.extra)
    return RecipeRun(
        recipe=dataset.name,
        seed=int(facts.get("seed", 0)),
        recipe_hash=dataset.recipe_hash,
        corpus_fingerprint=dataset.corpus_fingerprint[:16],
        model_configuration=dict(facts.get("model_configuration", {})),
        commit=str(facts.get("commit", "")),
        command=str(facts.get("command", "")),
        control=str(dataset.extra.get("control", "")),
        tasks=read_run(items),
        heldout=read_heldout(items),
    )
