"""The report of a run: one HTML file that needs nothing else and runs no script."""

import base64
import hashlib
from collections.abc import Callable
from html import escape

from dclm_spark.html_page import STYLE
from dclm_spark.report import sections
from dclm_spark.report.duplicates import duplicates
from dclm_spark.report.sections import bytes_text, count_text, duration_text, share_text
from dclm_spark.report.summary import RunSummary
from udfs import storage

# (anchor, heading, content): a section whose content is empty is left out.
_SECTIONS: tuple[tuple[str, str, Callable[[RunSummary], str]], ...] = (
    ("funnel", "What is left after each step", sections.funnel),
    ("rules", "Removed by rule", sections.rules),
    ("samples", "Sample pages by rule", sections.samples),
    ("scores", "Scores and thresholds", sections.histograms),
    ("languages", "Languages", sections.languages),
    ("domains", "Domains", sections.domains),
    ("duplicates", "Duplicates", duplicates),
    ("stages", "Stages and throughput", sections.stages),
    ("shards", "Token shards", sections.shards),
    ("records", "Records in the input", sections.record_types),
    ("recipe", "Recipe and versions", sections.recipe),
)


def write_report(summary: RunSummary, path: str) -> None:
    """Write the report of `summary` to `path`, a local path or s3:// URI."""
    storage.write_bytes(str(path), render_report(summary).encode())


def render_report(summary: RunSummary) -> str:
    """Return the report as one HTML document; all text of pages is escaped, and no script runs."""
    parts = [(anchor, title, content(summary)) for anchor, title, content in _SECTIONS]
    shown = [part for part in parts if part[2]]
    links = "".join(f'<a href="#{anchor}">{title}</a>' for anchor, title, _ in shown)
    body = "".join(
        f'<section id="{anchor}"><h2>{title}</h2>{content}</section>'
        for anchor, title, content in shown
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy()}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(summary.title)}: {escape(summary.recipe_name)}</title>"
        f"<style>{STYLE}</style></head>\n<body>{_header(summary, links)}<main>{body}</main>"
        f"<footer>Written from committed manifests by dclm_spark, commit "
        f"{escape(summary.commit)}.</footer></body></html>\n"
    )


def _policy() -> str:
    """Return a policy that forbids everything but this style sheet."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _header(summary: RunSummary, links: str) -> str:
    return (
        f'<header><p class="kicker">{escape(summary.title)} · recipe {escape(summary.recipe_name)} '
        f"({escape(summary.recipe_hash[:12])}) · started {escape(summary.started)} · "
        f"{duration_text(summary.seconds)}</p><h1>{headline(summary)}</h1>{_balance(summary)}"
        f"{_tiles(summary)}<nav>{links}</nav></header>"
    )


def headline(summary: RunSummary) -> str:
    """Return the run in one sentence (HTML)."""
    kept, whole = count_text(summary.kept), count_text(summary.documents_in)
    share = share_text(summary.kept, summary.documents_in)
    tokens = f", {count_text(summary.shards.tokens)} tokens" if summary.shards else ""
    books = "books balanced" if summary.balanced else "the books do not balance"
    return f"{kept} of {whole} records kept ({share}){tokens}, {books}"


def _balance(summary: RunSummary) -> str:
    total = summary.kept + summary.dropped + summary.quarantined
    sums = (
        f"{count_text(summary.documents_in)} in, {count_text(summary.kept)} kept + "
        f"{count_text(summary.dropped)} dropped + {count_text(summary.quarantined)} quarantined"
        f" = {count_text(total)}"
    )
    broken = [stage.name for stage in summary.stages if not stage.balanced]
    where = f" · unbalanced stages: {escape(', '.join(broken))}" if broken else ""
    return f'<p class="balance{"" if summary.balanced else " broken"}">{sums}{where}</p>'


def _tiles(summary: RunSummary) -> str:
    final_bytes = summary.stages[-1].text_bytes_kept if summary.stages else 0
    tiles = [
        (count_text(summary.documents_in), "records read"),
        (count_text(summary.kept), "kept"),
        (count_text(summary.dropped), "dropped by a rule"),
        (count_text(summary.quarantined), "quarantined"),
        (bytes_text(final_bytes), "text kept"),
    ]
    if summary.shards:
        tiles.append((count_text(summary.shards.tokens), "tokens in shards"))
    tiles += [(escape(value), escape(label)) for label, value in summary.facts.items()]
    inner = "".join(
        f'<div class="tile"><b>{value}</b><span>{label}</span></div>' for value, label in tiles
    )
    return f'<div class="tiles">{inner}</div>'
