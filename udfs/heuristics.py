"""The 26 heuristic steps of DCLM-BASELINE over a batch of texts (spec 2.2), or another family's.

`url_outcomes` judges addresses, before a page is parsed; `apply` runs all steps. Each rule is a
predicate over a signal; the first that fails, in the reference's order, names the document's fate.
The families `udfs.c4` and `udfs.fineweb` share names of rules and signals where they mean the same
thing, each by its own definition.
"""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from udfs import c4, fineweb
from udfs.c4 import C4Settings
from udfs.cleaning import CleaningSettings, cap_newlines, clean_lines
from udfs.columns import string_column, utf8_buffers
from udfs.fineweb import FineWebSettings
from udfs.judged_batch import (
    IdentifyLanguage,
    JudgedBatch,
    JudgedTexts,
    fail_outside,
    judge_language,
    ratio,
)
from udfs.lines import BULLET_LINES, ELLIPSIS_LINES, LINES, SYMBOLS, line_counts
from udfs.quirks import follows_reference
from udfs.repetition import FRACTIONS, repetition_fractions
from udfs.url_removal import remove_urls
from udfs.urls import UrlSettings, judge
from udfs.word_lists import UrlLists
from udfs.words import (
    FASTTEXT_WORDS,
    NON_ALPHABETIC_WORDS,
    SPLIT_CHARACTERS,
    SPLIT_WORDS,
    STOP_WORDS,
    fasttext_word_counts,
    word_counts,
)

ANNOTATE = ("first_failure", "all")

_URL_RULES = ("url_domain", "url_strict_word", "url_hard_word", "url_soft_words")
_LINE_RULES = {
    19: "uppercase_lines",
    20: "numeric_lines",
    21: "counter_lines",
    22: "line_length",
    23: "items_in_cart",
    24: "read_more",
    25: "sign_in",
}
# Rule -> (number of the step, the reference's name of the step), in the order of application.
# "url_unreadable": the reference fails on an address that cannot be split, and drops the page.
STEP_OF_RULE: dict[str, tuple[int, str]] = {
    "url_unreadable": (2, "url_substring_filter"),
    **{rule: (step, "url_substring_filter") for step, rule in enumerate(_URL_RULES, start=2)},
    "url_removal": (6, "url_removal_modifier"),
    "language": (9, "language_filter"),
    "page_length": (10, "page_length_filter"),
    "mean_word_length": (11, "word_length_filter"),
    "symbol_ratio": (12, "symbol_ratio_filter"),
    "bullet_lines": (13, "bullet_count_filter"),
    "ellipsis_lines": (14, "ellipsis_count_filter"),
    "alphabetic_words": (15, "alphabetic_word_ratio_filter"),
    "stop_words": (16, "stop_word_filter"),
    **dict.fromkeys(FRACTIONS, (17, "massive_web_repetition_filters")),
    "uppercase_lines": (19, "uppercase_ratio_line_modifier"),
    "numeric_lines": (20, "numeric_ratio_line_modifier"),
    "counter_lines": (21, "counter_line_modifier"),
    "line_length": (22, "line_length_modifier"),
    "items_in_cart": (23, "substring_line_modifier"),
    "read_more": (24, "substring_line_modifier"),
    "sign_in": (25, "substring_line_modifier"),
    "word_removal": (26, "word_removal_ratio_filter"),
}
RULES = tuple(STEP_OF_RULE)
_URL_OUTCOMES = RULES[: len(_URL_RULES) + 1]
# By family, in the order of application.
RULES_OF = {
    "refinedweb": RULES,
    "c4": c4.RULES,
    "fineweb": (*_URL_OUTCOMES, *fineweb.RULES),
}

# What `apply` adds to the documents table; null where a document was dropped before.
SIGNALS = [
    pa.field("language", pa.string()),
    pa.field("language_score", pa.float64()),
    pa.field("num_words", pa.int32()),
    pa.field("mean_word_length", pa.float64()),
    pa.field("symbol_ratio", pa.float64()),
    pa.field("bullet_line_fraction", pa.float64()),
    pa.field("ellipsis_line_fraction", pa.float64()),
    pa.field("non_alphabetic_word_fraction", pa.float64()),
    pa.field("num_stop_words", pa.int32()),
    *(pa.field(f"{name}_fraction", pa.float64()) for name in FRACTIONS),
    pa.field("previous_word_count", pa.int32()),
    pa.field("word_removal_fraction", pa.float64()),
    *c4.SIGNALS,
    *fineweb.SIGNALS,
]


