"""A finished run beside its plan."""

import json
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from dclm_spark.errors import InputError
from dclm_spark.planning.crawl import CrawlPlan
from udfs import storage

_READERS = 16


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One figure of a finished run beside its prediction."""

    figure: str
    predicted: float
    actual: float


def compare(plan: CrawlPlan, output: str) -> list[Comparison]:
    """Put a finished run's manifests below `output` beside `plan`.

    Core-hours are the wall seconds of tasks, one core each: a parser runs in a child process, whose
    CPU time is not in the task's. Raises InputError where no stage has committed a unit.
    """
    stages = _manifests(output)
    documents = stages.get("documents", [])
    if not documents:
        raise InputError(f"--actual {output}: no manifest lies below stages/documents/manifests")
    kept = [count for unit in documents for count in _kept(unit)]
    pages = sum(count["documents"] for unit in documents for count in unit["facts"]["counts"])
    seconds = {name: sum(u["timing"]["seconds"] for u in units) for name, units in stages.items()}
    hours = sum(seconds.values()) / 3600
    files = [file for units in stages.values() for unit in units for file in [*unit["files"], unit]]
    text = sum(count["text_bytes"] for count in kept)
    figures = [
        ("input files", plan.workload.num_files, len(documents)),
        ("pages parsed", plan.workload.parsed_pages, pages),
        ("pages kept by heuristics", plan.workload.kept_pages, sum(c["documents"] for c in kept)),
        ("text before dedup, bytes", plan.kept_text_size_bytes, text),
        ("files written", plan.requests_written, len(files)),
        ("core-hours", plan.core_hours, hours),
        ("milliseconds a page", _per_page(plan.core_hours, plan.workload.parsed_pages),
         _per_page(hours, pages)),
    ]  # fmt: skip
    figures += [(f"core-hours of {name}", math.nan, s / 3600) for name, s in seconds.items()]
    return [Comparison(figure=f, predicted=p, actual=a) for f, p, a in figures]


def _per_page(hours: float, pages: int) -> float:
    return hours * 3_600_000 / pages if pages else math.nan


def _kept(unit: dict[str, Any]) -> list[dict[str, Any]]:
    return [count for count in unit["facts"]["counts"] if count["fate"] == "kept"]


def _manifests(output: str) -> dict[str, list[dict[str, Any]]]:
    """Return the units' manifests by stage, of stages/* and of the shards."""
    stages: dict[str, list[str]] = {}
    for folder in ("stages", "shards"):
        for uri in storage.list_files(storage.join(output, folder)):
            parent, _, name = uri.rpartition("/")
            if parent.endswith("/manifests") and name.endswith(".json"):
                stages.setdefault(parent.split("/")[-2], []).append(uri)
    with ThreadPoolExecutor(_READERS) as pool:
        return {
            stage: [json.loads(text) for text in pool.map(storage.read_bytes, uris)]
            for stage, uris in stages.items()
        }


def render_comparison(rows: Sequence[Comparison]) -> str:
    """Return predicted and actual figures as a Markdown table."""
    lines = ["| figure | predicted | actual | actual / predicted |", "|---|---|---|---|"]
    for row in rows:
        known = not math.isnan(row.predicted) and row.predicted != 0
        ratio = f"{row.actual / row.predicted:.2f}" if known else ""
        predicted = "" if math.isnan(row.predicted) else f"{row.predicted:,.6g}"
        lines.append(f"| {row.figure} | {predicted} | {row.actual:,.6g} | {ratio} |")
    return "\n".join(lines)
