"""The comparison with libraries, datatrove and the reference as Markdown, beside its targets."""

from dclm_spark.measure import kernels
from dclm_spark.measure.markdown import render as render_measured
from dclm_spark.measure.markdown import table, verdict
from tests.benchmarks.against_reference import ReferenceResult
from tests.benchmarks.compare import Compared
from tests.benchmarks.extraction_markdown import quality_table, survival_table

# Times the speed of the named library.
TARGET_RATIOS = {
    (kernels.LANGUAGE, "fasttext predict"): 8.0,
    (kernels.QUALITY, "fasttext predict"): 4.0,
    (kernels.MINHASH_128, "rensa"): 6.0,
}
TARGET_PEER = 12.0
TARGET_REFERENCE = 3.0
# Of the 26 steps, against the reference with this version of its word segmentation.
TARGET_STEPS = 100.0
TARGET_UNISEG = "0.7.2"


def render(compared: Compared) -> str:
    """Return the report of our own measurement, and behind it that of the comparison."""
    parts = [render_measured(compared.measured).rstrip("\n")]
    if compared.libraries:
        parts += ["## Against libraries, in the same process", _libraries(compared)]
    if compared.extractors:
        parts += ["## Extractors on pages whose text is known", quality_table(compared.extractors)]
        parts += ["## What the rules leave", survival_table(compared.survival)]
    if compared.peers is not None:
        parts += ["## Against datatrove, on the same pages", _peers(compared)]
    if compared.reference is not None:
        parts += ["## Against the reference, on the same pages", _reference(compared.reference)]
    parts += [
        f"Not measured: {peer}, for which that Python lacks {', '.join(packages)}."
        for peer, packages in compared.missing.items()
    ]
    return "\n\n".join(parts) + "\n"


def _libraries(compared: Compared) -> str:
    ours = {timing.name: timing.megabytes_per_second for timing in compared.measured.kernels}
    found = [(kernel, timing) for kernel, timing in compared.libraries if kernel in ours]
    if compared.peers is not None and compared.peers.words is not None:
        found.append((kernels.SEGMENTS, compared.peers.words))
    rows = []
    for kernel, timing in found:
        ratio = ours[kernel] / timing.megabytes_per_second
        target = TARGET_RATIOS.get((kernel, timing.name))
        judged = f">= {target:g}x: {verdict(ratio >= target)}" if target else ""
        rows.append(
            f"| {kernel} | {ours[kernel]:,.1f} | {timing.name} | "
            f"{timing.megabytes_per_second:,.3g} | {ratio:,.1f}x | {judged} |"
        )
    return table("| kernel | our MB/s | library | its MB/s | ratio | target |", rows)


def _peers(compared: Compared) -> str:
    peers = compared.peers
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
        table("| step | CPU ms per page read |", rows) + "\n\n"
        f"{peers.ours.documents / peers.seconds:,.1f} documents/s/core against "
        f"{peers.ours.documents_per_second:,.1f} of ours on the same {peers.ours.documents:,} "
        f"pages: {peers.ratio:.1f}x (target {TARGET_PEER:g}x: "
        f"{verdict(peers.ratio >= TARGET_PEER)}). datatrove kept {peers.kept:,} documents."
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
        table("| step | CPU ms per page read |", rows) + "\n\n"
        f"{result.ours.documents / result.seconds:,.1f} documents/s/core with {versions} against "
        f"{result.ours.documents_per_second:,.1f} of ours on the same {result.ours.documents:,} "
        f"pages: {result.ratio:.1f}x (target {TARGET_REFERENCE:g}x: "
        f"{verdict(result.ratio >= TARGET_REFERENCE)}). Its 26 steps kept {result.kept:,} "
        f"documents, ours {result.our_kept:,}.{left_out}\n\n{_reference_steps(result)}"
    )


def _reference_steps(result: ReferenceResult) -> str:
    texts, ratio = result.texts, result.texts_ratio
    target = f"{TARGET_STEPS:g}x with uniseg {TARGET_UNISEG}"
    if result.versions["uniseg"] == TARGET_UNISEG:
        target += f": {verdict(ratio >= TARGET_STEPS)}"
    return (
        f"{kernels.HEURISTICS}, language id left out, on the {texts.documents:,} English texts of "
        f"these pages ({texts.size_bytes / 1e6:,.2f} MB): {texts.megabytes_per_second:,.3g} MB/s "
        f"against {result.our_texts.megabytes_per_second:,.1f} of ours: {ratio:,.1f}x "
        f"(target {target})."
    )
