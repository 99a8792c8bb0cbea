"""The 26 heuristic steps of DCLM-BASELINE over a batch of texts (spec 2.2).

`url_outcomes` judges addresses, before a page is parsed; `apply` runs all steps. Each rule is a
predicate over a signal; the first that fails, in the reference's order, names the document's fate.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from udfs.cleaning import CleaningSettings, cap_newlines, clean_lines
from udfs.columns import Bytes, Offsets, string_column, utf8_buffers
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
    word_counts,
)

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
# Texts -> (labels or null, probabilities), as udfs.language.LanguageIdentifier.
IdentifyLanguage = Callable[[pa.Array], tuple[pa.Array, Floats]]

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

    A maximum drops what is strictly greater, a minimum what is strictly less.
    """

    # False: texts pass as they are, without signals.
    enabled: bool = True
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

    def __post_init__(self) -> None:
        """Refuse unknown switches."""
        follows_reference(self.quirks)
        if self.annotate not in ANNOTATE:
            raise ValueError(
                f"annotate: {self.annotate!r} is not known; write one of "
                f"{', '.join(map(repr, ANNOTATE))}"
            )


@dataclass(frozen=True, kw_only=True)
class HeuristicResult:
    """One row per document of the batch.

    `rule` is null for kept documents; `value` is what was compared with `threshold`, null where
    a rule compares nothing. `signals` has a column per field of SIGNALS.
    """

    text: pa.LargeStringArray
    rule: pa.StringArray
    value: pa.DoubleArray
    threshold: pa.DoubleArray
    signals: dict[str, pa.Array]


def url_outcomes(
    urls: pa.Array, settings: HeuristicSettings, lists: UrlLists
) -> tuple[pa.StringArray, pa.DoubleArray, pa.DoubleArray]:
    """Return (rule, value, threshold) of steps 1 to 5 for each address; null where none drops."""
    if not settings.enabled:
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
) -> HeuristicResult:
    """Run the 26 steps over documents given as columns of texts and addresses; null reads as "".

    What `identify_language` says of a text must not depend on the other texts of its batch.
    """
    batch = _Batch(texts, keeps_failed=settings.annotate == "all")
    if settings.enabled:
        rules, values, thresholds = url_outcomes(urls, settings, lists)
        indices = pc.index_in(rules, pa.array(RULES, pa.string())).fill_null(-1)
        batch.fail_by_address(*map(_floats, (indices, values, thresholds)))
        _remove_urls(batch, settings, lists)
        _judge_language(batch, settings, identify_language)
        _judge_words_and_lines(batch, settings)
        _judge_repetition(batch, settings)
        _clean_lines(batch, settings)
    return batch.result()


class _Batch:
    """The documents of a call: the texts of those still looked at, and what is known of all."""

    def __init__(self, texts: pa.Array | pa.ChunkedArray, keeps_failed: bool) -> None:
        count = len(texts)
        self.rows: Rows = np.arange(count)
        self.text: tuple[Bytes, Offsets] = utf8_buffers(texts)
        self._keeps_failed = keeps_failed
        self._rules = np.full(count, -1, np.int64)
        self._values, self._thresholds = np.full(count, np.nan), np.full(count, np.nan)
        self._signals: dict[str, Floats] = {}
        self._languages: pa.Array = pa.nulls(count, pa.string())
        self._closed: list[tuple[Rows, pa.LargeStringArray]] = []

    def fail_by_address(self, rules: Floats, values: Floats, thresholds: Floats) -> None:
        """Take over the outcomes of `url_outcomes`; NaN stands for null."""
        self._rules[:], self._values[:], self._thresholds[:] = rules, values, thresholds
        self.end_step()

    def fail(self, rule: str, failed: Flags, value: Floats, threshold: Floats | float) -> None:
        """Name `rule` as what drops the documents `failed`, if none did before."""
        failed = failed & (self._rules[self.rows] < 0)
        rows = self.rows[failed]
        self._rules[rows] = RULES.index(rule)
        self._values[rows] = value[failed]
        self._thresholds[rows] = np.broadcast_to(threshold, failed.shape)[failed]

    def sign(self, name: str, values: npt.NDArray[np.generic]) -> None:
        """Store a signal of the documents still looked at; NaN becomes null."""
        column = self._signals.setdefault(name, np.full(len(self._rules), np.nan))
        column[self.rows] = values

    def signal(self, name: str) -> Floats:
        """Return what was stored for the documents still looked at."""
        return self._signals[name][self.rows]

    def sign_language(self, labels: pa.Array) -> None:
        """Store the languages of the documents still looked at."""
        places = np.full(len(self._rules), -1)
        places[self.rows] = np.arange(len(self.rows))
        self._languages = labels.cast(pa.string()).take(pa.array(places, mask=places < 0))

    def end_step(self) -> None:
        """Look no further at documents that failed, unless all signals are wanted."""
        is_open = self._rules[self.rows] < 0
        if self._keeps_failed or is_open.all():
            return
        column = string_column(*self.text)
        self._closed.append((self.rows[~is_open], column.filter(pa.array(~is_open))))
        self.rows = self.rows[is_open]
        self.text = utf8_buffers(column.filter(pa.array(is_open)))

    def result(self) -> HeuristicResult:
        """Put all documents back into the order in which they came."""
        self._closed.append((self.rows, string_column(*self.text)))
        rows = np.concatenate([part for part, _ in self._closed])
        texts = pa.concat_arrays([part for _, part in self._closed])
        signals = {signal.name: self._signal(signal) for signal in SIGNALS}
        rules = pa.array(self._rules, mask=self._rules < 0)
        return HeuristicResult(
            text=texts.take(pa.array(np.argsort(rows))),
            rule=pa.array(RULES, pa.string()).take(rules),
            value=_nullable(self._values),
            threshold=_nullable(self._thresholds),
            signals=signals,
        )

    def _signal(self, signal: pa.Field) -> pa.Array:
        if signal.name == "language":
            return self._languages
        if signal.name not in self._signals:
            return pa.nulls(len(self._rules), signal.type)
        return _nullable(self._signals[signal.name]).cast(signal.type)


