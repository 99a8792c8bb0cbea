"""What a run says when it ends: what there is now, what to open, and what to do next."""

import math
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from dclm_spark.engine.monitoring.run_metrics import Sample
from dclm_spark.html_pages.quantities import bytes_text, count_text, duration_text
from dclm_spark.report.page import headline
from dclm_spark.report.summary import RunSummary
from dclm_spark.shard_format import FORMAT
from udfs import storage

# What a model of the scale tiny reads (`dclm_spark.train.scales`, which needs torch).
TINY_TOKENS = 75 * 2048


def closing_lines(summary: RunSummary, output: str) -> Iterator[str]:
    """Yield the last lines of a run: the result, the report, and commands that go on from it."""
    report = storage.join(output, "report.html")
    yield headline(summary)
    yield f"report: {report}" + (f", open it: file://{report}" if storage.is_local(output) else "")
    if summary.failure:
        yield f"next: {_what_to_do(summary.failure)}"
        return
    if summary.shards is not None:
        made, shards = summary.shards, storage.join(output, "shards", "manifest.json")
        yield f"shards: {count_text(made.shards)} ({bytes_text(made.bytes)}), {shards}"
        if made.format == FORMAT and made.tokens:
            fitting = f"--scale tiny --set model.sequence_length={made.sequence_length}"
            if made.tokens < TINY_TOKENS:
                fitting += f" --set data.passes={math.ceil(1.1 * TINY_TOKENS / made.tokens)}"
            given = f"{fitting} --shards {shlex.quote(shards)} --output MODEL"
            yield f"next: {job_command('train_model')} {given}"
    yield (
        f"why is a page missing: {job_command('explain_page')} --output {shlex.quote(output)} URL"
    )
    yield f"took {duration_text(summary.seconds)}" + (
        f" in {summary.drivers} starts" if summary.drivers > 1 else ""
    )


def job_command(job: str) -> str:
    """Return how a job is called from where this process was: by the package's own command."""
    if shutil.which("dclm-spark"):
        return f"dclm-spark {job}"
    beside = Path(sys.executable).with_name("dclm-spark")
    if beside.exists():
        return f"{shlex.quote(str(beside))} {job}"
    return f"{shlex.quote(sys.executable)} -m dclm_spark.command {job}"


def _what_to_do(failure: str) -> str:
    if failure == KeyboardInterrupt.__name__:
        return "the same command resumes after what is committed"
    return "mend what the error says; the same command resumes after what is committed"


def summary_metrics(summary: RunSummary) -> list[Sample]:
    """Return the metrics that are known when a run has ended or failed."""
    found = [Sample("dclm_spark_run_ended", 0 if summary.failure else 1)]
    for stage in summary.stages:
        for fate in ("kept", "dropped", "quarantined"):
            labels = {"stage": stage.name, "fate": fate}
            found.append(Sample("dclm_spark_documents", getattr(stage, fate), labels))
    if summary.shards is not None:
        found.append(Sample("dclm_spark_tokens", summary.shards.tokens))
    return found
