"""What a run says of itself: a line log, TensorBoard, Weights & Biases, a bar, its utilization."""

import json
import logging
import math
import os
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from tqdm import tqdm

LOGGER = logging.getLogger("dclm_spark")
# How often progress is said where there is no terminal for a bar.
PROGRESS_SECONDS = 30.0

# Dense bf16 operations per second, from the makers' data sheets.
PEAK_FLOPS_PER_SECOND = {
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "H200": 989e12,
    "GH200": 989e12,
    "B200": 2250e12,
    "A100": 312e12,
    "L40S": 362e12,
}


@dataclass(frozen=True, kw_only=True)
class ObserveSettings:
    """What is measured, and how often."""

    # Steps between log lines; each line holds means over its steps.
    interval_steps: int = 20
    # Steps between evaluations on held-out sequences; 0: only at the end.
    heldout_interval_steps: int = 1000
    # Whose held-out loss that is: last, or averaged (needs optimizer.average_decay).
    heldout_weights: str = "last"
    # Steps between losses by domain, joined from provenance; 0: never.
    domain_interval_steps: int = 0
    # Whether each log line of a corpus of several sources has tokens, share and loss of each, in
    # its last step; joined from provenance.
    source_losses: bool = True
    tensorboard: bool = True
    # Project of Weights & Biases that log lines are sent to; WANDB_MODE=offline keeps them in the
    # output, for `wandb sync`. None: none.
    wandb_project: str | None = None
    # Peak bf16 operations per second of one device, for MFU; None: by the device's name.
    peak_flops_per_second: float | None = None


def peak_flops_per_second(settings: ObserveSettings, device: torch.device) -> float | None:
    """Return the device's peak, or None where it is not known (every CPU)."""
    if settings.peak_flops_per_second is not None or device.type != "cuda":
        return settings.peak_flops_per_second
    name = torch.cuda.get_device_name(device)
    return next((peak for key, peak in PEAK_FLOPS_PER_SECOND.items() if key in name), None)


def utilization(
    tokens_per_second: float, flops_per_token: int, num_devices: int, peak: float | None
) -> float | None:
    """Return model FLOPs utilization: tokens/s * FLOPs/token / (devices * peak FLOPs/s)."""
    return None if peak is None else tokens_per_second * flops_per_token / (num_devices * peak)


class Board(Protocol):
    """Where the numbers of log lines are shown."""

    def add(self, numbers: Mapping[str, float], step: int) -> None:
        """Take the numbers of a line, by names such as train/loss."""

    def close(self) -> None:
        """Write out what is held, and end."""


class RunLog:
    """The lines of `log.jsonl`, mirrored to boards and the terminal; silent off rank 0.

    `facts` are what a board shows beside the numbers: the run's settings.
    """

    def __init__(
        self, output: Path, settings: ObserveSettings, *, is_first: bool, first_step: int,
        last_step: int, facts: Callable[[], dict[str, Any]] = dict,
    ) -> None:  # fmt: skip
        self.path = output / "log.jsonl"
        self.is_first = is_first
        self._boards: list[Board] = []
        self._bar: Any = None
        self._first_step, self._last_step = first_step, last_step
        self._started = self._said = time.monotonic()
        self._loss = float("nan")
        if not is_first:
            return
        self._forget_after(first_step)
        if settings.tensorboard:
            self._boards.append(_TensorBoard(output / "tensorboard", first_step))
        if settings.wandb_project is not None:
            self._boards.append(_WeightsAndBiases(output, settings.wandb_project, facts()))
        if sys.stderr.isatty():
            self._bar = tqdm(total=last_step, initial=first_step, unit="step", smoothing=0.1)

    def write(self, kind: str, step: int, facts: dict[str, Any]) -> None:
        """Append one line; `step` counts the updates done."""
        if not self.is_first:
            return
        line = {"kind": kind, "step": step, **facts}
        with self.path.open("a") as stream:
            stream.write(json.dumps(line) + "\n")
        numbers = {
            f"{kind}/{name}": value
            for name, value in facts.items()
            if isinstance(value, int | float) and math.isfinite(value)
        }
        for board in self._boards:
            board.add(numbers, step)
        if kind == "train":
            self._loss = facts["loss"]
        if kind == "train" and self._bar is not None:
            self._bar.set_postfix_str(
                f"loss {facts['loss']:.4f}, {facts['tokens_per_second']:,.0f} tokens/s"
            )

    def advance(self, step: int) -> None:
        """Move the progress bar to `step`; without a terminal, say now and then how far it is."""
        if self._bar is not None:
            self._bar.update()
        elif self.is_first and time.monotonic() - self._said >= PROGRESS_SECONDS:
            self._said = time.monotonic()
            LOGGER.info("%s", self._progress(step))

    def _progress(self, step: int) -> str:
        rate = (step - self._first_step) / (time.monotonic() - self._started)
        left = int((self._last_step - step) / rate)
        return (
            f"step {step:,} of {self._last_step:,} ({100 * step / self._last_step:.1f} %), "
            f"{rate:.2f} steps/s, {left // 3600}:{left // 60 % 60:02}:{left % 60:02} left, "
            f"loss {self._loss:.4f}"
        )

    def close(self) -> None:
        """Flush and release everything."""
        for board in self._boards:
            board.close()
        if self._bar is not None:
            self._bar.close()

    def _forget_after(self, step: int) -> None:
        """Drop the lines of steps that a killed run took after the checkpoint we start from."""
        if self.path.exists():
            kept = [line for line in read_log(self.path) if line["step"] <= step]
            partial = self.path.with_suffix(f".{os.getpid()}")
            partial.write_text("".join(json.dumps(line) + "\n" for line in kept))
            partial.replace(self.path)


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return a log's lines; a last one that was cut off is left out."""
    lines: list[dict[str, Any]] = []
    for text in path.read_text().splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break
    return lines


class _TensorBoard:
    def __init__(self, directory: Path, first_step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ValueError(
                "observe.tensorboard = True: tensorboard is not installed; install "
                "dclm-spark[train] or pass --set observe.tensorboard=false"
            ) from error
        self._writer: Any = SummaryWriter(str(directory), purge_step=first_step + 1)

    def add(self, numbers: Mapping[str, float], step: int) -> None:
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _WeightsAndBiases:
    """One run of the service; a resumed one goes on under the id kept beside the output."""

    def __init__(self, output: Path, project: str, facts: dict[str, Any]) -> None:
        setting = f"observe.wandb_project = {project!r}"
        try:
            import wandb
        except ImportError as error:
            raise ValueError(
                f"{setting}: wandb is not installed; install dclm-spark[wandb], or leave it out"
            ) from error
        kept = output / "wandb.id"
        if not kept.is_file():
            kept.write_text(uuid.uuid4().hex)
        try:
            self._run: Any = wandb.init(
                project=project, dir=str(output), name=output.name, id=kept.read_text(),
                resume="allow", config=facts,
            )  # fmt: skip
        except wandb.errors.Error as error:
            raise ValueError(
                f"{setting}: {error}; log in with WANDB_API_KEY, or set WANDB_MODE=offline"
            ) from error

    def add(self, numbers: Mapping[str, float], step: int) -> None:
        # A line of another kind may come at a step that was logged: steps must not go back.
        self._run.log({**numbers, "step": step})

    def close(self) -> None:
        self._run.finish()
