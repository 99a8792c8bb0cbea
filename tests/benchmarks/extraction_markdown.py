"""The quality and the cost of extractors as Markdown."""

from collections.abc import Sequence

from dclm_spark.measure.markdown import table, verdict
from tests.benchmarks.extraction import ExtractorQuality, Survival

# Of words that survive, and of CPU, against the reference's extractor.
TARGET_WORDS, TARGET_CPU = 1.4, 1.6


def quality_table(qualities: Sequence[ExtractorQuality]) -> str:
    """Return word F1 by source, strings found and left out, and CPU, a column an extractor."""
    labels = " | ".join(one.label for one in qualities)
    rows = [
        f"| {source} ({pages:,}) | {_cells([one.word_f1[source] for one in qualities])} |"
        for source, pages in qualities[0].pages.items()
    ]
    total = sum(qualities[0].pages.values())
    rows += [
        f"| all pages ({total:,}) | {_cells([one.mean_f1 for one in qualities])} |",
        f"| strings that must be there, found | {_cells([one.found for one in qualities])} |",
        f"| strings that must not, left out | {_cells([one.left_out for one in qualities])} |",
    ]
    costs = " | ".join(f"{one.milliseconds_per_page:.1f}" for one in qualities)
    rows.append(f"| CPU ms per page | {costs} |")
    return table(f"| word F1 by source (pages) | {labels} |", rows)


def _cells(values: Sequence[float]) -> str:
    return " | ".join(f"{value:.3f}" for value in values)


def survival_table(outcomes: Sequence[Survival]) -> str:
    """Return what the rules leave by extraction settings; the first is compared with."""
    first = outcomes[0]
    rows = []
    for one in outcomes:
        words, cost = one.words / first.words, one.cpu_seconds / first.cpu_seconds
        judged = verdict(words >= TARGET_WORDS and cost <= TARGET_CPU)
        target = judged if "views" in one.settings else ""
        rows.append(
            f"| {one.settings} | {one.documents:,} | {one.words:,} | {words:.2f}x | "
            f"{one.cpu_seconds:.1f} s | {cost:.2f}x | {target} |"
        )
    heads = "| settings | documents kept | words | | CPU, reading to judging | | "
    return table(f"{heads}{TARGET_WORDS}x words at {TARGET_CPU}x CPU |", rows)
