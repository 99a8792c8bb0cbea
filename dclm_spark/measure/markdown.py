"""The report of a measurement as Markdown, each figure beside its target and the verdict."""

import datetime
import os
import platform

from dclm_spark.engine.run_record import IDENTITY_PACKAGES
from dclm_spark.measure import kernels
from dclm_spark.measure.against_reference import ReferenceResult
from dclm_spark.measure.clock import Timing, total
from dclm_spark.measure.throughput import Measured

# MB of text per second of one core.
TARGET_SPEEDS = {
    kernels.HEURISTICS: 30.0,
    kernels.SEGMENTS: 80.0,
    kernels.DEDUP: 50.0,
    kernels.TOKENS: 30.0,
}
# Times the speed of the named library.
TARGET_RATIOS = {
    (kernels.LANGUAGE, "fasttext predict"): 8.0,
    (kernels.QUALITY, "fasttext predict"): 4.0,
    (kernels.MINHASH_128, "rensa"): 6.0,
}
TARGET_CHAIN = 1.25
TARGET_PEER = 12.0
TARGET_REFERENCE = 3.0
# Of the 26 steps, against the reference with this version of its word segmentation.
TARGET_STEPS = 100.0
TARGET_UNISEG = "0.7.2"
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
    if measured.libraries:
        parts += ["## Against libraries, in the same process", _libraries(measured)]
    if measured.peers is not None:
        parts += ["## Against datatrove, on the same pages", _peers(measured)]
    if measured.reference is not None:
        parts += ["## Against the reference, on the same pages", _reference(measured.reference)]
    parts += [
        f"Not measured: {peer}, for which that Python lacks {', '.join(packages)}."
        for peer, packages in measured.missing.items()
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


def _table(header: str, rows: list[str]) -> str:
    return "\n".join([header, "|" + "---|" * (header.count("|") - 1), *rows])


def _verdict(met: bool) -> str:
    return "met" if met else "missed"


def _pages(measured: Measured) -> str:
    floor, chain = total("floor", measured.floor), total("whole chain", measured.chain)
    steps = (*measured.floor, floor, *measured.chain, chain)
    rows = [_row(step, floor.seconds_per_document) for step in steps]
    return _table("| step | documents/s/core | MB/s/core | share of the floor |", rows)


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
        f"{_verdict(ratio <= TARGET_CHAIN)}). Of {counts.documents:,} documents {counts.kept:,} "
        f"passed the heuristics, {counts.deduplicated:,} deduplication; {counts.tokens:,} tokens."
    )


def _kernels(measured: Measured) -> str:
    rows = []
    floor = total("floor", measured.floor).seconds_per_document
    for timing in measured.kernels:
        target = TARGET_SPEEDS.get(timing.name)
        verdict = ""
        if target is not None:
            verdict = f">= {target:g} MB/s: {_verdict(timing.megabytes_per_second >= target)}"
        rows.append(f"{_row(timing, floor)} {verdict} |")
    return _table("| kernel | documents/s/core | MB/s/core | share of the floor | target |", rows)


def _libraries(measured: Measured) -> str:
    ours = {timing.name: timing.megabytes_per_second for timing in measured.kernels}
    found = [(kernel, timing) for kernel, timing in measured.libraries if kernel in ours]
    if measured.peers is not None and measured.peers.words is not None:
        found.append((kernels.SEGMENTS, measured.peers.words))
    rows = []
    for kernel, timing in found:
        ratio = ours[kernel] / timing.megabytes_per_second
        target = TARGET_RATIOS.get((kernel, timing.name))
        verdict = f">= {target:g}x: {_verdict(ratio >= target)}" if target else ""
        rows.append(
            f"| {kernel} | {ours[kernel]:,.1f} | {timing.name} | "
            f"{timing.megabytes_per_second:,.3g} | {ratio:,.1f}x | {verdict} |"
        )
    return _table("| kernel | our MB/s | library | its MB/s | ratio | target |", rows)


def _peers(measured: Measured) -> str:
    peers = measured.peers
    assert peers is not None
    rows = [
        f"| datatrove: {step.name} | {step.seconds_per_document * 1000:.2f} |"
        for step in peers.steps
    ]
    rows += [
        f"| datatrove {peers.version}, all | {peers.seconds / peers.ours.documents * 1000:.2f} |",
        f"| our whole chain | {peers.ours.seconds_per_document * 1000:.2f} |",
    ]
    return (
        _table("| step | CPU ms per page read |", rows) + "\n\n"
        f"{peers.ours.documents / peers.seconds:,.1f} documents/s/core against "
        f"{peers.ours.documents_per_second:,.1f} of ours on the same {peers.ours.documents:,} "
        f"pages: {peers.ratio:.1f}x (target {TARGET_PEER:g}x: "
        f"{_verdict(peers.ratio >= TARGET_PEER)}). datatrove kept {peers.kept:,} documents."
    )


def _reference(result: ReferenceResult) -> str:
    steps = [
        *((f"reference: {step.name}", step.seconds_per_document) for step in result.steps),
        ("reference, all", result.seconds / result.ours.documents),
        ("our whole chain", result.ours.seconds_per_document),
    ]
    rows = [f"| {name} | {seconds * 1000:.2f} |" for name, seconds in steps]
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    left_out = "".join(f" Left out on its side: {name}." for name in result.left_out)
    return (
        _table("| step | CPU ms per page read |", rows) + "\n\n"
        f"{result.ours.documents / result.seconds:,.1f} documents/s/core with {versions} against "
        f"{result.ours.documents_per_second:,.1f} of ours on the same {result.ours.documents:,} "
        f"pages: {result.ratio:.1f}x (target {TARGET_REFERENCE:g}x: "
        f"{_verdict(result.ratio >= TARGET_REFERENCE)}). Its 26 steps kept {result.kept:,} "
        f"documents, ours {result.our_kept:,}.{left_out}\n\n{_reference_steps(result)}"
    )


def _reference_steps(result: ReferenceResult) -> str:
    texts, ratio = result.texts, result.texts_ratio
    verdict = f"{TARGET_STEPS:g}x with uniseg {TARGET_UNISEG}"
    if result.versions["uniseg"] == TARGET_UNISEG:
        verdict += f": {_verdict(ratio >= TARGET_STEPS)}"
    return (
        f"{kernels.HEURISTICS}, language id left out, on the {texts.documents:,} English texts of "
        f"these pages ({texts.size_bytes / 1e6:,.2f} MB): {texts.megabytes_per_second:,.3g} MB/s "
        f"against {result.our_texts.megabytes_per_second:,.1f} of ours: {ratio:,.1f}x "
        f"(target {verdict})."
    )


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
        _table(header, rows) + "\n\n"
        f"Spark takes {ratio:.2f} times the CPU of the bare kernels, JVM included (target "
        f"{TARGET_SPARK}: {_verdict(ratio <= TARGET_SPARK)}). From {first[0]} to {last[0]} times "
        f"the input a page takes {growth[0]:.2f} times the CPU bare and {growth[1]:.2f} in Spark "
        f"(target at most {TARGET_GROWTH}: {_verdict(max(growth) <= TARGET_GROWTH)})."
    )
