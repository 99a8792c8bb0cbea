"""Pages in other languages for the sample, from short patterns written for it."""

from random import Random

from dclm_spark.sample.prose import Article, Vocabulary, split_lists
from dclm_spark.sample.texts import sample_texts

# Per language: lists of alternatives, and patterns (one a line) over their names.
_TEXTS = sample_texts("languages")
_WORDS: dict[str, dict[str, str]] = _TEXTS["words"]
_PATTERNS: dict[str, str] = _TEXTS["patterns"]
LANGUAGES = tuple(sorted(_PATTERNS))
# The charset, besides UTF-8, in which pages of the language are still found.
LEGACY_CHARSETS = {
    "de": "iso-8859-1",
    "fr": "windows-1252",
    "es": "iso-8859-15",
    "it": "iso-8859-1",
    "pl": "iso-8859-2",
    "ru": "windows-1251",
    "el": "iso-8859-7",
    "ja": "shift_jis",
    "zh": "gbk",
    "ko": "euc-kr",
}


def foreign_article(rng: Random, language: str) -> Article:
    """Write a page in `language`, a member of LANGUAGES."""
    words = Vocabulary(rng, split_lists(_WORDS[language]))
    patterns = _PATTERNS[language].split("\n")
    joint = "" if language in ("ja", "zh") else " "
    title = joint.join((words["wer_cap"], words["wo"]))
    paragraphs = tuple(
        tuple(rng.choice(patterns).format_map(words) for _ in range(rng.randint(3, 7)))
        for _ in range(rng.randint(3, 8))
    )
    if joint == "":
        paragraphs = tuple(("".join(paragraph),) for paragraph in paragraphs)
    return Article(title=title, paragraphs=paragraphs)
