"""Datasets, models and evaluations as small JSON files that link by uuid (spec 9.1)."""

import json
import os
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from dclm_spark.errors import InputError
from dclm_spark.evaluate.aggregate import dclm_aggregates
from dclm_spark.ranking.model_runs import RankedRun, model_configuration, run_facts
from dclm_spark.settings import to_dict
from udfs import storage

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
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
# Our field to DCLM's key, where they differ and no more than a rename is needed.
_DCLM_KEYS: dict[type[Record], dict[str, str]] = {
    DatasetRecord: {
        "is_tokenized": "tokenized",
        "size_bytes": "size",
        "commit": "dcnlp_commit_hash",
    },
    ModelRecord: {},
    EvaluationRecord: {"model_name": "model"},
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


def check_links(folder: str | Path) -> None:
    """Raise InputError for the first evaluation without model or model without dataset."""
    datasets = {record.uuid for record in read_records(DatasetRecord, folder)}
    models = read_records(ModelRecord, folder)
    for model in models:
        if model.dataset_uuid not in datasets:
            raise InputError(
                f"model {model.name}: no dataset record {model.dataset_uuid!r} in {folder}"
            )
    known = {model.uuid for model in models}
    for evaluation in read_records(EvaluationRecord, folder):
        if evaluation.model_uuid not in known:
            raise InputError(
                f"evaluation {evaluation.name}: no model record {evaluation.model_uuid!r} "
                f"in {folder}"
            )


def to_dclm(record: Record) -> dict[str, Any]:
    """Return the record with DCLM's keys; an evaluation gets the aggregates of both versions."""
    values = {
        _DCLM_KEYS[type(record)].get(key, key): value for key, value in asdict(record).items()
    }
    values.update(values.pop("extra"))
    if isinstance(record, DatasetRecord):
        values["sources"] = [{"uuid": one, "name": name} for one, name in record.sources]
    if isinstance(record, EvaluationRecord):
        icl = values.pop("accuracies")
        metrics = dict(values.get("eval_metrics", {}))
        values["eval_metrics"] = {**metrics, "icl": dict(icl)}
        for version in ("v1", "v2"):
            values.update(dclm_aggregates(icl, version))
    return values


def from_dclm(kind: type[AnyRecord], values: Mapping[str, Any]) -> AnyRecord:
    """Return the record of a file of DCLM's database; raises InputError without uuid or name."""
    for key in ("uuid", "name"):
        if not values.get(key):
            raise InputError(f"{kind.__name__}: the key {key!r} is missing or empty")
    ours = {theirs: mine for mine, theirs in _DCLM_KEYS[kind].items()}
    fields = {ours.get(key, key): value for key, value in values.items()}
    if kind is DatasetRecord:
        fields["sources"] = _sources(fields.get("sources"))
    if kind is EvaluationRecord:
        _read_evaluation(fields)
    known = set(kind.__dataclass_fields__) - {"extra"}
    extra = {key: value for key, value in fields.items() if key not in known}
    present = {key: fields[key] for key in known if fields.get(key) is not None}
    return kind(**present, extra=extra)


def _sources(given: Any) -> tuple[tuple[str, str], ...]:
    """Return (uuid, name) of each source; DCLM's older files give names or uuids alone."""
    listed = [given] if isinstance(given, str | Mapping) else list(given or ())
    found = []
    for one in listed:
        if isinstance(one, str):
            is_uuid = bool(_UUID.fullmatch(one))
            found.append((one, "") if is_uuid else ("", one))
        else:
            found.append((str(one.get("uuid") or ""), str(one.get("name") or "")))
    return tuple(found)


def _read_evaluation(fields: dict[str, Any]) -> None:
    """Take what DCLM nests or repeats; aggregates are dropped, since they follow."""
    model = fields.get("model_name")
    if isinstance(model, Mapping):
        fields["model_name"] = str(model.get("name", ""))
        fields.setdefault("model_uuid", model.get("uuid", ""))
    metrics = dict(fields.pop("eval_metrics", {}))
    fields["accuracies"] = metrics.pop("icl", {})
    if metrics:
        fields["eval_metrics"] = metrics
    for version in ("v1", "v2"):
        for key in dclm_aggregates({}, version):
            fields.pop(key, None)


def export_to_dclm(records: Sequence[Record], folder: str | Path) -> list[Path]:
    """Write records as DCLM's `exp_data` has them and return the files."""
    files = []
    for record in records:
        place = FOLDERS[type(record)]
        name = record.name
        if isinstance(record, DatasetRecord):
            place += "/tokenized" if record.is_tokenized else "/untokenized"
        if isinstance(record, EvaluationRecord):
            name = f"evaluation_{record.model_name}_{record.name}"
        file = Path(folder) / place / f"{name.replace('/', '_')}.json"
        # DCLM writes not-a-number as Python does.
        storage.write_bytes(str(file), json.dumps(to_dclm(record), indent=4).encode())
        files.append(file)
    return files


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
