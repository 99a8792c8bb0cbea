"""The ranking of recipes as JSON and as one self-contained page."""

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dclm_spark.errors import InputError
from dclm_spark.evaluate.aggregate import dclm_aggregates
from dclm_spark.evaluate.runner import read_heldout, read_run
from dclm_spark.html_pages.quantities import fixed_text
from dclm_spark.html_pages.render import render
from dclm_spark.ranking.bootstrap import (
    NOT_DISTINGUISHABLE,
    ONE_SEED,
    RecipeRun,
    compare,
    metrics_of,
)
from dclm_spark.ranking.dclm_database import name_of_model
from dclm_spark.ranking.records import (
    DatasetRecord,
    EvaluationRecord,
    ModelRecord,
    Record,
    check_links,
    read_records,
)
from dclm_spark.ranking.reliability.page_tables import reliability_tables
from dclm_spark.ranking.reliability.part_sizes import TOO_SMALL, PartSize, judged
from udfs import storage


def recorded_runs(
    folders: Sequence[str | Path], evaluations: Collection[str] | None = None
) -> list[RecipeRun]:
    """Return the runs that the records below `folders` describe, in the order of their names.

    With `evaluations`, only those uuids. An evaluation whose items lie elsewhere, such as one of
    DCLM's database, cannot be compared with an interval and is left out. Raises InputError for a
    broken link, and for two runs of one recipe, seed and cell.
    """
    found: dict[tuple[str, int, str], RecipeRun] = {}
    for folder in map(Path, folders):
        at_hand = [
            (evaluation, items)
            for evaluation in read_records(EvaluationRecord, folder)
            if (items := items_of(evaluation, folder)) is not None
            and (evaluations is None or evaluation.uuid in evaluations)
        ]
        check_links(folder, [evaluation for evaluation, _ in at_hand])
        datasets = {record.uuid: record for record in read_records(DatasetRecord, folder)}
        models = {record.uuid: record for record in read_records(ModelRecord, folder)}
        for evaluation, items in at_hand:
            model = models[evaluation.model_uuid]
            run = _run(datasets[model.dataset_uuid], model, items)
            key = (run.recipe, run.seed, run.cell)
            if key in found:
                raise InputError(
                    f"{folder}: recipe {run.recipe}, seed {run.seed} is on record twice; give "
                    "folders of records that belong to one ranking, or remove the older one"
                )
            found[key] = run
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
        cell=str(facts.get("cell", "")),
        tasks=read_run(items),
        heldout=read_heldout(items),
    )


# Shown first; the per-task metrics follow.
_PER_TASK = ("accuracy/", "gold_bits_per_byte/", "gold_probability/")


def build_leaderboard(
    runs: Sequence[RecipeRun],
    data_baselines: Mapping[str, float] | None = None,
    looks: int = 1,
    parts: Sequence[PartSize] = (),
) -> dict[str, Any]:
    """Return rows (what was run, and how to run it again) and a comparison for each metric.

    Runs of different cells are compared apart; each comparison names its `cell`. Pairs whose
    corpora have too small a part among `parts` are not judged.
    """
    order = {cell: place for place, cell in enumerate(dict.fromkeys(run.cell for run in runs))}
    runs = sorted(runs, key=lambda run: (order[run.cell], run.recipe, run.seed))
    comparisons: list[dict[str, Any]] = []
    for cell in order:
        own = [run for run in runs if run.cell == cell]
        names = [run.recipe for run in own]
        comparisons += [
            judged({"cell": cell} | asdict(compare(metric, names, looks=looks)), parts)
            for metric in metrics_of(own, data_baselines)
        ]
    return {
        "rows": [_row(run) for run in runs],
        "comparisons": comparisons,
        "conclusions": [
            (f"{one['cell']}: " if len(order) > 1 else "") + _conclusion(one)
            for one in comparisons
            if _is_aggregate(one)
        ],
    }


def _row(run: RecipeRun) -> dict[str, Any]:
    return {
        "recipe": run.recipe,
        "control": run.control,
        "seed": run.seed,
        "cell": run.cell,
        "recipe_hash": run.recipe_hash,
        "corpus_fingerprint": run.corpus_fingerprint,
        "model_configuration": dict(run.model_configuration),
        "commit": run.commit,
        "command": run.command,
    }


def write_leaderboard(leaderboard: Mapping[str, Any], folder: str | Path) -> None:
    """Write `leaderboard.json` and `leaderboard.html`."""
    texts = {"json": json.dumps(leaderboard, indent=1), "html": leaderboard_page(leaderboard)}
    for kind, text in texts.items():
        storage.write_bytes(str(Path(folder) / f"leaderboard.{kind}"), text.encode())


