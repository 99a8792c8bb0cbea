"""The report's section on deduplication: how much went, how sure that is, pairs to judge."""

from html import escape

from dclm_spark.report.sections import (
    bytes_text,
    count_text,
    numbers,
    pairs,
    share_text,
    snippet,
    table,
)
from dclm_spark.report.summary import DedupSummary, RunSummary

TOP_DOMAINS = 20


def duplicates(summary: RunSummary) -> str:
    """Return counts, precision, cluster sizes, domains, and pairs side by side."""
    found = summary.deduplication
    parts = [_counts(found), _precision(found), _clusters(found), _domains(found)] if found else []
    return "".join(parts) + _pairs_side_by_side(summary)


def _counts(found: DedupSummary) -> str:
    rows = {
        "method": f"{escape(found.method)}, mode {escape(found.mode)}",
        "documents removed": count_text(found.documents_removed),
        "documents shortened": f"{count_text(found.documents_shortened)}, by "
        f"{count_text(found.paragraphs_removed)} paragraphs",
        "text removed": bytes_text(found.text_bytes_removed),
        "tokens removed": f"about {count_text(found.tokens_removed)} (by the tokens per byte of "
        "what was kept)",
    }
    if found.earlier:
        rows["earlier crawls"] = "<br>".join(map(escape, found.earlier))
        rows["new tokens"] = f"{count_text(found.tokens_new)} that these do not hold"
    return pairs(rows)


def _precision(found: DedupSummary) -> str:
    rows = (
        f"<tr><td><code>{escape(one.rule)}</code></td>"
        f"<td>{escape(one.measure)} at least {one.threshold:.2f}</td>"
        + numbers(
            count_text(one.sampled),
            count_text(one.right),
            share_text(one.right, one.sampled),
            f"{100 * one.low:.0f} to {100 * one.high:.0f} %",
        )
        + "</tr>"
        for one in found.precision
    )
    head = ("Rule", "Right means", "Pairs sampled", "Right", "Precision", "95 % interval")
    return table(head, rows, numbers_from=2)


def _clusters(found: DedupSummary) -> str:
    rows = (
        f"<tr><td><code>{escape(rule)}</code></td>"
        + numbers(f"{size:,} to {2 * size - 1:,}", count_text(clusters))
        + "</tr>"
        for rule, size, clusters in found.clusters
    )
    return table(("Rule", "Documents in a cluster", "Clusters"), rows, numbers_from=1)


def _domains(found: DedupSummary) -> str:
    rows = (
        f'<tr><td class="url">{escape(one.domain)}</td>'
        + numbers(
            count_text(one.documents),
            count_text(one.documents - one.kept),
            share_text(one.documents - one.kept, one.documents),
        )
        + "</tr>"
        for one in found.domains[:TOP_DOMAINS]
    )
    return table(("Domain", "Documents", "Removed", "Share"), rows, numbers_from=1)


def _pairs_side_by_side(summary: RunSummary) -> str:
    """Return pairs of documents: the one that stayed on the left, the removed one on the right."""
    return "".join(
        f"<details><summary><b>{pair.similarity:.2f}</b> {escape(pair.kind)} "
        f"<small>{escape(pair.right_url)}</small></summary>"
        f'<div class="pair">{_half(pair.left_url, pair.left_text)}'
        f"{_half(pair.right_url, pair.right_text)}</div></details>"
        for pair in sorted(summary.duplicates, key=lambda pair: -pair.similarity)
    )


def _half(url: str, text: str) -> str:
    return f'<div class="sample"><p>{escape(url)}</p><pre>{snippet(text)}</pre></div>'
