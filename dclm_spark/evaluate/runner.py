"""Run tasks on a model with progress and resume, and write what came out."""

import hashlib
import json
import logging
import math
import random
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from dclm_spark.errors import InputError, SettingError
from dclm_spark.evaluate.bits_per_byte import read_damaged_texts, score_texts, told_lost
from dclm_spark.evaluate.datasets import MissingDataError, TaskData, load_task
from dclm_spark.evaluate.models import LoadedModel, products
from dclm_spark.evaluate.prompts import TaskPrompts
from dclm_spark.evaluate.results import EvaluateSettings, Results, summarize
from dclm_spark.evaluate.results_page import results_page
from dclm_spark.evaluate.scoring import score_windows
from dclm_spark.evaluate.suite import data_baseline
from dclm_spark.evaluate.tasks import Task
from udfs import storage
from udfs.storage.stream import shown

LOGGER = logging.getLogger("dclm_spark")

# Raised when a change of code changes records, so that old ones are not resumed.
RECORDS_VERSION = 2
# What a stopped run may lose, and how often it says where it is.
SAVE_SECONDS = 60.0


def evaluate(
    model: LoadedModel, tasks: Sequence[Task], output: str | Path, settings: EvaluateSettings
) -> dict[str, Any]:
    """Score `tasks`, write `results.json`, `results.html` and a file per task; return the summary.

    A task whose file in `output` was written with the same model, data and settings is not run
    again. A task without data is reported as missing, with the reason. Raises InputError when
    nothing at all could be scored, SettingError when the model cannot read settings.max_tokens.
    """
    output = Path(output)
    _check_length(model, settings)
    with products(model):
        results = _results(model, tasks, output, settings)
    if not results.tasks and not results.heldout:
        _explain_nothing(results)
    summary = summarize(results)
    _write(output / "results.json", json.dumps(summary, indent=1))
    _write(output / "results.html", results_page(summary))
    return summary


def _results(
    model: LoadedModel, tasks: Sequence[Task], output: Path, settings: EvaluateSettings
) -> Results:
    results = Results(model=model.name, fingerprint=model.fingerprint, settings=settings)
    for number, task in enumerate(tqdm(tasks, desc="tasks", disable=None), 1):
        place = f"{task.label} ({number} of {len(tasks)})"
        try:
            data = load_task(task, settings.data)
        except MissingDataError as error:
            results.missing[task.label] = str(error)
            LOGGER.warning("%s: missing, %s", place, error)
            continue
        result, resumed = _task_result(model, data, output / "tasks", settings)
        results.tasks[task.label] = result
        _log_task(place, result, resumed)
    for uri in settings.heldout:
        name = heldout_name(uri)
        if name in results.heldout:
            raise SettingError(
                f"heldout = {shown(uri)}: another file is called {name!r} too; rename one"
            )
        records, lost = _heldout_records(model, uri, output / "heldout", settings)
        results.heldout[name] = records
        if lost:
            results.lost_texts[name] = told_lost(lost)
    return results


# A task, or the URI of a file of held-out texts.
Part = Task | str


def score_part(
    model: LoadedModel, part: Part, output: str | Path, settings: EvaluateSettings
) -> None:
    """Score one part of what `evaluate` scores into its file, unless it is there already."""
    with products(model):
        if isinstance(part, str):
            _heldout_records(model, part, Path(output) / "heldout", settings)
            return
        data = load_task(part, settings.data)
        result, resumed = _task_result(model, data, Path(output) / "tasks", settings)
    _log_task(part.label, result, resumed)


def _check_length(model: LoadedModel, settings: EvaluateSettings) -> None:
    if model.max_positions is not None and settings.max_tokens > model.max_positions:
        raise SettingError(
            f"max_tokens = {settings.max_tokens}: {model.name} reads {model.max_positions} "
            f"positions at most; pass --max-tokens {model.max_positions} (longer prompts are cut "
            "on the left, so results differ from those of models with 2048)"
        )


def _explain_nothing(results: Results) -> None:
    reasons = "; ".join(list(results.missing.values())[:3])
    raise InputError(
        f"nothing was scored: {reasons or 'no task and no --heldout was given'}; --data is a "
        "folder with local_data/ as llm-foundry's scripts/eval has it (docs/evaluation.md)"
    )


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


