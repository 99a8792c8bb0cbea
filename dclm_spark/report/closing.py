"""What a run says when it ends: what there is now, what to open, and what to do next."""

from collections.abc import Iterator

from dclm_spark.engine.monitoring.run_metrics import Sample
from dclm_spark.html_pages.quantities import bytes_text, count_text, duration_text
from dclm_spark.report.page import headline
from dclm_spark.report.summary import RunSummary
from dclm_spark.shard_format import FORMAT
from udfs import storage


def closing_lines(summary: RunSummary, output: str) -> Iterator[str]:
    """Yield the last lines of a run: the result, the report, and commands that go on from it."""
    report = storage.join(output, "report.html")
    yield headline(summary)
    yield f"report: {report}" + (f", open it: file://{report}" if storage.is_local(output) else "")
    if summary.failure:
        yield "next: mend what the error says; the same command resumes after what is committed"
        return
    if summary.shards is not None:
        made, shards = summary.shards, storage.join(output, "shards", "manifest.json")
        yield f"shards: {count_text(made.shards)} ({bytes_text(made.bytes)}), {shards}"
        if made.format == FORMAT:
            fitting = f"--scale tiny --set model.sequence_length={made.sequence_length}"
            yield f"next: jobs/train_model.py {fitting} --shards {shards} --output MODEL"
    yield f"why is a page missing: jobs/explain_page.py --output {output} URL"
    yield f"took {duration_text(summary.seconds)}" + (
        f" in {summary.drivers} starts" if summary.drivers > 1 else ""
    )


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
