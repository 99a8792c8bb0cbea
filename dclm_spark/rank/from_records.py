"""A leaderboard from records alone: of several rankings or machines, and of DCLM's database."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dclm_spark.errors import InputError
from dclm_spark.evaluate.aggregate import dclm_aggregates
from dclm_spark.rank.leaderboard import build_leaderboard, write_leaderboard
from dclm_spark.rank.recorded_runs import items_of, recorded_runs
from dclm_spark.rank.records import (
    DatasetRecord,
    EvaluationRecord,
    ModelRecord,
    Record,
    from_dclm,
    read_records,
    write_record,
)

_KINDS: tuple[type[Record], ...] = (DatasetRecord, ModelRecord, EvaluationRecord)
_DCLM_FOLDERS: dict[type[Record], str] = {
    DatasetRecord: "datasets",
    ModelRecord: "models",
    EvaluationRecord: "evals",
}


def every_record(folder: str | Path) -> list[Record]:
    """Return all records below `folder`, datasets first."""
    return [record for kind in _KINDS for record in read_records(kind, folder)]  # type: ignore[type-var]


def import_from_dclm(source: str | Path, folder: str | Path) -> int:
    """Write the records of DCLM's `exp_data` at `source` below `folder`; return their number.

    Raises InputError for a file that is no record, and where there is none at all.
    """
    count = 0
    for kind, place in _DCLM_FOLDERS.items():
        for file in sorted((Path(source) / place).rglob("*.json")):
            try:
                record = from_dclm(kind, json.loads(file.read_text()))  # type: ignore[type-var]
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(f"{file}: no {kind.__name__} of DCLM's layout ({error})") from None
            write_record(record, folder)
            count += 1
    if not count:
        raise InputError(
            f"{source}: no record in it; expected DCLM's exp_data with datasets/, models/, evals/"
        )
    return count


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
    for evaluation in read_records(EvaluationRecord, folder):
        if items_of(evaluation, folder) is not None:
            continue
        row: dict[str, Any] = {"model": evaluation.model_name, "evaluation": evaluation.name}
        for version in ("v1", "v2"):
            found = dclm_aggregates(evaluation.accuracies, version)
            row |= {name: found[name] for name in (f"Core_{version}", f"Extended_{version}")}
        rows.append(row)
    return rows
