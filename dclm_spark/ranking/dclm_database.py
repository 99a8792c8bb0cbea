"""Records in the layout of DCLM's own database, `exp_data`: read into ours, and written."""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dclm_spark.errors import InputError
from dclm_spark.evaluate.aggregate import dclm_aggregates
from dclm_spark.ranking.records import (
    FOLDERS,
    AnyRecord,
    DatasetRecord,
    EvaluationRecord,
    ModelRecord,
    Record,
    write_record,
)
from udfs import storage

LOGGER = logging.getLogger("dclm_spark")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# Of a name of a file, which has at most 255 bytes.
_LONGEST_NAME_BYTES = 200
# Our field to DCLM's key, where they differ and no more than a rename is needed.
_DCLM_KEYS: dict[type[Record], dict[str, str]] = {
    DatasetRecord: {
        "is_tokenized": "tokenized",
        "size_bytes": "size",
        "commit": "dcnlp_commit_hash",
    },
    ModelRecord: {},
    EvaluationRecord: {},
}


def import_from_dclm(source: str | Path, folder: str | Path) -> int:
    """Write the records of DCLM's `exp_data` at `source` below `folder`; return their number.

    A file that is no record is named in the log and skipped. Raises InputError where there is no
    record at all.
    """
    count, skipped = 0, 0
    taken: dict[tuple[type[Record], str], Path] = {}
    for kind, place in FOLDERS.items():
        for file in sorted((Path(source) / place).rglob("*.json")):
            try:
                record = from_dclm(kind, json.loads(file.read_text()))  # type: ignore[type-var]
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                LOGGER.warning("%s: skipped, no %s: %s", file, kind.__name__, error)
                skipped += 1
                continue
            first = taken.setdefault((kind, record.uuid), file)
            if first != file:
                LOGGER.warning("%s: skipped, %s has its uuid %s", file, first, record.uuid)
                skipped += 1
                continue
            write_record(record, folder)
            count += 1
    if not count:
        raise InputError(
            f"{source}: no record in it ({skipped} files skipped); expected DCLM's exp_data with "
            "datasets/, models/, evals/"
        )
    return count


def from_dclm(kind: type[AnyRecord], values: Mapping[str, Any]) -> AnyRecord:
    """Return the record of a file of DCLM's database; raises InputError without uuid or name."""
    for key in ("uuid", "name"):
        if not values.get(key):
            raise InputError(f"{kind.__name__}: the key {key!r} is missing or empty")
        if not isinstance(values[key], str):
            raise InputError(f"{kind.__name__}: {key!r} is {values[key]!r}, no text")
    if Path(values["uuid"]).name != values["uuid"] or "\0" in values["uuid"]:
        raise InputError(f"{kind.__name__}: the uuid {values['uuid']!r} is no file name")
    ours = {theirs: mine for mine, theirs in _DCLM_KEYS[kind].items()}
    fields = {ours.get(key, key): value for key, value in values.items()}
    if kind is DatasetRecord:
        fields["sources"] = _sources(fields.get("sources"))
        _read_size(fields)
    if kind is EvaluationRecord:
        _read_evaluation(fields)
    known = set(kind.__dataclass_fields__) - {"extra"}
    extra = {key: value for key, value in fields.items() if key not in known}
    present = {key: fields[key] for key in known if fields.get(key) is not None}
    return kind(**present, extra=extra)


def _sources(given: Any) -> tuple[tuple[str, str], ...]:
    """Return (uuid, name) of each source; DCLM's older files give names or uuids alone."""
    listed = [given] if given and isinstance(given, str | Mapping) else list(given or ())
    found = []
    for one in listed:
        if isinstance(one, str):
            is_uuid = bool(_UUID.fullmatch(one))
            found.append((one, "") if is_uuid else ("", one))
        else:
            found.append((str(one.get("uuid") or ""), str(one.get("name") or "")))
    return tuple(found)


def _read_size(fields: dict[str, Any]) -> None:
    """Leave under DCLM's key what is no number of bytes.

    That is "26 TB", -1, and the length of a list of names, which its samples (with a `seed`) give.
    """
    size = fields.get("size_bytes")
    if size is not None and (not isinstance(size, int) or size < 0 or "seed" in fields):
        fields["size"] = fields.pop("size_bytes")


def _read_evaluation(fields: dict[str, Any]) -> None:
    """Take what DCLM nests or repeats; aggregates are dropped, since they follow.

    DCLM's `model` is an architecture (open_lm_1b) or a name; `model_name`, where given, a name.
    """
    model = fields.pop("model", "")
    if isinstance(model, Mapping):
        fields.setdefault("model_uuid", model.get("uuid", ""))
        model = str(model.get("name", ""))
    if fields.setdefault("model_name", model) != model and model:
        fields["model"] = model
    metrics = dict(fields.pop("eval_metrics", {}))
    fields["accuracies"] = {
        label: value
        for label, value in (metrics.pop("icl", None) or {}).items()
        if isinstance(value, int | float)
    }
    if metrics:
        fields["eval_metrics"] = metrics
    for version in ("v1", "v2"):
        for key in dclm_aggregates({}, version):
            fields.pop(key, None)


def name_of_model(evaluation: EvaluationRecord) -> str:
    """Return the model's name of an evaluation without model record."""
    name = evaluation.model_name
    if name and not name.startswith("open_lm_"):  # an architecture, which many models share
        return name
    file = evaluation.extra.get("_filename", name or evaluation.name)
    return Path(file).stem.removeprefix("evaluation_")


def export_to_dclm(records: Sequence[Record], folder: str | Path) -> list[Path]:
    """Write records as DCLM's `exp_data` has them and return the files.

    A name that is too long for a file, or that an earlier one has, gets the record's uuid.
    """
    files: dict[Path, None] = {}
    models = {one.uuid: one.name for one in records if isinstance(one, ModelRecord)}
    for record in records:
        place, name = _place_and_name(record, models)
        file = Path(folder) / place / f"{name}.json"
        if file in files or len(name.encode()) > _LONGEST_NAME_BYTES:
            cut = name.encode()[: _LONGEST_NAME_BYTES // 2].decode(errors="ignore")
            file = file.with_name(f"{cut}-{record.uuid}.json")
        files[file] = None
        # DCLM writes not-a-number as Python does.
        storage.write_bytes(str(file), json.dumps(to_dclm(record), indent=4).encode())
    return list(files)


def _place_and_name(record: Record, models: Mapping[str, str]) -> tuple[str, str]:
    """Return the folder of a record and its file's name without suffix; `models` has names."""
    place, name = FOLDERS[type(record)], record.name
    if isinstance(record, DatasetRecord):
        place += "/tokenized" if record.is_tokenized else "/untokenized"
    if isinstance(record, EvaluationRecord):
        model = models.get(record.model_uuid, record.model_name)
        name = f"evaluation_{model}_{Path(name).name}"
    return place, name.replace("/", "_")


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
        values.setdefault("model", record.model_name)
        metrics = dict(values.get("eval_metrics", {}))
        values["eval_metrics"] = {**metrics, "icl": dict(icl)}
        for version in ("v1", "v2"):
            values.update(dclm_aggregates(icl, version))
    return values
