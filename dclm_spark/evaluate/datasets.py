"""Rows of the evaluation sets, read by URI and checked against their digests."""

import csv
import hashlib
import io
import json
import random
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from dclm_spark.errors import InputError
from dclm_spark.evaluate.tasks import Task
from udfs import storage
from udfs.storage.stream import shown

Row = dict[str, Any]

# Keys of which a row has one: what is asked, or the text that is to be gone on with.
ASKING = ("query", "context", "context_options")
# GPQA's authors publish it in their README; the lock only keeps the questions off the plain web.
GPQA_PASSWORD = "deserted-untie-orchid"
# The order of DCLM's four choices comes from this seed, one generator per file (spec 8.5).
GPQA_CHOICE_SEED = 42


class MissingDataError(InputError):
    """The data of a task is not at the data root."""


@dataclass(frozen=True, kw_only=True)
class TaskData:
    """All rows of one task in file order.

    `status` says how the file relates to the one DCLM used: exact, equivalent, partial,
    encrypted, or unknown when the root has no `tasks.tsv`. `sha256` is of the bytes read.
    """

    task: Task
    rows: list[Row]
    status: str
    sha256: str
    note: str = ""

    def categories(self) -> dict[str | None, list[int]]:
        """Return file row numbers by category, alphabetically; one `None` category otherwise."""
        if not self.task.has_categories:
            return {None: list(range(len(self.rows)))}
        found: dict[str | None, list[int]] = {}
        for number, row in enumerate(self.rows):
            found.setdefault(row["category"], []).append(number)
        return dict(sorted(found.items(), key=lambda item: str(item[0])))


@dataclass(frozen=True)
class DataRoot:
    """A folder by path or URI, laid out as llm-foundry's `scripts/eval`."""

    uri: str

    def read(self, path: str) -> bytes | None:
        """Return the bytes at `path` below the root, or None when nothing is there."""
        try:
            return storage.read_bytes(storage.join(self.uri, path))
        except storage.MissingObjectError:
            return None

    def facts(self) -> dict[str, dict[str, str]]:
        """Return the rows of the root's `tasks.tsv` by label; empty when there is none."""
        content = self.read("tasks.tsv")
        if content is None:
            return {}
        lines = io.StringIO(content.decode())
        table = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {row["label"]: row for row in table}


def load_task(task: Task, root: str | Path, gpqa_password: str = GPQA_PASSWORD) -> TaskData:
    """Read the rows of `task`; every top-level string is stripped, as the reference does.

    Raises MissingDataError when the file is absent and InputError when its digest is wrong, or a
    line is no row of a task.
    """
    source = DataRoot(str(root))
    facts = source.facts().get(task.label, {})
    rows: Iterable[Row]
    if task.file.startswith("gpqa/"):
        content = _content(source, task, ("gpqa/dataset.zip",))
        rows = _gpqa_rows(content, task.label, gpqa_password)
    else:
        content = _content(source, task, (task.file, f"{task.file}.zst"))
        rows = _json_rows(content, f"{task.label}: {task.file} at {shown(str(root))}")
    digest = hashlib.sha256(content).hexdigest()
    expected = facts.get("sha256_uncompressed", "")
    if expected and expected != digest:
        raise InputError(
            f"{task.label}: {task.file} at {shown(str(root))} has SHA-256 {digest}, tasks.tsv says "
            f"{expected}; fetch the file again or correct tasks.tsv"
        )
    return TaskData(
        task=task,
        rows=[_stripped(row) for row in rows],
        status=facts.get("status", "unknown"),
        sha256=digest,
        note=facts.get("note", ""),
    )


def _content(source: DataRoot, task: Task, paths: tuple[str, ...]) -> bytes:
    for path in paths:
        content = source.read(path)
        if content is not None:
            return _decompressed(content) if path.endswith(".zst") else content
    raise MissingDataError(f"{task.label}: no {' or '.join(paths)} at {shown(source.uri)}")


def _decompressed(content: bytes) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(content)) as reader:
        return bytes(reader.read())


def _stripped(row: Row) -> Row:
    return {key: value.strip() if isinstance(value, str) else value for key, value in row.items()}


def _json_rows(content: bytes, where: str) -> Iterator[Row]:
    """Yield the rows of JSON lines, of which each asks something; `where` begins an error."""
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"{where}, line {number}: not JSON ({error})") from error
        if not isinstance(row, dict) or not any(key in row for key in ASKING):
            keys = ", ".join(row) if isinstance(row, dict) else type(row).__name__
            raise InputError(
                f"{where}, line {number}: no row of a task, which has one of {', '.join(ASKING)} "
                f"(docs/evaluation.md); found: {keys}"
            )
        yield row
    if not content.strip():
        raise InputError(f"{where}: the file is empty; fetch it again")


def _gpqa_rows(archive: bytes, label: str, password: str) -> Iterator[Row]:
    """Decrypt one CSV of GPQA in memory and put its choices into DCLM's order."""
    order = random.Random(GPQA_CHOICE_SEED)
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        name = next(name for name in files.namelist() if name.endswith(f"{label}.csv"))
        try:
            text = files.read(name, pwd=password.encode()).decode()
        except RuntimeError as error:
            raise InputError(f"{label}: cannot decrypt gpqa/dataset.zip: {error}") from error
    for row in csv.DictReader(io.StringIO(text, newline="")):
        answers = [row["Correct Answer"], *(row[f"Incorrect Answer {n}"] for n in (1, 2, 3))]
        places = [0, 1, 2, 3]
        order.shuffle(places)
        yield {
            "query": row["Question"],
            "choices": [answers[place] for place in places],
            "gold": places.index(0),
        }
