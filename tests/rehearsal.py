"""docs/seven_billion.md in miniature: `python -m tests.rehearsal --output FOLDER`.

The page's commands are run as they stand, with other values of its variables.
"""

import argparse
import json
import os
import re
import shlex
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from dclm_spark.evaluate.tasks import CHOICE, CORE, EXACT, MMLU, SCHEMA, TASK_BY_LABEL, Task

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "seven_billion.md"
_ROWS_OF_A_TASK = 4
_NUM_PAGES = 700
# A network, batches and lengths for seconds on a CPU; everything else stays the scale's.
_SMALL = {
    "model.width": 64, "model.num_layers": 2, "model.num_heads": 2, "model.sequence_length": 256,
    "batch_sequences": 4, "micro_batch_sequences": 2, "tokens": 12 * 4 * 256, "precision": "fp32",
    "compile": "false", "data.passes": 100, "data.heldout_sequences": 4,
    "checkpoint.interval_steps": 6, "observe.interval_steps": 2, "observe.tensorboard": "false",
}  # fmt: skip


def blocks() -> list[str]:
    """Return the page's blocks of commands: the first sets the variables."""
    return re.findall(r"^```bash\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def variables() -> list[str]:
    """Return the names that the first block sets."""
    return re.findall(r"^(\w+)=", blocks()[0], re.MULTILINE)


def commands() -> list[list[str]]:
    """Return the words of each command of the other blocks, variables unresolved."""
    text = "\n".join(blocks()[1:]).replace("\\\n", " ")
    return [shlex.split(line) for line in text.splitlines() if line.strip()]


def rehearse(folder: Path) -> dict[str, Any]:
    """Make the inputs, run every command, and return the evaluation's results."""
    folder = folder.resolve()
    values = {**_inputs(folder), **_places(folder)}
    assert set(values) == set(variables()), "a variable of the page has no value here"
    _write_programs(folder / "bin")
    script = "\n".join(f"{name}={shlex.quote(value)}" for name, value in values.items())
    script = "\n".join(["set -eux", script, *blocks()[1:]])
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run(["bash", "-c", script], cwd=ROOT, env=environment, check=True)
    results: dict[str, Any] = json.loads((folder / "disk/evaluation/results.json").read_text())
    return results


def _places(folder: Path) -> dict[str, str]:
    small = " ".join(f"--set {key}={value}" for key, value in _SMALL.items())
    return {
        "STRICT": "0.6",
        "WORK": str(folder / "work"),
        "DISK": str(folder / "disk"),
        "CACHE": str(folder / "cache"),
        "GPUS": "2",
        "SMALL": small,
    }


def _inputs(folder: Path) -> dict[str, str]:
    """Write the sample's crawl and models, recipes that name them, texts and tasks."""
    from dclm_spark.recipes import load_recipe
    from dclm_spark.sample.generate import generate_crawl
    from dclm_spark.sample.sample_run import sample_recipe
    from dclm_spark.settings import to_yaml

    place = folder / "inputs"
    sample = generate_crawl(place / "crawl", seed=1, num_pages=_NUM_PAGES)
    recipe = sample_recipe(load_recipe("sample", []), sample, place)
    recipe = replace(recipe, tokens=replace(recipe.tokens, sequences_per_shard=32))
    raw = replace(load_recipe("raw", []), tokens=recipe.tokens)
    for name, one in (("recipe", recipe), ("math", raw)):
        (place / f"{name}.yaml").write_text(to_yaml(one))
    for label in (*CORE, MMLU):
        _write_task(place / "evaluation", TASK_BY_LABEL[label])
    return {
        "LISTING": str(sample.listing),
        "BASE": str(sample.base),
        "MATH": str(sample.positives),
        "EVALUATION": str(place / "evaluation"),
        "TOKENIZER": str(recipe.tokens.tokenizer.uri),
        "RECIPE": str(place / "recipe.yaml"),
        "MATH_RECIPE": str(place / "math.yaml"),
    }


def _write_task(root: Path, task: Task) -> None:
    file = root / task.file
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in _rows(task)))


def _rows(task: Task) -> Iterator[dict[str, Any]]:
    for number in range(_ROWS_OF_A_TASK):
        asked, right = f"{number} and {number} are", f"{2 * number}"
        row: dict[str, Any] = {"context": asked, "answer": right, "aliases": []}
        if task.kind == CHOICE:
            row = {"query": asked, "choices": [right, "none"], "gold": 0}
        elif task.kind == EXACT:
            row = {"context": asked, "continuation": right}
        elif task.kind == SCHEMA:
            row = {"context_options": [asked, "none is"], "continuation": right, "gold": 0}
        yield row | ({"category": "ab"[number % 2]} if task.has_categories else {})


def _write_programs(folder: Path) -> None:
    """Write the programs that the page calls, for one machine and this interpreter."""
    python = shlex.quote(sys.executable)
    submit = shlex.quote(str(ROOT / "infra/spark/spark-submit"))
    programs = {
        "python": f'exec {python} "$@"',
        "torchrun": f'exec {python} -m torch.distributed.run --standalone "$@"',
        "spark-submit": f"PYTHON={python} exec {submit} --master 'local[2]' \"$@\"",
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in programs.items():
        file = folder / name
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)


def main() -> None:
    """Rehearse and say how long it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "out" / "rehearsal")
    started = time.monotonic()
    results = rehearse(parser.parse_args().output)
    named = {name: results["aggregates"][name]["value"] for name in ("core_v2", "mmlu")}
    print(f"rehearsed in {(time.monotonic() - started) / 60:.1f} minutes: {named}")


if __name__ == "__main__":
    main()