def _log_task(place: str, result: dict[str, Any], resumed: bool) -> None:
    right = [record["ok"] for record in result["records"]]
    LOGGER.info(
        "%s: %d rows, accuracy %.3f, %s",
        place,
        len(right),
        sum(right) / max(len(right), 1),
        "already scored" if resumed else f"{result['seconds']:.1f} s",
    )


def _task_result(
    model: LoadedModel, data: TaskData, folder: Path, settings: EvaluateSettings
) -> tuple[dict[str, Any], bool]:
    """Return the result of a task, and whether it was there already."""
    label = data.task.label
    file = folder / f"{label}.json"
    key = _key(model, data, settings)
    if file.is_file():
        written: dict[str, Any] = json.loads(file.read_text())
        if written["key"] == key:
            return written, True
    rows = sampled_rows(data, settings.sample, settings.seed)
    prompts = TaskPrompts(data, model.encoder, settings.max_tokens)
    started = time.monotonic()
    unfinished = folder / f"{label}.unfinished"
    records = _score(model, prompts, rows, settings, unfinished, key)
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
    _write(file, json.dumps(result))
    unfinished.unlink(missing_ok=True)
    return result, False


def _score(
    model: LoadedModel,
    prompts: TaskPrompts,
    rows: Sequence[tuple[str | None, int]],
    settings: EvaluateSettings,
    unfinished: Path,
    key: str,
) -> list[dict[str, Any]]:
    """Score `rows`, but for the windows of rows that a stopped run has left in `unfinished`."""
    records = _left_behind(unfinished, key)
    label, saved = prompts.task.label, time.monotonic()
    with tqdm(
        desc=label, total=len(rows), initial=len(records), leave=False, disable=None
    ) as progress:
        left = rows[len(records) :]
        for window in score_windows(model.scorer, prompts, left, settings.batch_tokens):
            records += window
            progress.update(len(window))
            if len(records) < len(rows) and time.monotonic() - saved >= SAVE_SECONDS:
                _write(unfinished, json.dumps({"key": key, "records": records}))
                LOGGER.info("%s: %d of %d rows", label, len(records), len(rows))
                saved = time.monotonic()
    return records


def _left_behind(unfinished: Path, key: str) -> list[dict[str, Any]]:
    if not unfinished.is_file():
        return []
    written = json.loads(unfinished.read_text())
    return list(written["records"]) if written["key"] == key else []


def heldout_name(uri: str) -> str:
    """Return the name of a held-out file in results: `news` for s3://bucket/news.jsonl.zst."""
    return uri.rpartition("/")[2].partition(".")[0]


def _heldout_records(
    model: LoadedModel, uri: str, folder: Path, settings: EvaluateSettings
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return a record of each held-out text, and what of the file could not be read."""
    texts, lost = read_damaged_texts(uri)
    facts = (
        RECORDS_VERSION, model.fingerprint, texts, settings.max_tokens, model.special_tokens
    )  # fmt: skip
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    file = folder / f"{heldout_name(uri)}.json"
    if file.is_file():
        written = json.loads(file.read_text())
        if written["key"] == key:
            return list(written["records"]), lost
    scored = score_texts(
        model.scorer,
        model.encoder,
        texts,
        max_tokens=settings.max_tokens,
        batch_tokens=settings.batch_tokens,
    )
    records = list(tqdm(scored, desc=heldout_name(uri), total=len(texts), disable=None))
    _write(file, json.dumps({"key": key, "uri": uri, "records": records}))
    return records, lost


def _key(model: LoadedModel, data: TaskData, settings: EvaluateSettings) -> str:
    parts = (
        RECORDS_VERSION,
        model.fingerprint,
        asdict(data.task),
        data.sha256,
        settings.sample,
        settings.seed,
        settings.max_tokens,
        model.special_tokens,
    )
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def read_run(output: str | Path) -> dict[str, list[dict[str, Any]]]:
    """Return the item records by task label that `evaluate` left in `output`."""
    return _read_records(Path(output) / "tasks")


def read_heldout(output: str | Path) -> dict[str, list[dict[str, Any]]]:
    """Return the records of held-out texts by name that `evaluate` left in `output`."""
    return _read_records(Path(output) / "heldout")


def _read_records(folder: Path) -> dict[str, list[dict[str, Any]]]:
    files = sorted(folder.glob("*.json"))
    return {file.stem: json.loads(file.read_text())["records"] for file in files}


def _write(file: Path, content: str) -> None:
    storage.write_bytes(str(file), content.encode())
