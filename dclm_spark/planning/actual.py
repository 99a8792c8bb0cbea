"""A finished run beside its plan."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dclm_spark.engine.manifests import StageOutput, committed_names, read_manifests
from dclm_spark.engine.stage_output import stage_output
from dclm_spark.errors import InputError
from dclm_spark.planning.crawl import CrawlPlan
from udfs import storage
from udfs.units.commit import MANIFESTS


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
    stages = _stages(output)
    documents = stages.get("documents")
    if documents is None:
        raise InputError(f"--actual {output}: no manifest lies below stages/documents/manifests")
    pages = documents.documents()
    seconds = {name: stage.total("seconds") for name, stage in stages.items()}
    hours = sum(seconds.values()) / 3600
    files = sum(_files_written(stage) for stage in stages.values())
    figures = [
        ("input files", plan.workload.num_files, documents.units.num_rows),
        ("pages parsed", plan.workload.parsed_pages, sum(pages.values())),
        ("pages kept by heuristics", plan.workload.kept_pages, pages["kept"]),
        ("text before dedup, bytes", plan.kept_text_size_bytes, documents.text_bytes()),
        ("files written", plan.requests_written, files),
        ("core-hours", plan.core_hours, hours),
        ("milliseconds a page", _per_page(plan.core_hours, plan.workload.parsed_pages),
         _per_page(hours, sum(pages.values()))),
    ]  # fmt: skip
    figures += [(f"core-hours of {name}", math.nan, s / 3600) for name, s in seconds.items()]
    return [Comparison(figure=f, predicted=p, actual=a) for f, p, a in figures]


def _per_page(hours: float, pages: int) -> float:
    return hours * 3_600_000 / pages if pages else math.nan


def _files_written(stage: StageOutput) -> int:
    """Return the files of a stage's units: data, statistics and manifests."""
    statistics = stage.units.num_rows - stage.units["statistics_path"].null_count
    return int(stage.unit_files.num_rows + statistics + stage.units.num_rows)


def _stages(output: str) -> dict[str, StageOutput]:
    """Return what is committed of stages/* and of the shards, by the stage's folder."""
    folders: dict[str, str] = {}
    for folder in ("stages", "shards"):
        for uri in storage.list_files(storage.join(output, folder)):
            parent, _, name = uri.rpartition("/")
            directory, _, last = parent.rpartition("/")
            if last == MANIFESTS and name.endswith(".json"):
                folders[directory.rpartition("/")[2]] = directory
    return {
        name: stage_output(name, directory, read_manifests(directory, committed_names(directory)))
        for name, directory in folders.items()
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
