"""Metrics of a run as a Prometheus text file, for the textfile collector of a node exporter.

The file is written anew every 30 s, and once more when the run ends. Names and meanings are in
METRICS; `infra/grafana/run.json` is a board of them.
"""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from udfs import storage

METRICS = {
    "dclm_spark_run_seconds": "wall seconds of all drivers of the run",
    "dclm_spark_run_drivers": "how often the run was started",
    "dclm_spark_run_ended": "1: every stage ended, 0: the run works or failed",
    "dclm_spark_stage_seconds": "wall seconds of a stage, over all drivers",
    "dclm_spark_stage_units": "units of work of a stage",
    "dclm_spark_stage_units_done": "of these, committed",
    "dclm_spark_documents": "documents by stage and fate, known when the run ended",
    "dclm_spark_tokens": "tokens of the corpus",
    "dclm_spark_last_seen": "when the file was written, in seconds since the epoch",
}


class Sample(NamedTuple):
    """One value of a metric with its labels."""

    metric: str
    value: float
    labels: Mapping[str, str] = {}


def write_metrics(path: str, run: str, samples: Sequence[Sample]) -> None:
    """Write samples to `path`, each with the label `run`; the file is replaced at once."""
    now = Sample("dclm_spark_last_seen", time.time())
    storage.write_bytes(path, metrics_text(run, [*samples, now]).encode())


def metrics_text(run: str, samples: Iterable[Sample]) -> str:
    """Return samples in Prometheus' text format, metric by metric in the order of METRICS."""
    by_metric: dict[str, list[Sample]] = {name: [] for name in METRICS}
    for sample in samples:
        by_metric[sample.metric].append(sample)
    lines = []
    for name, found in by_metric.items():
        if found:
            lines += [f"# HELP {name} {METRICS[name]}", f"# TYPE {name} gauge"]
            lines += [_line(run, sample) for sample in found]
    return "".join(f"{line}\n" for line in lines)


def _line(run: str, sample: Sample) -> str:
    labels = {"run": run, **sample.labels}
    told = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    value = "NaN" if math.isnan(sample.value) else repr(float(sample.value))
    return f"{sample.metric}{{{told}}} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
