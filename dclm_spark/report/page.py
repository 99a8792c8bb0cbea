"""The report of a run: one HTML file that needs nothing else."""

from collections import defaultdict

from dclm_spark.crawl.listing import describe_skipped
from dclm_spark.html_pages.quantities import bytes_text, count_text, share_text
from dclm_spark.html_pages.render import render
from dclm_spark.report.summary import RunSummary, SamplePage
from udfs import storage

KEPT = "kept"


def write_report(summary: RunSummary, path: str) -> None:
    """Write the report of `summary` to `path`, a local path or s3:// URI."""
    storage.write_bytes(str(path), render_report(summary).encode())


def render_report(summary: RunSummary) -> str:
    """Return the report as one HTML document; all text of pages is escaped."""
    return render(
        "report.html",
        title=f"{summary.title}: {summary.recipe_name}",
        run=summary,
        headline=headline(summary),
        tiles=_tiles(summary),
        sections=_sections(summary),
        rules=sorted(summary.rules, key=lambda rule: (-rule.documents, rule.stage, rule.rule)),
        samples=_samples_by_rule(summary),
        languages=sorted(summary.languages, key=lambda one: (-one.documents, one.language)),
        skipped=describe_skipped(summary.skipped_files) if summary.skipped_files else "",
        domains=sorted(summary.domains, key=lambda one: (-one.documents, one.domain)),
        duplicates=sorted(summary.duplicates, key=lambda pair: -pair.similarity),
        record_types=sorted(
            ((name, count) for name, count in summary.record_types.items() if count),
            key=lambda item: (-item[1], item[0]),
        ),
    )


def headline(summary: RunSummary) -> str:
    """Return the run in one sentence."""
    kept, whole = count_text(summary.kept), count_text(summary.documents_in)
    share = share_text(summary.kept, summary.documents_in)
    tokens = f", {count_text(summary.shards.tokens)} tokens" if summary.shards else ""
    books = "books balanced" if summary.balanced else "the books do not balance"
    ended = "the run did not end: " if summary.failure else ""
    if summary.failure and not summary.documents_in:
        return f"{ended}no stage was finished"
    return f"{ended}{kept} of {whole} records kept ({share}){tokens}, {books}"


def _sections(summary: RunSummary) -> list[tuple[str, str]]:
    """Return (anchor, heading) of the sections that have something to show."""
    every = (
        ("failure", "Why the run did not end", summary.failure),
        ("sources", "Sources", summary.sources),
        ("corpora", "One corpus a language", summary.language_corpora),
        ("funnel", "What is left after each step", summary.funnel),
        ("rules", "Removed by rule", summary.rules),
        ("samples", "Sample pages by rule", summary.samples),
        ("scores", "Scores and thresholds", summary.histograms),
        ("languages", "Languages", summary.languages),
        ("domains", "Domains", summary.domains),
        ("duplicates", "Duplicates", summary.deduplication or summary.duplicates),
        ("stages", "Stages and throughput", summary.stages),
        ("shards", "Token shards", summary.shards),
        ("records", "Records in the input", any(summary.record_types.values())),
        ("lost", "Input files that gave no document, or lost most of theirs", summary.lost_files),
        ("missing", "Left out", summary.left_out or summary.skipped_files),
        ("recipe", "Recipe and versions", summary.recipe_yaml),
    )
    return [(anchor, heading) for anchor, heading, content in every if content]


def _tiles(summary: RunSummary) -> list[tuple[str, str]]:
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
    return tiles + [(value, label) for label, value in summary.facts.items()]


def _samples_by_rule(summary: RunSummary) -> list[tuple[str, int, list[SamplePage]]]:
    """Return (rule, documents, samples), kept pages first, then in the order of the rules table."""
    by_rule: dict[str, list[SamplePage]] = defaultdict(list)
    for page in summary.samples:
        by_rule[page.rule or KEPT].append(page)
    weight: dict[str, int] = defaultdict(int)
    for rule in summary.rules:
        weight[rule.rule] += rule.documents
    names = sorted(by_rule, key=lambda name: (name != KEPT, -weight[name], name))
    return [(name, weight[name], by_rule[name]) for name in names]
