"""Every quirk: what the reference does, what `quirks: none` does, and which modules ask."""

from typing import NamedTuple


class QuirkLine(NamedTuple):
    """One quirk; `module` is the module, as a path, that asks which behaviour is wanted."""

    name: str
    module: str
    reference: str
    corrected: str
    effect: str


QUIRK_LINES = (
    QuirkLine(
        "Strict UTF-8", "udfs/documents/extraction_settings.py",
        "a page that is no valid UTF-8 is not read, whatever it declares",
        "the declared or guessed charset is used (`extraction.charset_policy: declared`)",
        "the reference loses pages in older charsets",
    ),
    QuirkLine(
        "Banned domains", "udfs/rules/urls.py",
        'the whole network location, with port and user, must be a line of the list once "www" '
        '(not "www.") is deleted from it',
        "an entry bans its host and subdomains, with any port, and a path only where it has one",
        "www, ports and subdomains of banned domains get through; the report counts these pages",
    ),
    QuirkLine(
        "Gate of address removal", "udfs/rules/cleaning/url_removal.py",
        "addresses are removed only from texts that begin with the letters of some top-level "
        "domain (IPv4 addresses from all)",
        "addresses are removed from all texts",
        'texts that begin with "The" lose their addresses, those that begin with "We" keep them',
    ),
    QuirkLine(
        "Newlines and language", "udfs/fasttext/language.py",
        "newlines are deleted before the language is told, so words at line ends merge",
        "a newline counts as a blank",
        "other probabilities for texts of short lines; FineWeb's families always do the latter",
    ),
    QuirkLine(
        "First occurrences", "udfs/rules/repetition.py",
        "the first of several equal lines, paragraphs or runs of 5 to 10 words counts as repeated",
        "only the later ones count, as in Gopher",
        "the reference drops more",
    ),
    QuirkLine(
        "Dots in phrases", "udfs/rules/cleaning/steps.py",
        'a dot in a phrase stands for any character: "Read more..." deletes "read more" and three '
        "characters",
        "a dot is a dot",
        "the reference deletes parts of other sentences",
    ),
    QuirkLine(
        "N-grams of removed documents", "udfs/dedup/ngrams.py",
        "n-grams of the paragraphs that a removed document would have kept stay in the filter",
        "they do not",
        "in the reference, text that nobody keeps can remove text of others",
    ),
    QuirkLine(
        "Padding id", "dclm_spark/stages/tokenize.py",
        "GPT-NeoX's sequences are padded with 50256, the token for 22 spaces",
        "the tokenizer's own padding token pads, or else its end of text",
        "a model of the reference learns to follow the end of a cell with spaces; small",
    ),
    QuirkLine(
        "Equal letters", "dclm_spark/recipes/recipe.py",
        "texts that differ in how letters are composed (Unicode NFC) are different texts",
        "they are equal: exact keys are made of the composed form",
        "exact deduplication by text finds more; the texts themselves stay as they are",
    ),
    QuirkLine(
        "Rounded rotary frequencies", "dclm_spark/train/network.py",
        "the frequencies of rotary positions are rounded to the dtype of the activations",
        "they stay in full precision",
        "`model.quirks` of training: must match to reproduce or continue a model of the reference",
    ),
)  # fmt: skip

_INTRODUCTION = """# Quirks

DCLM's published code does some things that its authors will not have meant. `quirks: dclm-2024`,
the default, does the same; `quirks: none` does what was meant. One key switches all parts of a
recipe; training has its own (`model.quirks`).

Take `dclm-2024` to reproduce DCLM-BASELINE or to be compared with it, and `none` for a corpus of
your own. Both are deterministic; a run with the other value is another corpus.
"""
_ALWAYS = """
## What is the same under both

- Paragraphs of fewer tokens than `deduplication.sharded.min_ngram` are never tested, so short
  boilerplate stays. Another method, such as `passages`, looks at it.
- DCLM's rules count words in three ways (for length, for stop words, for repetition); so do we.
- Which of several copies stays is by chance in the reference (threads, an unseeded shuffle). Here
  the declared order decides, every time.

This page is made from `dclm_spark/exports/reference/quirk_lines.py`, by
`python -m dclm_spark.exports.reference.write_pages docs/reference`; a test looks for modules that
ask for a quirk and are not in it.
"""


def page() -> str:
    """Return the page as Markdown."""
    rows = "\n".join(
        f"| {one.name} | {one.reference} | {one.corrected} | {one.effect} | `{one.module}` |"
        for one in QUIRK_LINES
    )
    header = "| quirk | `dclm-2024` | `none` | effect | where |\n|---|---|---|---|---|"
    return f"{_INTRODUCTION}\n{header}\n{rows}\n{_ALWAYS}"
