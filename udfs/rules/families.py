"""Families of rules over a batch of texts: the 26 steps of DCLM-BASELINE, C4's, FineWeb's.

`url_outcomes` judges addresses, before a page is parsed; `apply` measures and judges texts;
`signals_of` only measures, and `decide` judges what was measured, by any limits. Each rule is a
predicate over a signal; the first that fails, in the family's order, names the document's fate.
The families `udfs.rules.refinedweb`, `udfs.rules.c4` and `udfs.rules.fineweb` share names of rules
and signals where they mean the same thing, each by its own definition.
"""

from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.compute as pc

from udfs.checks import FRACTION, at_least, check, check_order, one_of
from udfs.quirks import QUIRKS
from udfs.rules import c4, fineweb, refinedweb
from udfs.rules.batch import (
    Floats,
    IdentifyLanguage,
    JudgedBatch,
    JudgedTexts,
    Step,
    run_steps,
)
from udfs.rules.c4 import C4Settings
from udfs.rules.cleaning.steps import CleaningSettings
from udfs.rules.fineweb import FineWebSettings
from udfs.rules.repetition import FRACTIONS
from udfs.rules.url_lists import UrlLists
from udfs.rules.urls import UrlSettings, judge
from udfs.text.columns import string_column, utf8_buffers

ANNOTATE = ("first_failure", "all")

_URL_OUTCOMES = refinedweb.RULES[: len(refinedweb.URL_RULES) + 1]
# By family, in the order of application.
RULES_OF = {
    "refinedweb": refinedweb.RULES,
    "c4": c4.RULES,
    "fineweb": (*_URL_OUTCOMES, *fineweb.RULES),
}
# What `apply` adds to the documents table; null where a document was dropped before.
SIGNALS = [*refinedweb.SIGNALS, *c4.SIGNALS, *fineweb.SIGNALS]
# What limits ask for besides: columns of a table of signals, not of documents.
FACTS = [*refinedweb.FACTS, *c4.FACTS, *fineweb.FACTS]


# Fields of HeuristicSettings that only limits and `url_outcomes` read.
_LIMITS = (
    "ignored_url_characters", "min_soft_url_words", "language", "min_language_score", "min_words",
    "max_words", "min_mean_word_length", "max_mean_word_length", "max_symbol_ratio",
    "max_bullet_line_fraction", "max_ellipsis_line_fraction", "max_non_alphabetic_word_fraction",
    "min_stop_words", "repetition", "max_word_removal_fraction",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RepetitionLimits:
    """Highest fractions of step 17 (spec 2.6), named as in `udfs.rules.repetition.FRACTIONS`."""

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

    def __post_init__(self) -> None:
        """Check every value."""
        check(self, **dict.fromkeys(FRACTIONS, FRACTION))


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
        check(self, quirks=one_of(QUIRKS), rules=one_of(tuple(RULES_OF)), annotate=one_of(ANNOTATE))
        count, length = at_least(0), at_least(0.0)
        check(self, min_soft_url_words=at_least(1), min_words=count, max_words=count)
        check(self, min_mean_word_length=length, max_mean_word_length=length)
        check(self, max_symbol_ratio=length, min_stop_words=count, min_language_score=FRACTION)
        check(self, max_bullet_line_fraction=FRACTION, max_ellipsis_line_fraction=FRACTION)
        check(self, max_non_alphabetic_word_fraction=FRACTION, max_word_removal_fraction=FRACTION)
        check_order(self, "min_words", "max_words")
        check_order(self, "min_mean_word_length", "max_mean_word_length")
        if self.min_stop_words > len(self.stop_words):
            raise ValueError(
                f"min_stop_words = {self.min_stop_words}: expected at most as many as stop_words "
                f"has, which are {len(self.stop_words)}"
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
        pa.array(refinedweb.URL_RULES, pa.string()).take(outcomes.rules),
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
        run_steps(batch, _steps(settings, lists, identify_language))
    return batch.result()


def measured_by(settings: HeuristicSettings) -> HeuristicSettings:
    """Return settings that measure as these do, with every limit at its default.

    Settings with the same result have the same signals of any text: those may be measured once.
    """
    default = HeuristicSettings()
    family = settings.rules
    return replace(
        settings,
        annotate="all",
        quirks=settings.quirks if family == "refinedweb" else settings.language_quirks,
        **{name: getattr(default, name) for name in _LIMITS},
        cleaning=settings.cleaning if family == "refinedweb" else default.cleaning,
        stop_words=default.stop_words if family == "c4" else settings.stop_words,
        c4=c4.measured_by(settings.c4) if family == "c4" else default.c4,
        fineweb=fineweb.measured_by(settings.fineweb) if family == "fineweb" else default.fineweb,
    )


def signals_of(
    texts: pa.Array | pa.ChunkedArray,
    settings: HeuristicSettings,
    lists: UrlLists,
    identify_language: IdentifyLanguage,
) -> dict[str, pa.Array]:
    """Return every column of SIGNALS and FACTS for all texts, null where the family has none."""
    batch = JudgedBatch(texts, RULES_OF[settings.rules], [*SIGNALS, *FACTS], keeps_failed=True)
    for step in _steps(settings, lists, identify_language):
        step.measure(batch)
    return batch.result().signals


def decide(
    signals: pa.RecordBatch, urls: pa.Array, settings: HeuristicSettings, lists: UrlLists
) -> tuple[pa.StringArray, pa.DoubleArray, pa.DoubleArray]:
    """Return (rule, value, threshold) of documents with these signals; the rule is null if kept.

    The signals are those of `signals_of` by settings with the same `measured_by`; what `apply`
    says of the texts is the same.
    """
    batch = JudgedBatch.of_signals(signals, RULES_OF[settings.rules])
    if settings.enabled:
        batch.fail_by_address(*url_outcomes(urls, settings, lists))
        for step in _steps(settings, lists, _not_asked):
            step.limit(batch)
    return batch.outcomes()


def cleaned(
    texts: pa.Array | pa.ChunkedArray, settings: HeuristicSettings, lists: UrlLists
) -> pa.LargeStringArray:
    """Return texts as a family leaves those that it keeps."""
    data, offsets = utf8_buffers(texts)
    if settings.enabled and settings.rules == "c4":
        data, offsets = c4.cleaned(data, offsets, settings.c4)
    elif settings.enabled and settings.rules == "fineweb":
        data, offsets = fineweb.cleaned(data, offsets, settings.fineweb)
    elif settings.enabled:
        data, offsets = refinedweb.cleaned(data, offsets, settings, lists.top_level_domains)
    return string_column(data, offsets)


def _steps(
    settings: HeuristicSettings, lists: UrlLists, identify_language: IdentifyLanguage
) -> tuple[Step, ...]:
    if settings.rules == "c4":
        return c4.steps(settings, lists.banned_words, identify_language)
    if settings.rules == "fineweb":
        return fineweb.steps(settings, identify_language)
    return refinedweb.steps(settings, lists.top_level_domains, identify_language)


def _not_asked(texts: pa.Array) -> tuple[pa.Array, Floats]:
    raise AssertionError("limits measure nothing")
