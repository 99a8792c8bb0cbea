"""What the models of a ranking take, before and after: hours and dollars by type of GPU."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dclm_spark.ranking.model_runs import FINISHED, RankedRun
from dclm_spark.shard_format import read_manifest
from dclm_spark.train.logs import PEAK_FLOPS_PER_SECOND
from dclm_spark.train.scales import TrainSettings

# Dollars for an hour of one GPU on demand: rough list prices of specialised clouds in 2026, to be
# multiplied by one's own. Peaks are those of train/logs.py.
DOLLARS_PER_HOUR = {"A100": 1.5, "H100": 3.0, "H200": 3.5, "B200": 5.0}
# Model FLOPs utilization by weights outside the vocabulary, as measured on an H200 (training.md):
# the vocabulary's logits are work for memory.
_UTILIZATION = ((30e6, 0.21), (60e6, 0.28), (300e6, 0.40), (1e9, 0.53))
# Measuring, starting and saving take about so much on top.
_OVERHEAD = 1.25


@dataclass(frozen=True, kw_only=True)
class CostLine:
    """Rows of one cell on one type of GPU."""

    gpu: str
    cell: str
    rows: int
    hours: float
    dollars: float


@dataclass(frozen=True, kw_only=True)
class Cost:
    """GPU-hours and dollars of rows, and their training FLOPs."""

    flops: float
    by_gpu: tuple[CostLine, ...]

    def facts(self) -> dict[str, Any]:
        """Return the fields for JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return what is said before the start."""
        found = []
        for gpu in DOLLARS_PER_HOUR:
            own = [line for line in self.by_gpu if line.gpu == gpu]
            hours, dollars = sum(one.hours for one in own), sum(one.dollars for one in own)
            if hours >= 0.01:
                rows = sum(one.rows for one in own)
                found.append(f"{rows} models on {gpu}: {hours:.2f} GPU-hours, ${dollars:,.2f}")
        return found


def expected_cost(runs: Sequence[RankedRun]) -> Cost:
    """Return what `runs` take: FLOPs / (peak x utilization), and a quarter."""
    flops = {run.full_name: training_flops(run) for run in runs}
    lines = []
    for gpu, price in DOLLARS_PER_HOUR.items():
        for label in dict.fromkeys(run.cell.label for run in runs):
            own = [run for run in runs if run.cell.label == label]
            rate = PEAK_FLOPS_PER_SECOND[gpu] * _utilization(own[0].settings)
            hours = sum(flops[run.full_name] for run in own) / rate / 3600 * _OVERHEAD
            lines.append(
                CostLine(gpu=gpu, cell=label, rows=len(own), hours=hours, dollars=hours * price)
            )
    return Cost(flops=sum(flops.values()), by_gpu=tuple(lines))


def training_flops(run: RankedRun) -> float:
    """Return the floating-point operations of a run's training."""
    model = run.settings.model
    manifest = read_manifest(run.corpus.manifest)
    per_token = model.flops_per_token(model.vocabulary_size or manifest.padded_vocabulary_size)
    return float(run.settings.last_step * run.settings.tokens_per_step * per_token)


def _utilization(settings: TrainSettings) -> float:
    inside = settings.model.num_parameters(1) - 2 * settings.model.width
    return next((share for limit, share in reversed(_UTILIZATION) if inside >= limit), 0.1)


def spent(runs: Sequence[RankedRun]) -> list[dict[str, Any]]:
    """Return hours by device and part of the work, with dollars where a price is known."""
    sums: dict[tuple[str, str], float] = {}
    for run in runs:
        facts = json.loads((run.folder / FINISHED).read_text())
        for part, seconds in facts.get("seconds", {}).items():
            key = (facts.get("device", "unknown"), part)
            sums[key] = sums.get(key, 0.0) + seconds / 3600
    return [
        {
            "device": device, "part": part, "hours": round(hours, 4),
            "dollars": _dollars(device, hours),
        }
        for (device, part), hours in sums.items()
    ]  # fmt: skip


def _dollars(device: str, hours: float) -> float | None:
    price = next((price for name, price in DOLLARS_PER_HOUR.items() if name in device), None)
    return None if price is None else round(price * hours, 4)
