"""The 26 heuristic steps of DCLM-BASELINE, a reproduction of RefinedWeb's (spec 2.2).

Steps 1 to 5 look at addresses: see `udfs.rules.families.url_outcomes`.
"""

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from udfs.rules.batch import (
    IdentifyLanguage,
    JudgedBatch,
    Step,
    limit_language,
    limit_lengths,
    measure_language,
    ratio,
)
from udfs.rules.cleaning.steps import cap_newlines, clean_lines
from udfs.rules.cleaning.url_removal import remove_urls
from udfs.rules.repetition import FRACTIONS, repetition_fractions
from udfs.text.columns import Bytes, Offsets
from udfs.text.lines import BULLET_LINES, ELLIPSIS_LINES, LINES, SYMBOLS, line_counts
from udfs.text.words import (
    FASTTEXT_WORDS,
    NON_ALPHABETIC_WORDS,
    SPLIT_CHARACTERS,
    SPLIT_WORDS,
    STOP_WORDS,
    fasttext_word_counts,
    word_counts,
)

if TYPE_CHECKING:
    from udfs.rules.families import HeuristicSettings

URL_RULES = ("url_domain", "url_strict_word", "url_hard_word", "url_soft_words")
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
    **{rule: (step, "url_substring_filter") for step, rule in enumerate(URL_RULES, start=2)},
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
SIGNALS = (
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
)
# What limits ask for besides the signals.
FACTS = (
    # After step 6.
    pa.field("url_free_size_bytes", pa.int64()),
    pa.field("num_lines", pa.int64()),
    pa.field("num_bullet_lines", pa.int64()),
    pa.field("num_ellipsis_lines", pa.int64()),
    # The step of line cleaning that left nothing of the text; 0: none.
    pa.field("emptied_at_step", pa.int32()),
)


def steps(
    settings: "HeuristicSettings",
    top_level_domains: tuple[str, ...],
    identify_language: IdentifyLanguage,
) -> tuple[Step, ...]:
    """Return steps 6 to 26."""

    def measure_urls(batch: JudgedBatch) -> None:
        if settings.cleaning.remove_urls:
            batch.text = _without_urls(*batch.text, settings, top_level_domains)
            batch.sign("url_free_size_bytes", np.diff(batch.text[1]))

    def measure_language_after_newlines(batch: JudgedBatch) -> None:
        batch.text = _with_capped_newlines(*batch.text, settings)
        measure_language(batch, identify_language)

    limits = partial(
        limit_language, language=settings.language, min_score=settings.min_language_score
    )
    return (
        Step(measure=measure_urls, limit=_limit_urls),
        Step(measure=measure_language_after_newlines, limit=limits),
        Step(
            measure=partial(_measure_words_and_lines, settings=settings),
            limit=partial(_limit_words_and_lines, settings=settings),
        ),
        Step(
            measure=partial(_measure_repetition, settings=settings),
            limit=partial(_limit_repetition, settings=settings),
        ),
        Step(
            measure=partial(_measure_cleaning, settings=settings),
            limit=partial(_limit_cleaning, settings=settings),
        ),
    )


def cleaned(
    data: Bytes,
    offsets: Offsets,
    settings: "HeuristicSettings",
    top_level_domains: tuple[str, ...],
) -> tuple[Bytes, Offsets]:
    """Return texts as the steps leave them: all that changes texts, and no rule."""
    if settings.cleaning.remove_urls:
        data, offsets = _without_urls(data, offsets, settings, top_level_domains)
    data, offsets = _with_capped_newlines(data, offsets, settings)
    data, offsets, _ = clean_lines(data, offsets, settings.cleaning)
    return data, offsets


def _without_urls(
    data: Bytes,
    offsets: Offsets,
    settings: "HeuristicSettings",
    top_level_domains: tuple[str, ...],
) -> tuple[Bytes, Offsets]:
    return remove_urls(data, offsets, top_level_domains, settings.cleaning.quirks)


def _with_capped_newlines(
    data: Bytes, offsets: Offsets, settings: "HeuristicSettings"
) -> tuple[Bytes, Offsets]:
    most = settings.cleaning.max_consecutive_newlines
    return (data, offsets) if most is None else cap_newlines(data, offsets, most)


def _limit_urls(batch: JudgedBatch) -> None:
    """Step 6: nothing but addresses."""
    sizes = batch.signal("url_free_size_bytes")
    batch.fail("url_removal", sizes == 0, sizes, np.nan)


