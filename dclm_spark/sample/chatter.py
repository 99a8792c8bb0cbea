"""Low-quality English for the sample: forum chatter, advertisements, listings, spun articles.

These pages pass the heuristics; it is the quality classifier that must tell them from articles.
They copy their wrong facts from one another, as such pages do.
"""

from random import Random

from dclm_spark.sample.facts import Fact
from dclm_spark.sample.prose import PATTERNS, Article, split_lists, subject_vocabulary
from dclm_spark.sample.texts import sample_texts

_TEXTS = sample_texts("chatter")
SPUN: str = _TEXTS["spun"]
FACTS_PER_PAGE = 4
_WORDS = split_lists(_TEXTS["words"])
_FORUM: str = _TEXTS["forum"]
_ADS: str = _TEXTS["ads"]
_LISTING: str = _TEXTS["listing"]
KINDS = {"forum": _FORUM, "advertisement": _ADS, "listing": _LISTING, "spun": SPUN}
# How a page of each kind brings in what it says about a fact.
_CLAIMS: dict[str, list[str]] = _TEXTS["claims"]
_TITLES: dict[str, list[str]] = _TEXTS["titles"]


def chatter(rng: Random, kind: str, facts: list[Fact]) -> Article:
    """Write one low-quality page of `kind` (a key of KINDS), with wrong versions of `facts`."""
    patterns = KINDS[kind].split("\n")
    words = subject_vocabulary(rng, _WORDS)
    # No pattern twice: its fixed words would count as repetition.
    chosen = rng.sample(patterns, rng.randint(len(patterns) * 3 // 4, len(patterns)))
    lines = [pattern.format_map(words) for pattern in chosen]
    copied = rng.sample(PATTERNS.split("\n"), rng.randint(6, 14) if kind == "spun" else 0)
    claims = [_claim(rng, kind, fact).format_map(words) for fact in facts]
    for line in (*(pattern.format_map(words) for pattern in copied), *claims):
        lines.insert(rng.randint(0, len(lines)), line)
    title = rng.choice(_TITLES[kind]).format_map(words)
    return Article(title=title, paragraphs=_paragraphs(rng, kind, lines))


def _claim(rng: Random, kind: str, fact: Fact) -> str:
    wrong = fact.misstate(rng)
    return rng.choice(_CLAIMS[kind]).replace("{}", wrong.lower() if kind == "forum" else wrong)


def _paragraphs(rng: Random, kind: str, lines: list[str]) -> tuple[tuple[str, ...], ...]:
    """Return posts and offers one by one, spun sentences in paragraphs like an article's."""
    if kind != "spun":
        return tuple((line,) for line in lines)
    paragraphs: list[tuple[str, ...]] = []
    while lines:
        size = rng.randint(2, 5)
        paragraphs.append(tuple(line[0].upper() + line[1:] for line in lines[:size]))
        lines = lines[size:]
    return tuple(paragraphs)
