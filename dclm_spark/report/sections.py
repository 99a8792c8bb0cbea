"""The sections of the report, each a function from the summary to HTML ("" where it is empty)."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from html import escape

from dclm_spark.html_page import bar, histogram
from dclm_spark.report.summary import FunnelStep, RunSummary, SamplePage, StageSummary

SNIPPET_CHARACTERS = 600
KEPT = "kept"
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def count_text(count: int | None) -> str:
    """Return a count with separators, or a dash where it was not taken."""
    return "–" if count is None else f"{count:,}"


def share_text(part: int, whole: int) -> str:
    """Return `part` of `whole` in per cent; small shares keep two significant digits."""
    if not whole:
        return "–"
    percent = 100 * part / whole
    return f"{percent:.1f} %" if percent >= 1 or percent == 0 else f"{percent:.2g} %"


def bytes_text(size: int | None) -> str:
    """Return a size in decimal units."""
    if size is None:
        return "–"
    value, unit = float(size), 0
    while abs(value) >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if unit == 0 else f"{value:.3g} {_UNITS[unit]}"


def duration_text(seconds: float) -> str:
    """Return a duration for people: 0.8 s, 12 s, 3 min 20 s, 4 h 10 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _value_text(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"


def table(head: Sequence[str], rows: Iterable[str], numbers_from: int) -> str:
    """Return a table; columns from `numbers_from` are numbers. Empty where there are no rows."""
    inner = "".join(rows)
    if not inner:
        return ""
    cells = "".join(
        f'<th class="number">{title}</th>' if place >= numbers_from else f"<th>{title}</th>"
        for place, title in enumerate(head)
    )
    return (
        f'<div class="scroll"><table><thead><tr>{cells}</tr></thead>'
        f"<tbody>{inner}</tbody></table></div>"
    )


def numbers(*values: str) -> str:
    """Return cells of numbers."""
    return "".join(f'<td class="number">{value}</td>' for value in values)


def funnel(summary: RunSummary) -> str:
    """Return the funnel: a bar per step, with documents, bytes and tokens left."""
    steps = summary.funnel
    whole = steps[0].documents if steps else 0
    rows = []
    for place, step in enumerate(steps):
        before = steps[place - 1].documents if place else step.documents
        rows.append(_funnel_row(step, before, whole))
    note = (
        '<p class="note">Each bar is the share of the records read that is left after the step; '
        "the pale part is what the step removed.</p>"
    )
    head = ("Step", "", "Documents left", "Share", "Removed", "Text left", "Tokens left")
    steps_left = table(head, rows, numbers_from=2)
    return note + steps_left if steps_left else ""


def _funnel_row(step: FunnelStep, before: int, whole: int) -> str:
    lost = before - step.documents
    chart = bar(step.documents / whole, lost / whole) if whole else ""
    idle = "" if lost or before == whole == step.documents else ' class="idle"'
    removed = f"−{lost:,}" if lost else "0"
    return (
        f'<tr{idle}><td>{escape(step.label)}</td><td class="wide">{chart}</td>'
        + numbers(
            count_text(step.documents),
            share_text(step.documents, whole),
            removed,
            bytes_text(step.text_bytes),
            count_text(step.tokens),
        )
        + "</tr>"
    )


def rules(summary: RunSummary) -> str:
    """Return what each rule removed, the greatest first."""
    ordered = sorted(summary.rules, key=lambda rule: (-rule.documents, rule.stage, rule.rule))
    top = max((rule.documents for rule in ordered), default=0) or 1
    rows = (
        f"<tr><td><code>{escape(rule.rule)}</code>"
        f"{'<br><small>' + escape(rule.description) + '</small>' if rule.description else ''}</td>"
        f"<td>{escape(rule.stage)}</td><td>{escape(rule.fate)}</td>"
        f'<td class="medium">{bar(0, rule.documents / top)}</td>'
        + numbers(
            count_text(rule.documents),
            share_text(rule.documents, summary.documents_in),
            _value_text(rule.threshold),
        )
        + "</tr>"
        for rule in ordered
    )
    head = ("Rule", "Stage", "Fate", "", "Documents", "Of all records", "Threshold")
    return table(head, rows, numbers_from=4)


def samples(summary: RunSummary) -> str:
    """Return sample pages, folded away by rule in the order of the rules table."""
    by_rule: dict[str, list[SamplePage]] = defaultdict(list)
    for page in summary.samples:
        by_rule[page.rule or KEPT].append(page)
    weight: dict[str, int] = defaultdict(int)
    for rule in summary.rules:
        weight[rule.rule] += rule.documents
    names = sorted(by_rule, key=lambda name: (name != KEPT, -weight[name], name))
    return "".join(
        f"<details><summary><b>{escape(name)}</b> <small>{_of(by_rule[name], weight[name])}"
        f"</small></summary>{''.join(map(_sample, by_rule[name]))}</details>"
        for name in names
    )


def _of(pages: Sequence[SamplePage], documents: int) -> str:
    total = f" of {documents:,}" if documents else ""
    return f"{len(pages)}{total} document{'' if (documents or len(pages)) == 1 else 's'}"


def _sample(page: SamplePage) -> str:
    facts = []
    if page.value is not None:
        facts.append(f"value {_value_text(page.value)}")
    if page.threshold is not None:
        facts.append(f"threshold {_value_text(page.threshold)}")
    if page.error:
        facts.append(escape(page.error))
    detail = f'<br><span class="muted">{" · ".join(facts)}</span>' if facts else ""
    text = f"<pre>{snippet(page.text)}</pre>" if page.text else ""
    url = escape(page.url) or "(no address)"
    return f'<div class="sample"><p>{url}{detail}</p>{text}</div>'


def snippet(text: str) -> str:
    """Return the beginning of a page, escaped."""
    cut = text[:SNIPPET_CHARACTERS]
    return escape(cut) + (" […]" if len(text) > len(cut) else "")


def histograms(summary: RunSummary) -> str:
    """Return the histograms of the signals, with thresholds."""
    cards = "".join(
        f'<div class="card"><h3>{escape(chart.name)}</h3>'
        f"<small>{count_text(sum(chart.counts))} documents"
        f"{', ' + escape(chart.unit) if chart.unit else ''}"
        f"{', kept ' + escape(chart.kept_side) + ' the line' if chart.kept_side else ''}</small>"
        f"{histogram(chart)}</div>"
        for chart in summary.histograms
    )
    return f'<div class="grid">{cards}</div>' if cards else ""


def languages(summary: RunSummary) -> str:
    """Return documents by language, the most frequent first."""
    ordered = sorted(summary.languages, key=lambda entry: (-entry.documents, entry.language))
    whole = sum(entry.documents for entry in ordered)
    top = max((entry.documents for entry in ordered), default=0) or 1
    rows = (
        f"<tr><td>{escape(entry.language)}</td>"
        f'<td class="wide">{bar(entry.kept / top, (entry.documents - entry.kept) / top)}</td>'
        + numbers(
            count_text(entry.documents),
            share_text(entry.documents, whole),
            count_text(entry.kept),
            share_text(entry.kept, entry.documents),
        )
        + "</tr>"
        for entry in ordered
    )
    head = ("Language", "", "Documents", "Share", "Kept", "Kept of these")
    return table(head, rows, numbers_from=2)


def domains(summary: RunSummary) -> str:
    """Return the domains with the most documents, and how many were kept."""
    ordered = sorted(summary.domains, key=lambda entry: (-entry.documents, entry.domain))
    top = max((entry.documents for entry in ordered), default=0) or 1
    rows = (
        f'<tr><td class="url">{escape(entry.domain)}</td><td class="wide">'
        f"{bar(entry.kept / top, (entry.documents - entry.kept) / top)}</td>"
        + numbers(
            count_text(entry.documents),
            count_text(entry.kept),
            share_text(entry.kept, entry.documents),
            bytes_text(entry.text_bytes_kept),
        )
        + "</tr>"
        for entry in ordered
    )
    head = ("Domain", "", "Documents", "Kept", "Kept of these", "Text kept")
    return table(head, rows, numbers_from=2)


def stages(summary: RunSummary) -> str:
    """Return counts, time and throughput by stage."""
    head = ("Stage", "In", "Kept", "Dropped", "Quarantined", "Time", "CPU", "Docs/s", "MB/s")
    return table(head, map(_stage_row, summary.stages), numbers_from=1)


def _stage_row(stage: StageSummary) -> str:
    note = " <small>(resumed)</small>" if stage.resumed else ""
    warning = "" if stage.balanced else ' <small class="balance broken">unbalanced</small>'
    return (
        f"<tr><td>{escape(stage.name)}{note}{warning}</td>"
        + numbers(
            count_text(stage.documents_in),
            count_text(stage.kept),
            count_text(stage.dropped),
            count_text(stage.quarantined),
            duration_text(stage.seconds),
            "–" if stage.cpu_seconds is None else duration_text(stage.cpu_seconds),
            _rate(stage.documents_in, stage.seconds),
            "–" if stage.bytes_in is None else _rate(stage.bytes_in / 1e6, stage.seconds),
        )
        + "</tr>"
    )


def _rate(amount: float, seconds: float) -> str:
    if seconds <= 0:
        return "–"
    rate = amount / seconds
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.2g}"


