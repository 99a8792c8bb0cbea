"""What docs/training.md and docs/evaluation.md need of a GPU, in ten minutes at most.

    python -m tests.benchmarks.gpu --output OUT --tokenizer FILE --data EVAL --shards SHARDS

Steps of four scales (rate, MFU, memory), the same scale as a run against its benchmark, evaluation
of the model that this leaves (or of `--model`), its CORE in bf16 beside fp32, its tasks on one
device and on all, and a probe beside its scale. What has no input, or no time left, is left out.
`--miniature` tries every part on a CPU in a minute, with two processes for two devices.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dclm_spark.train.logs import read_log
from tests.dclm_spark.train.shards import write_shards

ROOT = Path(__file__).resolve().parents[2]
# What CORE in bf16 may differ by from fp32.
MOST_DIFFERENCE = 0.002
SCALES = ("125m", "80m", "1b-1x", "7b-1x")
_REPORT = re.compile(
    r"step: ([\d.]+) ms \(([\d.]+) waiting .*?; ([\d,]+) tokens/s.*?"
    r"data sheet's peak: (\w+\.?\d*);.*?TFLOP/s\): ([\d.]+)(?:\npeak memory: ([\d.]+) GiB)?",
    re.DOTALL,
)
_FIELDS = ("step_ms", "wait_ms", "tokens_per_second", "mfu", "of_product", "memory_gib")


@dataclass
class Session:
    """The inputs, the place of the results, and the time that is left."""

    given: argparse.Namespace
    started: float = field(default_factory=time.monotonic)

    def left(self) -> float:
        """Return the seconds that are left."""
        return float(self.given.minutes * 60 - (time.monotonic() - self.started))

    def job(self, name: str, *arguments: object) -> str:
        """Run a job within the time that is left and return what it printed."""
        command = [sys.executable, str(ROOT / "jobs" / f"{name}.py"), *map(str, arguments)]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=self.left()
        )
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        return done.stdout

    def small(self, scale: str) -> list[str]:
        """Return what makes a scale fit a CPU, in a miniature."""
        if not self.given.miniature:
            return []
        options = {
            "model.width": 64, "model.num_layers": 2, "model.num_heads": 2, "precision": "fp32",
            "model.sequence_length": 64, "compile": "false", "micro_batch_sequences": 2,
            "batch_sequences": 4, "model.vocabulary_size": 50_432,
        }  # fmt: skip
        return [f"--set={key}={value}" for key, value in options.items()]


def steps_of_scales(session: Session) -> Iterator[dict[str, Any]]:
    """Yield the rate, utilization and memory of each scale's steps."""
    for scale in SCALES:
        yield {"scale": scale, **_benchmarked(session, scale)}


def _benchmarked(session: Session, scale: str) -> dict[str, Any]:
    text = session.job("train_model", "--scale", scale, "--benchmark", *session.small(scale))
    found = _REPORT.search(text)
    assert found is not None, text[:2000]
    return dict(zip(_FIELDS, (one and one.replace(",", "") for one in found.groups()), strict=True))


