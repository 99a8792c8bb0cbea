"""The report of a measurement as Markdown, each figure beside its target and the verdict."""

import datetime
import os
import platform

from dclm_spark.engine.run_record import IDENTITY_PACKAGES
from dclm_spark.measure import kernels
from dclm_spark.measure.clock import Timing, total
from dclm_spark.measure.throughput import Measured

# MB of text per second of one core.
TARGET_SPEEDS = {
    kernels.HEURISTICS: 30.0,
    kernels.SEGMENTS: 80.0,
    kernels.DEDUP: 50.0,
    kernels.TOKENS: 30.0,
}
TARGET_CHAIN = 1.25
TARGET_SPARK = 1.10
TARGET_GROWTH = 1.10


def render(measured: Measured) -> str:
    """Return the whole report."""
    parts = [
        "# Throughput",
        _conditions(measured),
        "## The floor and the chain",
        _pages(measured),
        _chain(measured),
        "## Kernels on the English texts",
        _kernels(measured),
    ]
    if measured.spark:
        parts += ["## Spark around the kernels", _spark(measured)]
    return "\n\n".join(parts) + "\n"


def _conditions(measured: Measured) -> str:
    identity = measured.identity
    known = identity.versions
    named = ", ".join(f"{name} {known[name]}" for name in IDENTITY_PACKAGES if name in known)
    return (
        f"Commit {identity.commit}, {datetime.datetime.now(datetime.UTC):%Y-%m-%d}, "
        f"{platform.machine()}, {os.cpu_count()} cores (one used). {named}.\n\n"
        f"{measured.num_pages:,} pages, {measured.html_size_bytes / 1e6:,.0f} MB of HTML; "
        f"{measured.english_documents:,} English texts, "
        f"{measured.english_size_bytes / 1e6:,.1f} MB. CPU seconds, the best of several passes."
    )


def table(header: str, rows: list[str]) -> str:
    """Return a Markdown table."""
    return "\n".join([header, "|" + "---|" * (header.count("|") - 1), *rows])


def verdict(met: bool) -> str:
    """Return the word for a target that is `met` or not."""
    return "met" if met else "missed"


def _pages(measured: Measured) -> str:
    floor, chain = total("floor", measured.floor), total("whole chain", measured.chain)
    steps = (*measured.floor, floor, *measured.chain, chain)
    rows = [_row(step, floor.seconds_per_document) for step in steps]
    return table("| step | documents/s/core | MB/s/core | share of the floor |", rows)


def _row(timing: Timing, floor_seconds: float) -> str:
    return (
        f"| {timing.name} | {timing.documents_per_second:,.0f} | "
        f"{timing.megabytes_per_second:,.1f} | {timing.seconds_per_document / floor_seconds:.3f} |"
    )


def _chain(measured: Measured) -> str:
    chain = total("whole chain", measured.chain)
    ratio = chain.cpu_seconds / total("floor", measured.floor).cpu_seconds
    counts = measured.counts
    return (
        f"The whole chain takes {ratio:.2f} times the CPU of the floor (target {TARGET_CHAIN}: "
        f"{verdict(ratio <= TARGET_CHAIN)}). Of {counts.documents:,} documents {counts.kept:,} "
        f"passed the heuristics, {counts.deduplicated:,} deduplication; {counts.tokens:,} tokens."
    )


def _kernels(measured: Measured) -> str:
    rows = []
    floor = total("floor", measured.floor).seconds_per_document
    for timing in measured.kernels:
        target = TARGET_SPEEDS.get(timing.name)
        judged = ""
        if target is not None:
            judged = f">= {target:g} MB/s: {verdict(timing.megabytes_per_second >= target)}"
        rows.append(f"{_row(timing, floor)} {judged} |")
    return table("| kernel | documents/s/core | MB/s/core | share of the floor | target |", rows)


def _spark(measured: Measured) -> str:
    first, last = measured.spark[0], measured.spark[-1]
    rows = [
        f"| {copies} | {bare.cpu_seconds:.2f} | {spark.cpu_seconds:.2f} | "
        f"{bare.seconds_per_document * 1000:.2f} | {spark.seconds_per_document * 1000:.2f} | "
        f"{spark.cpu_seconds / bare.cpu_seconds:.3f} |"
        for copies, bare, spark in measured.spark
    ]
    ratio = last[2].cpu_seconds / last[1].cpu_seconds
    growth = [
        after.seconds_per_document / before.seconds_per_document
        for before, after in ((first[1], last[1]), (first[2], last[2]))
    ]
    header = "| times the input | bare, CPU s | in Spark | bare, ms a page | in Spark | ratio |"
    return (
        table(header, rows) + "\n\n"
        f"Spark takes {ratio:.2f} times the CPU of the bare kernels, JVM included (target "
        f"{TARGET_SPARK}: {verdict(ratio <= TARGET_SPARK)}). From {first[0]} to {last[0]} times "
        f"the input a page takes {growth[0]:.2f} times the CPU bare and {growth[1]:.2f} in Spark "
        f"(target at most {TARGET_GROWTH}: {verdict(max(growth) <= TARGET_GROWTH)})."
    )