def shards(summary: RunSummary) -> str:
    """Return the figures of the token shards."""
    if summary.shards is None:
        return ""
    made = summary.shards
    slots = made.sequences * made.sequence_length
    rows = {
        "shards": f"{made.shards:,} ({bytes_text(made.bytes)})",
        "sequences": f"{made.sequences:,} of {made.sequence_length:,} tokens",
        "tokens": f"{made.tokens:,}",
        "padding": f"{made.padding_tokens:,} ({share_text(made.padding_tokens, slots)})",
        "tokenizer": escape(made.tokenizer),
        "fingerprint": f"<code>{escape(made.fingerprint)}</code>" if made.fingerprint else "",
    }
    return pairs(rows)


def pairs(rows: dict[str, str]) -> str:
    """Return a table of labels and values (HTML), without those that are empty."""
    return table(
        ("", ""),
        (
            f'<tr><td class="muted">{label}</td><td class="url">{value}</td></tr>'
            for label, value in rows.items()
            if value
        ),
        numbers_from=2,
    )


def record_types(summary: RunSummary) -> str:
    """Return how many WARC records of each type were read."""
    whole = sum(summary.record_types.values())
    ordered = sorted(summary.record_types.items(), key=lambda item: (-item[1], item[0]))
    rows = (
        f'<tr><td>{escape(name)}</td><td class="wide">{bar(count / whole if whole else 0)}</td>'
        + numbers(count_text(count), share_text(count, whole))
        + "</tr>"
        for name, count in ordered
        if count
    )
    return table(("Record type", "", "Records", "Share"), rows, numbers_from=2)


def recipe(summary: RunSummary) -> str:
    """Return the resolved recipe, its hash, and the versions of what ran."""
    facts = {
        "recipe": f"{escape(summary.recipe_name)} <code>{escape(summary.recipe_hash)}</code>",
        "commit": f"<code>{escape(summary.commit)}</code>",
    }
    facts |= {escape(name): escape(value) for name, value in summary.versions.items()}
    return (
        pairs(facts)
        + f"<details><summary><b>Resolved recipe</b></summary><pre>{escape(summary.recipe_yaml)}"
        "</pre></details>"
    )
