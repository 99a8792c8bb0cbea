"""What a run says of itself: a line log, TensorBoard, a progress bar and its utilization."""

import html
import json
import logging
import math
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

LOGGER = logging.getLogger("dclm_spark")
# How often progress is said where there is no terminal for a bar.
PROGRESS_SECONDS = 30.0

WIDTH, HEIGHT, MARGIN = 860, 420, 56
Points = Sequence[tuple[float, float]]

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body{{font:14px sans-serif;margin:2em;color:#222}}table{{border-collapse:collapse}}
td,th{{padding:2px 12px;text-align:right;border-bottom:1px solid #ddd}}th{{text-align:left}}
.train{{fill:none;stroke:#1f5fa8;stroke-width:1.5}}.heldout{{fill:#c0392b}}
.axis{{stroke:#999}}text{{font-size:12px;fill:#555}}</style></head>
<body><h1>{title}</h1>
<svg width="{width}" height="{height}" role="img" aria-label="loss by step">{drawing}</svg>
<p><span style="color:#1f5fa8">line: training loss</span>,
<span style="color:#c0392b">dots: held-out loss</span>; nats per token by step.</p>
<table>{facts}</table></body></html>
"""


def write_curve(path: Path, lines: Sequence[dict[str, Any]], *, title: str) -> Path:
    """Draw the losses of a run log's lines into `path`."""
    train = [(line["step"], line["cross_entropy"]) for line in lines if line["kind"] == "train"]
    heldout = [(line["step"], line["loss"]) for line in lines if line["kind"] == "heldout"]
    page = _PAGE.format(
        title=html.escape(title),
        width=WIDTH,
        height=HEIGHT,
        drawing=_drawing(train, heldout),
        facts="".join(_facts(lines)),
    )
    path.write_text(page)
    return path


def _drawing(train: Points, heldout: Points) -> str:
    finite = [(x, y) for x, y in [*train, *heldout] if y == y and abs(y) != float("inf")]
    if not finite:
        return ""
    last_step = max(x for x, _ in finite)
    low, high = min(y for _, y in finite), max(y for _, y in finite)
    span = (high - low) or 1.0

    def place(x: float, y: float) -> str:
        across = MARGIN + x / last_step * (WIDTH - 2 * MARGIN)
        down = MARGIN + (high - y) / span * (HEIGHT - 2 * MARGIN)
        return f"{across:.1f},{down:.1f}"

    dots = "".join(
        '<circle class="heldout" r="3" cx="{}" cy="{}"/>'.format(*place(x, y).split(","))
        for x, y in heldout
        if (x, y) in finite
    )
    line = " ".join(place(x, y) for x, y in train if (x, y) in finite)
    return f'{_axes(low, high, last_step)}<polyline class="train" points="{line}"/>{dots}'


def _axes(low: float, high: float, last_step: float) -> str:
    right, bottom = WIDTH - MARGIN, HEIGHT - MARGIN
    parts = []
    for part in range(5):
        share = part / 4
        down = MARGIN + share * (bottom - MARGIN)
        across = MARGIN + share * (right - MARGIN)
        parts.append(f'<line class="axis" x1="{MARGIN}" x2="{right}" y1="{down}" y2="{down}"/>')
        parts.append(f'<text x="8" y="{down + 4}">{high - share * (high - low):.3f}</text>')
        parts.append(f'<text x="{across - 12}" y="{bottom + 20}">{share * last_step:,.0f}</text>')
    return "".join(parts)


def _facts(lines: Sequence[dict[str, Any]]) -> list[str]:
    """Return table rows with the last value of everything that was measured."""
    latest = {
        f"{line['kind']}: {name.replace('_', ' ')}": value
        for line in lines
        for name, value in line.items()
        if isinstance(value, int | float) and name != "step"
    }
    return [
        f"<tr><th>{html.escape(name)}</th><td>{value:,.6g}</td></tr>"
        for name, value in latest.items()
    ]


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
    tensorboard: bool = True
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


class RunLog:
    """The lines of `log.jsonl`, mirrored to TensorBoard and the terminal; silent off rank 0."""

    def __init__(
        self, output: Path, settings: ObserveSettings, *, is_first: bool, first_step: int,
        last_step: int,
    ) -> None:  # fmt: skip
        self.path = output / "log.jsonl"
        self.is_first = is_first
        self._board: Any = None
        self._bar: Any = None
        self._first_step, self._last_step = first_step, last_step
        self._started = self._said = time.monotonic()
        self._loss = float("nan")
        if not is_first:
            return
        self._forget_after(first_step)
        if settings.tensorboard:
            self._board = _open_board(output / "tensorboard", first_step)
        if sys.stderr.isatty():
            self._bar = tqdm(total=last_step, initial=first_step, unit="step", smoothing=0.1)

    def write(self, kind: str, step: int, facts: dict[str, Any]) -> None:
        """Append one line; `step` counts the updates done."""
        if not self.is_first:
            return
        line = {"kind": kind, "step": step, **facts}
        with self.path.open("a") as stream:
            stream.write(json.dumps(line) + "\n")
        if self._board is not None:
            for name, value in facts.items():
                if isinstance(value, int | float) and math.isfinite(value):
                    self._board.add_scalar(f"{kind}/{name}", value, step)
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
        for part in (self._board, self._bar):
            if part is not None:
                part.close()

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


def _open_board(directory: Path, first_step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ValueError(
            "observe.tensorboard = True: tensorboard is not installed; install dclm-spark[train] "
            "or pass --set observe.tensorboard=false"
        ) from error
    return SummaryWriter(str(directory), purge_step=first_step + 1)