def leaderboard_page(leaderboard: Mapping[str, Any]) -> str:
    """Return the page; everything that comes from data is escaped."""
    comparisons = leaderboard["comparisons"]
    return render(
        "leaderboard.html",
        title="Which recipe is better",
        conclusions=leaderboard["conclusions"],
        controls={row["recipe"]: row["control"] for row in leaderboard["rows"]},
        aggregates=[one for one in comparisons if _is_aggregate(one)],
        per_task=[one for one in comparisons if not _is_aggregate(one)],
        runs=[_run_row(row) for row in leaderboard["rows"]],
        accuracy_only=_accuracy_only_table(leaderboard.get("accuracy_only", ())),
        **reliability_tables(leaderboard),
    )


def _conclusion(comparison: Mapping[str, Any]) -> str:
    """Say in a sentence what the metric tells and what it does not."""
    verdicts = [verdict["verdict"] for verdict in comparison["verdicts"]]
    metric = comparison["metric"]
    if not verdicts:
        return f"{metric}: only one recipe, nothing to compare."
    if all(verdict == ONE_SEED for verdict in verdicts):
        return f"{metric}: one seed each, so no difference can be told from training noise."
    if all(verdict == TOO_SMALL for verdict in verdicts):
        return f"{metric}: {TOO_SMALL}, no pair is judged."
    best = comparison["scores"][0]["recipe"]
    beaten = verdicts.count(f"{best} is better")
    open_pairs = verdicts.count(NOT_DISTINGUISHABLE)
    smallest = min(verdict["minimum_detectable"] for verdict in comparison["verdicts"])
    return (
        f"{metric}: {best} leads and is better than {beaten} of "
        f"{len(comparison['scores']) - 1} others; {open_pairs} of {len(verdicts)} pairs are "
        f"{NOT_DISTINGUISHABLE}. Differences below {smallest:.4f} would be missed."
    )


def _is_aggregate(comparison: Mapping[str, Any]) -> bool:
    return not comparison["metric"].startswith(_PER_TASK)


def _run_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        row["recipe"],
        str(row["seed"]),
        row["recipe_hash"],
        row["corpus_fingerprint"],
        ", ".join(f"{key} {value}" for key, value in row["model_configuration"].items()),
        row["commit"],
        row["command"],
    )


def _accuracy_only_table(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return head and rows of the evaluations on record without their items."""
    if not rows:
        return None
    names = [name for name in rows[0] if name not in ("model", "evaluation")]
    cells = [
        (row["model"], row["evaluation"], *(_shown(row[name]) for name in names)) for row in rows
    ]
    return {"head": ("model", "evaluation", *names), "rows": cells}


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else fixed_text(value)


LOGGER = logging.getLogger("dclm_spark")
_KINDS: tuple[type[Record], ...] = (DatasetRecord, ModelRecord, EvaluationRecord)


def every_record(folder: str | Path) -> list[Record]:
    """Return all records below `folder`, datasets first."""
    return [record for kind in _KINDS for record in read_records(kind, folder)]  # type: ignore[type-var]


def leaderboard_of_records(folders: Sequence[str], output: str) -> dict[str, Any]:
    """Compare the runs on record, write the leaderboard to `output` and return it.

    Evaluations whose items are not at hand, such as those of DCLM's database, are listed under
    `accuracy_only` with their aggregates: one number for each, no interval.
    """
    runs = recorded_runs(folders)
    listed = [row for folder in folders for row in _accuracy_only(Path(folder))]
    if not runs and not listed:
        raise InputError(f"--records {', '.join(folders)}: there is no evaluation on record")
    empty: dict[str, Any] = {"rows": [], "comparisons": [], "conclusions": []}
    leaderboard = build_leaderboard(runs) if runs else empty
    leaderboard["accuracy_only"] = sorted(listed, key=lambda row: str(row["model"]))
    write_leaderboard(leaderboard, output)
    return leaderboard


def _accuracy_only(folder: Path) -> list[dict[str, Any]]:
    rows = []
    models = {record.uuid: record.name for record in read_records(ModelRecord, folder)}
    for evaluation in read_records(EvaluationRecord, folder):
        if items_of(evaluation, folder) is not None:
            continue
        model = models.get(evaluation.model_uuid) or name_of_model(evaluation)
        row: dict[str, Any] = {"model": model, "evaluation": Path(evaluation.name).name}
        for version in ("v1", "v2"):
            found = dclm_aggregates(evaluation.accuracies, version)
            row |= {name: found[name] for name in (f"Core_{version}", f"Extended_{version}")}
        rows.append(row)
    return rows
