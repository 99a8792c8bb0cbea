"""Datasets, models and evaluations as small JSON files that link by uuid (spec 9.1)."""

import json
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from dclm_spark.errors import InputError
from dclm_spark.ranking.model_runs import RankedRun, model_configuration, run_facts
from dclm_spark.settings import to_dict
from udfs import storage

_NAMESPACE = uuid.UUID("5a0c7c3e-6f0e-5a55-9d5b-3a3d6f1f7a10")


@dataclass(frozen=True, kw_only=True)
class DatasetRecord:
    """A set of documents or tokens; `sources` are (uuid, name) of what it was made from.

    `extra` keeps keys of a foreign record that have no field here.
    """

    uuid: str
    name: str
    creation_date: str = ""
    dataset_url: str = ""
    manifest_url: str | None = None
    sources: tuple[tuple[str, str], ...] = ()
    is_tokenized: bool = False
    tokenizer: str | None = None
    num_tokens: int | None = None
    size_bytes: int | None = None
    commit: str = ""
    recipe_hash: str = ""
    corpus_fingerprint: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ModelRecord:
    """A trained model and the dataset that it was trained on."""

    uuid: str
    name: str
    creation_date: str = ""
    dataset_uuid: str = ""
    dataset_name: str = ""
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    checkpoint_url: str = ""
    params_url: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class EvaluationRecord:
    """Accuracies of a model by task label; `results_url` has the numbers with their errors."""

    uuid: str
    name: str
    creation_date: str = ""
    model_uuid: str = ""
    model_name: str = ""
    accuracies: Mapping[str, float] = field(default_factory=dict)
    results_url: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


Record = DatasetRecord | ModelRecord | EvaluationRecord
AnyRecord = TypeVar("AnyRecord", DatasetRecord, ModelRecord, EvaluationRecord)

FOLDERS: dict[type[Record], str] = {
    DatasetRecord: "datasets",
    ModelRecord: "models",
    EvaluationRecord: "evals",
}


def record_uuid(kind: str, *facts: str) -> str:
    """Return the uuid that identifies a record by its facts, so that a re-run links the same."""
    return str(uuid.uuid5(_NAMESPACE, "\n".join((kind, *facts))))


def evaluation_record(
    summary: Mapping[str, Any], model: ModelRecord, name: str, results_url: str = ""
) -> EvaluationRecord:
    """Return the record of a `results.json`; sampled and partial data are named in `extra`."""
    accuracies = {label: task["accuracy"]["value"] for label, task in summary["tasks"].items()}
    return EvaluationRecord(
        uuid=record_uuid("evaluation", model.uuid, name, json.dumps(summary["settings"])),
        name=name,
        model_uuid=model.uuid,
        model_name=model.name,
        accuracies=accuracies,
        results_url=results_url,
        extra={"caveats": list(summary["caveats"])},
    )


def write_record(record: Record, folder: str | Path) -> Path:
    """Write the record below `folder` in our own layout and return its file."""
    file = Path(folder) / FOLDERS[type(record)] / f"{record.uuid}.json"
    text = json.dumps(asdict(record), indent=1, sort_keys=True)
    storage.write_bytes(str(file), text.encode())
    return file


def read_records(kind: type[AnyRecord], folder: str | Path) -> list[AnyRecord]:
    """Return the records of one kind below `folder`, sorted by name."""
    found = []
    for file in sorted((Path(folder) / FOLDERS[kind]).glob("*.json")):
        values = json.loads(file.read_text())
        if kind is DatasetRecord:
            values["sources"] = tuple(tuple(source) for source in values["sources"])
        found.append(kind(**values))
    return sorted(found, key=lambda record: record.name)


def check_links(folder: str | Path, evaluations: Sequence[EvaluationRecord]) -> None:
    """Raise InputError for the first of some evaluations below `folder` that lacks a link."""
    datasets = {record.uuid for record in read_records(DatasetRecord, folder)}
    models = {record.uuid: record for record in read_records(ModelRecord, folder)}
    for evaluation in evaluations:
        model = models.get(evaluation.model_uuid)
        if model is None:
            raise InputError(
                f"evaluation {evaluation.name}: no model record {evaluation.model_uuid!r} "
                f"in {folder}"
            )
        if model.dataset_uuid not in datasets:
            raise InputError(
                f"model {model.name}: no dataset record {model.dataset_uuid!r} in {folder}"
            )


def records_below(output: str) -> Path:
    """Return where a ranking's records lie."""
    return Path(output) / "records"


def write_records(
    runs: Sequence[RankedRun], output: str, command: Callable[[str], str]
) -> list[str]:
    """Write the records of finished runs below `output`/records; return the evaluations' uuids.

    `command` says how a row, corpus/seed@cell, is done again.
    """
    folder = records_below(output)
    return [_write(run, folder, command(run.full_name)) for run in runs]


def _write(run: RankedRun, folder: Path, command: str) -> str:
    dataset = _dataset(run)
    model = ModelRecord(
        uuid=record_uuid("model", dataset.uuid, run.folder.name),
        name=run.name.replace("/", "-seed-"),
        dataset_uuid=dataset.uuid,
        dataset_name=dataset.name,
        hyperparameters=to_dict(run.settings),
        checkpoint_url=str(run.folder / "model"),
        extra={
            "seed": run.seed,
            "cell": run.cell.label,
            "commit": run_facts(run)["commit"],
            "command": command,
            "model_configuration": model_configuration(run),
        },
    )
    evaluation = _evaluation(run, model, folder)
    for record in (dataset, model, evaluation):
        write_record(record, folder)
    return evaluation.uuid


def _dataset(run: RankedRun) -> DatasetRecord:
    corpus = run.corpus
    return DatasetRecord(
        uuid=record_uuid("dataset", run.fingerprint, corpus.name),
        name=corpus.name,
        dataset_url=str(Path(corpus.manifest).parent),
        manifest_url=corpus.manifest,
        is_tokenized=True,
        tokenizer=corpus.tokenizer,
        num_tokens=corpus.num_tokens,
        commit=run_facts(run)["commit"],
        recipe_hash=corpus.recipe_hash,
        corpus_fingerprint=run.fingerprint,
        extra={"control": corpus.control} if corpus.control else {},
    )


def _evaluation(run: RankedRun, model: ModelRecord, folder: Path) -> EvaluationRecord:
    results = run.folder / "evaluation" / "results.json"
    # Relative, so that a ranking may be moved or copied as a whole.
    place = os.path.relpath(results, folder)
    return evaluation_record(json.loads(results.read_text()), model, "rank", place)