@dataclass(frozen=True, kw_only=True)
class RepetitionLimits:
    """Highest fractions of step 17 (spec 2.6), named as in `udfs.repetition.FRACTIONS`."""

    repeated_lines: float = 0.30
    repeated_paragraphs: float = 0.30
    repeated_line_characters: float = 0.20
    repeated_paragraph_characters: float = 0.20
    top_2_gram: float = 0.20
    top_3_gram: float = 0.18
    top_4_gram: float = 0.16
    repeated_5_grams: float = 0.15
    repeated_6_grams: float = 0.14
    repeated_7_grams: float = 0.13
    repeated_8_grams: float = 0.12
    repeated_9_grams: float = 0.11
    repeated_10_grams: float = 0.10


@dataclass(frozen=True, kw_only=True)
class HeuristicSettings:
    """Thresholds of the 26 steps; defaults: DCLM's `dclm_baseline_refinedweb.yaml` (spec 2.2).

    `rules` names the family that judges: "refinedweb" (the 26 steps), "c4" or "fineweb", which
    have settings of their own and read the language's and Gopher's here.

    A maximum drops what is strictly greater, a minimum what is strictly less.
    """

    # False: texts pass as they are, without signals.
    enabled: bool = True
    rules: str = "refinedweb"
    quirks: str = "dclm-2024"
    # "first_failure": a dropped document is not looked at further, and its text is as it stood;
    # "all": every signal of every document is computed, and every text is cleaned.
    annotate: str = "first_failure"
    # Steps 3 and 5.
    ignored_url_characters: str = "-."
    min_soft_url_words: int = 2
    cleaning: CleaningSettings = field(default_factory=CleaningSettings)
    # Step 9: the top label must be this language, with a probability above the other.
    language: str = "en"
    min_language_score: float = 0.65
    min_words: int = 50
    max_words: int = 100_000
    # In code points.
    min_mean_word_length: float = 3.0
    max_mean_word_length: float = 10.0
    max_symbol_ratio: float = 0.1
    max_bullet_line_fraction: float = 0.9
    max_ellipsis_line_fraction: float = 0.3
    max_non_alphabetic_word_fraction: float = 0.2
    stop_words: tuple[str, ...] = ("the", "be", "to", "of", "and", "that", "have", "with")
    min_stop_words: int = 2
    repetition: RepetitionLimits = field(default_factory=RepetitionLimits)
    max_word_removal_fraction: float = 0.05
    c4: C4Settings = field(default_factory=C4Settings)
    fineweb: FineWebSettings = field(default_factory=FineWebSettings)

    def __post_init__(self) -> None:
        """Refuse unknown switches."""
        follows_reference(self.quirks)
        if self.rules not in RULES_OF:
            raise ValueError(
                f"rules: {self.rules!r} is not known; write one of "
                f"{', '.join(map(repr, RULES_OF))}"
            )
        if self.annotate not in ANNOTATE:
            raise ValueError(
                f"annotate: {self.annotate!r} is not known; write one of "
                f"{', '.join(map(repr, ANNOTATE))}"
            )

    @property
    def language_quirks(self) -> str:
        """How the language's model reads newlines: FineWeb takes them for blanks, unlike DCLM."""
        return "none" if self.rules == "fineweb" else self.quirks


def url_outcomes(
    urls: pa.Array, settings: HeuristicSettings, lists: UrlLists
) -> tuple[pa.StringArray, pa.DoubleArray, pa.DoubleArray]:
    """Return (rule, value, threshold) of steps 1 to 5 for each address; null where none drops.

    C4 looks at no address.
    """
    if not settings.enabled or settings.rules == "c4":
        nulls = pa.nulls(len(urls), pa.float64())
        return pa.nulls(len(urls), pa.string()), nulls, nulls
    url_settings = UrlSettings(
        quirks=settings.quirks,
        ignored_characters=settings.ignored_url_characters,
        min_soft_words=settings.min_soft_url_words,
    )
    outcomes = judge(urls, lists, url_settings)
    rules = pc.if_else(
        pc.is_valid(outcomes.errors),
        "url_unreadable",
        pa.array(_URL_RULES, pa.string()).take(outcomes.rules),
    )
    return rules, outcomes.values, outcomes.thresholds


def apply(
    texts: pa.Array | pa.ChunkedArray,
    urls: pa.Array,
    settings: HeuristicSettings,
    lists: UrlLists,
    identify_language: IdentifyLanguage,
) -> JudgedTexts:
    """Run a family's steps over documents, columns of texts and addresses; null reads as "".

    What `identify_language` says of a text must not depend on the other texts of its batch.
    """
    rules = RULES_OF[settings.rules]
    batch = JudgedBatch(texts, rules, SIGNALS, keeps_failed=settings.annotate == "all")
    if settings.enabled:
        batch.fail_by_address(*url_outcomes(urls, settings, lists))
        if settings.rules == "c4":
            c4.judge_texts(batch, settings, lists.banned_words, identify_language)
        elif settings.rules == "fineweb":
            fineweb.judge_texts(batch, settings, identify_language)
        else:
            _run_steps(batch, settings, lists, identify_language)
    return batch.result()