def _measure_words_and_lines(batch: JudgedBatch, settings: "HeuristicSettings") -> None:
    """Count for steps 10 to 16, and for 18, which counts again what step 10 counted."""
    counts = word_counts(*batch.text, settings.stop_words).T
    lines = line_counts(*batch.text).T
    words = counts[SPLIT_WORDS]
    for name, values in (
        ("num_words", counts[FASTTEXT_WORDS]),
        ("previous_word_count", counts[FASTTEXT_WORDS]),
        ("mean_word_length", ratio(counts[SPLIT_CHARACTERS], words)),
        ("symbol_ratio", ratio(lines[SYMBOLS], words)),
        ("num_lines", lines[LINES]),
        ("num_bullet_lines", lines[BULLET_LINES]),
        ("num_ellipsis_lines", lines[ELLIPSIS_LINES]),
        ("bullet_line_fraction", ratio(lines[BULLET_LINES], lines[LINES])),
        ("ellipsis_line_fraction", ratio(lines[ELLIPSIS_LINES], lines[LINES])),
        ("non_alphabetic_word_fraction", ratio(counts[NON_ALPHABETIC_WORDS], words)),
        ("num_stop_words", counts[STOP_WORDS]),
    ):
        batch.sign(name, values)


def _limit_words_and_lines(batch: JudgedBatch, settings: "HeuristicSettings") -> None:
    """Do steps 10 to 16."""
    limit_lengths(batch, settings)
    symbols, limit = batch.signal("symbol_ratio"), settings.max_symbol_ratio
    batch.fail("symbol_ratio", symbols > limit, symbols, limit)
    for kind, limit in (
        ("bullet", settings.max_bullet_line_fraction),
        ("ellipsis", settings.max_ellipsis_line_fraction),
    ):
        # As a product, as the reference has it: the quotient may round to the other side.
        above = batch.signal(f"num_{kind}_lines") > limit * batch.signal("num_lines")
        batch.fail(f"{kind}_lines", above, batch.signal(f"{kind}_line_fraction"), limit)
    symbolic = batch.signal("non_alphabetic_word_fraction")
    limit = settings.max_non_alphabetic_word_fraction
    batch.fail("alphabetic_words", ~(symbolic <= limit), symbolic, limit)
    stop_words = batch.signal("num_stop_words")
    few = stop_words < settings.min_stop_words
    batch.fail("stop_words", few, stop_words, settings.min_stop_words)


def _measure_repetition(batch: JudgedBatch, settings: "HeuristicSettings") -> None:
    fractions = repetition_fractions(*batch.text, settings.quirks)
    for name, fraction in zip(FRACTIONS, fractions.T, strict=True):
        batch.sign(f"{name}_fraction", fraction)


def _limit_repetition(batch: JudgedBatch, settings: "HeuristicSettings") -> None:
    """Do step 17."""
    for rule in FRACTIONS:
        fraction, limit = batch.signal(f"{rule}_fraction"), getattr(settings.repetition, rule)
        batch.fail(rule, fraction > limit, fraction, limit)


def _measure_cleaning(batch: JudgedBatch, settings: "HeuristicSettings") -> None:
    """Clean lines, and count words again where that took something away."""
    before = batch.signal("previous_word_count").astype(np.int64)
    old_sizes = np.diff(batch.text[1])
    data, offsets, emptied_at = clean_lines(*batch.text, settings.cleaning)
    batch.text = data, offsets
    batch.sign("emptied_at_step", emptied_at)
    # Cleaning only takes away, so a text of the same size is the same text.
    is_changed = np.diff(offsets) != old_sizes
    after = np.where(is_changed, fasttext_word_counts(data, offsets), before)
    batch.sign("word_removal_fraction", ratio(before - after, before))


def _limit_cleaning(batch: JudgedBatch, settings: "HeuristicSettings") -> None:
    """Do steps 19 to 26."""
    emptied_at = batch.signal("emptied_at_step")
    nothing = np.full(len(emptied_at), np.nan)
    for step, rule in _LINE_RULES.items():
        batch.fail(rule, emptied_at == step, nothing, np.nan)
    removed, limit = batch.signal("word_removal_fraction"), settings.max_word_removal_fraction
    batch.fail("word_removal", ~(removed <= limit), removed, limit)