def run_against_benchmark(session: Session) -> Iterator[dict[str, Any]]:
    """Yield the rate of 125m as a run on shards, given or random, over that of its benchmark."""
    length = 64 if session.given.miniature else 2048
    steps, folder = (20, 4) if session.given.miniature else (120, 64), session.given.output
    session.job(
        "train_model", "--scale", "125m", *session.small("125m"), "--shards",
        session.given.shards or _random_shards(folder, length, steps[0] * steps[1]), "--output",
        folder / "run", f"--set=tokens={steps[0] * steps[1] * length}",
        f"--set=schedule.warmup_steps={steps[0] // 10}", "--set=data.passes=100",
        "--set=observe.interval_steps=10", "--set=observe.tensorboard=false",
    )  # fmt: skip
    lines = [one for one in read_log(folder / "run" / "log.jsonl") if one["kind"] == "train"]
    # The first lines hold the compilation.
    rate = float(np.median([one["tokens_per_second"] for one in lines[len(lines) // 2 :]]))
    benchmarked = float(_benchmarked(session, "125m")["tokens_per_second"])
    yield {"run": rate, "benchmark": benchmarked, "share": rate / benchmarked}


def _random_shards(folder: Path, length: int, num_rows: int) -> Path:
    rows = np.random.default_rng(0).integers(50_000, size=(num_rows + 256, length + 1))
    return write_shards(
        folder / "shards", rows.astype(np.uint16), sequences_per_shard=num_rows,
        vocabulary_size=50_277,
    )  # fmt: skip


def evaluation(session: Session) -> Iterator[dict[str, Any]]:
    """Yield how long rows of each of the 53 tasks take a 125m hardly trained, by devices."""
    devices = 2 if session.given.miniature else torch.cuda.device_count()
    for number in sorted({1, devices}):
        started = time.monotonic()
        summary = _evaluated(session, f"on-{number}", "extended", 100, "--gpus", number)
        if summary is None:
            return
        rows = sum(task["n"] for task in summary["tasks"].values())
        yield {"devices": number, "rows": rows, "seconds": time.monotonic() - started}


def core_in_bf16(session: Session) -> Iterator[dict[str, Any]]:
    """Yield CORE on the same rows in fp32 and in bf16, and whether they differ by 0.002 at most."""
    found: dict[str, float] = {}
    for precision in ("fp32", "bf16"):
        started = time.monotonic()
        summary = _evaluated(session, precision, "core", 500, "--precision", precision)
        if summary is None:
            return
        aggregates = summary["aggregates"]
        core = aggregates.get("core_v2_partial", aggregates["core_v2"])
        found[precision] = core["value"]
        found[f"{precision}_seconds"] = time.monotonic() - started
    difference = abs(found["bf16"] - found["fp32"])
    yield {**found, "difference": difference, "within": difference <= MOST_DIFFERENCE}


def _evaluated(
    session: Session, name: str, tasks: str, rows: int, *options: object
) -> dict[str, Any] | None:
    """Evaluate the model on so many rows of each task; return the summary, None without data."""
    given = session.given
    if not (given.tokenizer and given.data):
        return None
    output = given.output / "evaluation" / name
    session.job(
        "evaluate_model", "--model", given.model or given.output / "run", "--tokenizer",
        given.tokenizer, "--data", given.data, "--output", output, *options,
        *(("--tasks", "copa,lambada_openai", "--sample", 8, "--max-tokens", 64)
          if given.miniature else ("--tasks", tasks, "--sample", rows)),
    )  # fmt: skip
    summary: dict[str, Any] = json.loads((output / "results.json").read_text())
    return summary


def probe_beside_its_scale(session: Session) -> Iterator[dict[str, Any]]:
    """Yield the held-out loss of 20m, and of its probe with 0.6 of the tokens."""
    if not session.given.shards:
        return
    tokens = 4 * 64 * 40 if session.given.miniature else 64 * 2048 * 400
    for scale, share in (("20m", 1.0), ("probe-20m", 0.6)):
        printed = session.job(
            "train_model", "--scale", scale, *session.small(scale), "--shards",
            session.given.shards, "--output", session.given.output / scale,
            f"--set=tokens={round(tokens * share)}", "--set=schedule.warmup_steps=4",
            "--set=data.passes=100", "--set=observe.tensorboard=false",
        )  # fmt: skip
        result = json.loads(printed)
        yield {"scale": scale, "tokens": result["num_tokens"], "heldout": result["heldout_loss"]}


PARTS: tuple[Callable[[Session], Iterator[dict[str, Any]]], ...] = (
    run_against_benchmark, core_in_bf16, evaluation, probe_beside_its_scale, steps_of_scales,
)  # fmt: skip


def main() -> None:
    """Run the parts while there is time; each result is a line, and kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--tokenizer")
    parser.add_argument("--data")
    parser.add_argument("--shards")
    parser.add_argument("--model", help="what is evaluated, instead of the run made here")
    parser.add_argument("--minutes", type=float, default=9.5)
    parser.add_argument("--miniature", action="store_true")
    session = Session(parser.parse_args())
    session.given.output.mkdir(parents=True, exist_ok=True)
    with (session.given.output / "results.jsonl").open("a") as stream:
        for part in PARTS:
            try:
                for found in part(session):
                    line = json.dumps({"part": part.__name__, **found})
                    print(line, file=stream, flush=True)
                    print(line, flush=True)
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                print(f"{part.__name__}: {error}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
