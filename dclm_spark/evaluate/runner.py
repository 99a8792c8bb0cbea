"""Run tasks on a model with progress and resume, and write what came out."""

import hashlib
import json
import math
import os
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from dclm_spark.errors import SettingError
from dclm_spark.evaluate.aggregate import centered
from dclm_spark.evaluate.bits_per_byte import bits_per_byte, read_texts, score_texts
from dclm_spark.evaluate.data import MissingDataError, TaskData, load_task
from dclm_spark.evaluate.models import LoadedModel
from dclm_spark.evaluate.prompts import TaskPrompts
from dclm_spark.evaluate.report import results_page
from dclm_spark.evaluate.scoring import score_rows
from dclm_spark.evaluate.suite import data_baseline, suite_metrics, task_metrics
from dclm_spark.evaluate.tasks import CORE, EXTENDED, MMLU, Task
from dclm_spark.settings import to_dict
from udfs.resuming import shown

# Raised when a change of code changes records, so that old ones are not resumed.
RECORDS_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings:
    """What to run: `sample` rows of each task at most (None: all), spread evenly from `seed`.

    `heldout` are JSON-lines files of texts for bits per byte; `batch_tokens` bounds memory.
    """

    data: str
    sample: int | None = None
    seed: int = 0
    heldout: tuple[str, ...] = ()
    batch_tokens: int = 8192
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

    @property
    def run(self) -> dict[str, list[dict[str, Any]]]:
        """Return the item records by label, as `suite` takes them."""
        return {label: result["records"] for label, result in self.tasks.items()}


def evaluate(
    model: LoadedModel, tasks: Sequence[Task], output: str | Path, settings: EvaluateSettings
) -> dict[str, Any]:
    """Score `tasks`, write `results.json`, `results.html` and a file per task; return the summary.

    A task whose file in `output` was written with the same model, data and settings is not run
    again. A task without data is reported as missing, with the reason.
    """
    output = Path(output)
    results = Results(model=model.name, fingerprint=model.fingerprint, settings=settings)
    for task in tqdm(tasks, desc="tasks", disable=None):
        try:
            data = load_task(task, settings.data)
        except MissingDataError as error:
            results.missing[task.label] = str(error)
            continue
        results.tasks[task.label] = _task_result(model, data, output / "tasks", settings)
    for uri in settings.heldout:
        name = heldout_name(uri)
        if name in results.heldout:
            raise SettingError(
                f"heldout = {shown(uri)}: another file is called {name!r} too; rename one"
            )
        results.heldout[name] = _heldout_records(model, uri, output / "heldout", settings)
    summary = summarize(results)
    write_atomically(output / "results.json", json.dumps(summary, indent=1))
    write_atomically(output / "results.html", results_page(summary))
    return summary


def sampled_rows(data: TaskData, sample: int | None, seed: int) -> list[tuple[str | None, int]]:
    """Return the (category, row) of the items to score: all, or an even spread of `sample`.

    Of n rows and a limit k these are rows floor((i + u) n / k); u is 0 for seed 0, else drawn
    from the seed. With categories each gets ceil(sample / categories).
    """
    offset = random.Random(seed).random() if seed else 0.0
    categories = data.categories()
    limit = math.inf if sample is None else math.ceil(sample / len(categories))
    chosen: list[tuple[str | None, int]] = []
    for category, members in categories.items():
        count = int(min(limit, len(members)))
        step = len(members) / count
        shift = offset if count < len(members) else 0.0
        chosen.extend((category, int((place + shift) * step)) for place in range(count))
    return chosen


def _task_result(
    model: LoadedModel, data: TaskData, folder: Path, settings: EvaluateSettings
) -> dict[str, Any]:
    label = data.task.label
    file = folder / f"{label}.json"
    key = _key(model, data, settings)
    if file.is_file():
        written: dict[str, Any] = json.loads(file.read_text())
        if written["key"] == key:
            return written
    rows = sampled_rows(data, settings.sample, settings.seed)
    prompts = TaskPrompts(data, model.tokenizer, settings.max_tokens)
    started = time.monotonic()
    scored = score_rows(model.scorer, prompts, rows, settings.batch_tokens)
    records = list(tqdm(scored, desc=label, total=len(rows), leave=False, disable=None))
    records.sort(key=lambda record: record["file_row"])
    result = {
        "key": key,
        "task": asdict(data.task),
        "data": {
            "status": data.status,
            "note": data.note,
            "sha256": data.sha256,
            "rows": len(data.rows),
        },
        "baseline_data": data_baseline(data),
        "seconds": round(time.monotonic() - started, 2),
        "records": records,
    }
    write_atomically(file, json.dumps(result))
    return result


def heldout_name(uri: str) -> str:
    """Return the name of a held-out file in results: `news` for s3://bucket/news.jsonl.zst."""
    return uri.rpartition("/")[2].partition(".")[0]


def _heldout_records(
    model: LoadedModel, uri: str, folder: Path, settings: EvaluateSettings
) -> list[dict[str, Any]]:
    texts = read_texts(uri)
    facts = (RECORDS_VERSION, model.fingerprint, texts, settings.max_tokens)
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    file = folder / f"{heldout_name(uri)}.json"
    if file.is_file():
        written = json.loads(file.read_text())
        if written["key"] == key:
            return list(written["records"])
    scored = score_texts(
        model.scorer,
        model.tokenizer,
        texts,
        max_tokens=settings.max_tokens,
        end_of_text_id=model.end_of_text_id,
        batch_tokens=settings.batch_tokens,
    )
    records = list(tqdm(scored, desc=heldout_name(uri), total=len(texts), disable=None))
    write_atomically(file, json.dumps({"key": key, "uri": uri, "records": records}))
    return records


def _key(model: LoadedModel, data: TaskData, settings: EvaluateSettings) -> str:
    parts = (
        RECORDS_VERSION,
        model.fingerprint,
        asdict(data.task),
        data.sha256,
        settings.sample,
        settings.seed,
        settings.max_tokens,
    )
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def summarize(results: Results) -> dict[str, Any]:
    """Return the result record: every number with n, standard error and interval.

    CORE, EXTENDED and MMLU have value null and the reasons when a task is missing; the mean over
    the tasks that are there is under `..._partial`, with their number.
    """
    chance = {label: result["baseline_data"] for label, result in results.tasks.items()}
    aggregates = {
        name: metric.estimate().to_dict()
        for name, metric in (suite_metrics([results.run], chance) if results.tasks else {}).items()
    }
    for name, labels in {"core": CORE, "extended": EXTENDED, "mmlu": (MMLU,)}.items():
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
    return found


def read_run(output: str | Path) -> dict[str, list[dict[str, Any]]]:
    """Return the item records by task label that `evaluate` left in `output`."""
    return _read_records(Path(output) / "tasks")


def read_heldout(output: str | Path) -> dict[str, list[dict[str, Any]]]:
    """Return the records of held-out texts by name that `evaluate` left in `output`."""
    return _read_records(Path(output) / "heldout")


def _read_records(folder: Path) -> dict[str, list[dict[str, Any]]]:
    files = sorted(folder.glob("*.json"))
    return {file.stem: json.loads(file.read_text())["records"] for file in files}


def write_atomically(file: Path, text: str) -> None:
    """Write `text` so that a reader sees either nothing or all of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    partial.write_text(text)
    partial.replace(file)