def _floats(column: pa.Array) -> Floats:
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)


def _nullable(values: Floats) -> pa.DoubleArray:
    return pa.array(values, mask=np.isnan(values))


def _ratio(numerator: npt.NDArray[np.int64], denominator: npt.NDArray[np.int64]) -> Floats:
    """Return the quotients, NaN where the denominator is 0."""
    quotients = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=quotients, where=denominator > 0)
    return quotients


def _remove_urls(batch: _Batch, settings: HeuristicSettings, lists: UrlLists) -> None:
    """Do steps 6 and 7."""
    cleaning = settings.cleaning
    if cleaning.remove_urls:
        batch.text = remove_urls(*batch.text, lists.top_level_domains, cleaning.quirks)
        sizes = np.diff(batch.text[1])
        batch.fail("url_removal", sizes == 0, sizes.astype(np.float64), np.nan)
        batch.end_step()
    if cleaning.max_consecutive_newlines is not None:
        batch.text = cap_newlines(*batch.text, cleaning.max_consecutive_newlines)


def _judge_language(
    batch: _Batch, settings: HeuristicSettings, identify_language: IdentifyLanguage
) -> None:
    """Do steps 8 and 9."""
    labels, scores = identify_language(string_column(*batch.text))
    wanted = _floats(pc.equal(labels, settings.language).fill_null(False).cast(pa.int8())) > 0
    batch.sign_language(labels)
    batch.sign(
        "language_score", np.where(_floats(pc.is_valid(labels).cast(pa.int8())) > 0, scores, np.nan)
    )
    failed = ~(wanted & (scores > settings.min_language_score))
    batch.fail("language", failed, np.where(wanted, scores, 0.0), settings.min_language_score)
    batch.end_step()


def _judge_words_and_lines(batch: _Batch, settings: HeuristicSettings) -> None:
    """Do steps 10 to 16, and 18, which counts again what step 10 counted."""
    counts = word_counts(*batch.text, settings.stop_words).T
    lines = line_counts(*batch.text).T
    num_words = counts[FASTTEXT_WORDS].astype(np.float64)
    batch.sign("num_words", num_words)
    _fail_outside(batch, "page_length", num_words, settings.min_words, settings.max_words)
    length = _ratio(counts[SPLIT_CHARACTERS], counts[SPLIT_WORDS])
    batch.sign("mean_word_length", length)
    _fail_outside(
        batch, "mean_word_length", length,
        settings.min_mean_word_length, settings.max_mean_word_length,
    )  # fmt: skip
    symbols = _ratio(lines[SYMBOLS], counts[SPLIT_WORDS])
    batch.sign("symbol_ratio", symbols)
    batch.fail(
        "symbol_ratio", symbols > settings.max_symbol_ratio, symbols, settings.max_symbol_ratio
    )
    for rule, column, limit in (
        ("bullet_lines", BULLET_LINES, settings.max_bullet_line_fraction),
        ("ellipsis_lines", ELLIPSIS_LINES, settings.max_ellipsis_line_fraction),
    ):
        fraction = _ratio(lines[column], lines[LINES])
        batch.sign(f"{rule.removesuffix('s')}_fraction", fraction)
        # As a product, as the reference has it: the quotient may round to the other side.
        batch.fail(rule, lines[column] > limit * lines[LINES], fraction, limit)
    symbolic = _ratio(counts[NON_ALPHABETIC_WORDS], counts[SPLIT_WORDS])
    batch.sign("non_alphabetic_word_fraction", symbolic)
    limit = settings.max_non_alphabetic_word_fraction
    batch.fail("alphabetic_words", ~(symbolic <= limit), symbolic, limit)
    stop_words = counts[STOP_WORDS].astype(np.float64)
    batch.sign("num_stop_words", stop_words)
    few = stop_words < settings.min_stop_words
    batch.fail("stop_words", few, stop_words, settings.min_stop_words)
    batch.sign("previous_word_count", num_words)
    batch.end_step()


def _fail_outside(batch: _Batch, rule: str, value: Floats, least: float, most: float) -> None:
    # NaN, the mean of nothing, fails too.
    failed = ~((value >= least) & (value <= most))
    batch.fail(rule, failed, value, np.where(value > most, most, least))


def _judge_repetition(batch: _Batch, settings: HeuristicSettings) -> None:
    """Do step 17."""
    fractions = repetition_fractions(*batch.text, settings.quirks)
    for rule, fraction in zip(FRACTIONS, fractions.T, strict=True):
        limit = getattr(settings.repetition, rule)
        batch.sign(f"{rule}_fraction", fraction)
        batch.fail(rule, fraction > limit, fraction, limit)
    batch.end_step()


def _clean_lines(batch: _Batch, settings: HeuristicSettings) -> None:
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
    after[changed] = word_counts(*utf8_buffers(texts), ())[:, FASTTEXT_WORDS]
    removed = _ratio(before - after, before)
    limit = settings.max_word_removal_fraction
    batch.sign("word_removal_fraction", removed)
    batch.fail("word_removal", ~(removed <= limit), removed, limit)
    batch.end_step()
