"""Documents about a corpus, in Markdown: a datasheet, and the European Union's public summary.

The summary has the sections and numbers of the Commission's template for the public summary of
training content (Regulation (EU) 2024/1689, Article 53(1)(d); Explanatory Notice and Template of 24
July 2025, C(2025) 8311). What a run knows is filled in; what only a provider knows is marked. It is
no legal advice. The datasheet follows the questions of Gebru et al., arXiv 1803.09010.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from dclm_spark.corpus.contents import FOLDER, SITES, Contents, Counts

TO_FILL = "**to be filled in by the provider**"
_BILLION = 10**9
# The template's ranges for text, in tokens.
_RANGES = (
    (1 * _BILLION, "less than 1 billion tokens"),
    (10_000 * _BILLION, "1 billion to 10 trillion tokens"),
)
_SHOWN_SITES = 100


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What a run's records say of how its corpus was made."""

    recipe: str
    recipe_hash: str
    commit: str
    fingerprint: str
    # Documents by stage and rule that dropped them, the most first.
    dropped: tuple[tuple[str, str, int], ...]
    # Records of removals (`dclm_spark.removal.record`).
    removals: tuple[Mapping[str, Any], ...]
    # Rules of the recipe on what pages say of their use, such as "tdm_reservation".
    policy: tuple[str, ...]


def size_range(num_tokens: int) -> str:
    """Return the template's range for so many tokens.

    >>> size_range(5_000_000_000)
    '1 billion to 10 trillion tokens'
    """
    return next(
        (name for limit, name in _RANGES if num_tokens < limit), "more than 10 trillion tokens"
    )


def public_summary(found: Contents, made: Provenance) -> str:
    """Return the public summary of training content for this corpus alone."""
    documents, tokens, size = astuple(found.total)
    period = " to ".join(found.fetched) if found.fetched else TO_FILL
    lines = [
        "# Public summary of training content",
        "Article 53(1)(d) of Regulation (EU) 2024/1689. Filled from the records of one corpus; a "
        "model trained on more has more to say. Not legal advice.",
        "## 1. General information",
        f"- 1.1 Provider, authorised representative: {TO_FILL}",
        f"- 1.2 Model, versions, models it is made from, date of placing on the market: {TO_FILL}",
        f"- 1.3 Modality: text. Size: {size_range(tokens)} ({tokens:,} tokens of {documents:,} "
        f"documents, {size:,} bytes of text). Content: web pages, main text of HTML.",
        f"- Latest date of acquisition: {found.fetched[1] if found.fetched else TO_FILL}",
        f"- Languages, by bytes of text: {_shares(found.languages, size)}",
        "## 2. Data sources",
        f"- 2.1 Publicly available data sets: {', '.join(found.crawls) or TO_FILL} (crawls)",
        "- 2.2 Private data sets of third parties: none in this corpus",
        f"- 2.3 Data crawled from online sources: crawler, its purpose and behaviour: {TO_FILL} "
        "(of Common Crawl's crawls: CCBot, which obeys robots.txt). Period: " + period,
        f"- Registered domains: {found.num_sites:,}. The template asks for the largest tenth by "
        "size of content, or of small firms 5 % or 1,000; all are in "
        f"`{FOLDER}/{SITES}`, the largest are:",
        _table(("domain", "documents", "tokens", "bytes"), _rows(found.sites), _SHOWN_SITES),
        "- 2.4 User data: none in this corpus",
        "- 2.5 Synthetic data: none made by this pipeline",
        "- 2.6 Other sources: none in this corpus",
        "## 3. Data processing",
        f"- 3.1 Reservations of rights: {_policy(made)}",
        f"- Removed on request: {_removals(made.removals)}",
        "- 3.2 Illegal content: lists of banned domains and words, see the rules below",
        "- 3.3 Dropped by rule:",
        _table(("stage, rule", "documents"), {f"{s}, {r}": (n,) for s, r, n in made.dropped}),
    ]
    return "\n\n".join(lines) + "\n"


def datasheet(found: Contents, made: Provenance) -> str:
    """Return the datasheet of the corpus."""
    documents, tokens, size = astuple(found.total)
    period = " to ".join(found.fetched) if found.fetched else "not recorded"
    lines = [
        "# Datasheet",
        "## Motivation",
        f"- For what, by whom, funded by whom: {TO_FILL}",
        "## Composition",
        f"- {documents:,} documents, {tokens:,} tokens, {size:,} bytes of text, of "
        f"{found.num_sites:,} registered domains; fingerprint `{made.fingerprint}`",
        "- An instance is the main text of a web page, cleaned and deduplicated",
        "- It is a selection: pages dropped, by rule:",
        _table(("stage, rule", "documents"), {f"{s}, {r}": (n,) for s, r, n in made.dropped}),
        "- By language:",
        _table(("language", "documents", "tokens", "bytes"), _rows(found.languages)),
        "- By licence that the page links to (Creative Commons; the first row, without a name, is "
        "none or not looked for):",
        _table(("licence", "documents", "tokens", "bytes"), _rows(found.licences)),
        "- Personal data: pages of the public web have some; nothing was added, and what the "
        "recipe's cleaning leaves is there",
        "## Collection",
        f"- Crawls: {', '.join(found.crawls)}; pages fetched {period}",
        "## Preprocessing",
        f"- Recipe `{made.recipe}` ({made.recipe_hash}), commit `{made.commit}`; `recipe.yaml` has "
        "every value. The ledger has the fate of every record",
        f"- {_policy(made)}",
        "## Uses, distribution",
        f"- {TO_FILL}",
        "## Maintenance",
        f"- Removals: {_removals(made.removals)}",
    ]
    return "\n\n".join(lines) + "\n"


def _shares(counts: Mapping[str, Counts], size: int) -> str:
    named = [
        f"{name or 'unknown'} {100 * count.text_size_bytes / max(size, 1):.1f} %"
        for name, count in counts.items()
    ]
    return ", ".join(named[:24])


def _policy(made: Provenance) -> str:
    if not made.policy:
        return "what pages say of their use was not read"
    return f"pages were dropped by these of their own statements: {', '.join(made.policy)}"


def _removals(records: Sequence[Mapping[str, Any]]) -> str:
    if not records:
        return "none"
    return "; ".join(
        f"{one['time']}: {one['documents']:,} documents, {one['tokens']:,} tokens"
        for one in records
    )


def _rows(counts: Mapping[str, Counts]) -> dict[str, Sequence[int]]:
    return {name: astuple(one) for name, one in counts.items()}


def _table(head: Sequence[str], rows: Mapping[str, Sequence[int]], most: int | None = None) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for name, counts in list(rows.items())[:most]:
        cells = [_cell(name), *(f"{count:,}" for count in counts)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Return text of a page's address or rule so that it stays within its cell."""
    return "".join(one if one.isalnum() or one in "-._,:[] " else "?" for one in text)