def _run_steps(
    batch: JudgedBatch,
    settings: HeuristicSettings,
    lists: UrlLists,
    identify_language: IdentifyLanguage,
) -> None:
    """Do steps 6 to 26."""
    _remove_urls(batch, settings, lists)
    judge_language(batch, settings.language, settings.min_language_score, identify_language)
    _judge_words_and_lines(batch, settings)
    _judge_repetition(batch, settings)
    _clean_lines(batch, settings)


def _remove_urls(batch: JudgedBatch, settings: HeuristicSettings, lists: UrlLists) -> None:
    """Do steps 6 and 7."""
    cleaning = settings.cleaning
    if cleaning.remove_urls:
        batch.text = remove_urls(*batch.text, lists.top_level_domains, cleaning.quirks)
        sizes = np.diff(batch.text[1])
        batch.fail("url_removal", sizes == 0, sizes.astype(np.float64), np.nan)
        batch.end_step()
    if cleaning.max_consecutive_newlines is not None:
        batch.text = cap_newlines(*batch.text, cleaning.max_consecutive_newlines)


def _judge_words_and_lines(batch: JudgedBatch, settings: HeuristicSettings) -> None:
    """Do steps 10 to 16, and 18, which counts again what step 10 counted."""
    counts = word_counts(*batch.text, settings.stop_words).T
    lines = line_counts(*batch.text).T
    num_words = counts[FASTTEXT_WORDS].astype(np.float64)
    batch.sign("num_words", num_words)
    fail_outside(batch, "page_length", num_words, settings.min_words, settings.max_words)
    length = ratio(counts[SPLIT_CHARACTERS], counts[SPLIT_WORDS])
    batch.sign("mean_word_length", length)
    fail_outside(
        batch, "mean_word_length", length,
        settings.min_mean_word_length, settings.max_mean_word_length,
    )  # fmt: skip
    symbols = ratio(lines[SYMBOLS], counts[SPLIT_WORDS])
    batch.sign("symbol_ratio", symbols)
    batch.fail(
        "symbol_ratio", symbols > settings.max_symbol_ratio, symbols, settings.max_symbol_ratio
    )
    for rule, column, limit in (
        ("bullet_lines", BULLET_LINES, settings.max_bullet_line_fraction),
        ("ellipsis_lines", ELLIPSIS_LINES, settings.max_ellipsis_line_fraction),
    ):
        fraction = ratio(lines[column], lines[LINES])
        batch.sign(f"{rule.removesuffix('s')}_fraction", fraction)
        # As a product, as the reference has it: the quotient may round to the other side.
        batch.fail(rule, lines[column] > limit * lines[LINES], fraction, limit)
    symbolic = ratio(counts[NON_ALPHABETIC_WORDS], counts[SPLIT_WORDS])
    batch.sign("non_alphabetic_word_fraction", symbolic)
    limit = settings.max_non_alphabetic_word_fraction
    batch.fail("alphabetic_words", ~(symbolic <= limit), symbolic, limit)
    stop_words = counts[STOP_WORDS].astype(np.float64)
    batch.sign("num_stop_words", stop_words)
    few = stop_words < settings.min_stop_words
    batch.fail("stop_words", few, stop_words, settings.min_stop_words)
    batch.sign("previous_word_count", num_words)
    batch.end_step()


def _judge_repetition(batch: JudgedBatch, settings: HeuristicSettings) -> None:
    """Do step 17."""
    fractions = repetition_fractions(*batch.text, settings.quirks)
    for rule, fraction in zip(FRACTIONS, fractions.T, strict=True):
        limit = getattr(settings.repetition, rule)
        batch.sign(f"{rule}_fraction", fraction)
        batch.fail(rule, fraction > limit, fraction, limit)
    batch.end_step()


def _clean_lines(batch: JudgedBatch, settings: HeuristicSettings) -> None:
    """Do steps 19 to 26."""
    before = batch.signal("previous_word_count").astype(np.int64)
    old_sizes = np.diff(batch.text[1])
    data, offsets, emptied_at = clean_lines(*batch.text, settings.cleaning)
    batch.text = data, offsets
    nothing = np.full(len(emptied_at), np.nan)
    for step, rule in _LINE_RULES.items():
        batch.fail(rule, emptied_at == step, nothing, np.nan)
    # Cleaning only takes away, so a text of the same size is the same text.
    changed = np.flatnonzero(np.diff(offsets) != old_sizes)
    texts = string_column(data, offsets).take(pa.array(changed))
    after = before.copy()
    after[changed] = fasttext_word_counts(*utf8_buffers(texts))
    removed = ratio(before - after, before)
    limit = settings.max_word_removal_fraction
    batch.sign("word_removal_fraction", removed)
    batch.fail("word_removal", ~(removed <= limit), removed, limit)
    batch.end_step()
