"""The 26 heuristic steps of DCLM-BASELINE, a reproduction of RefinedWeb's (spec 2.2).

Steps 1 to 5 look at addresses: see `udfs.rules.urls`.
"""

from types import MappingProxyType

import numpy as np
import pyarrow as pa

from udfs.rules.batch import JudgedBatch, ratio
from udfs.rules.cleaning.line_patterns import (
    ANYWHERE,
    COUNTER,
    LINE_END,
    LINE_START,
    NUMERIC,
    SHORT,
    UPPERCASE,
)
from udfs.rules.cleaning.steps import cap_newlines, clean_lines
from udfs.rules.cleaning.url_removal import remove_urls
from udfs.rules.family import LANGUAGE_SIGNALS, RuleFamily, Step, Tools
from udfs.rules.repetition import FRACTIONS, repetition_fractions
from udfs.rules.url_lists import UrlLists
from udfs.rules.urls import RULES as URL_RULES
from udfs.rules.urls import UNREADABLE
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

# By the number of the step.
_LINE_RULES = {
    UPPERCASE: "uppercase_lines",
    NUMERIC: "numeric_lines",
    COUNTER: "counter_lines",
    SHORT: "line_length",
    ANYWHERE: "items_in_cart",
    LINE_END: "read_more",
    LINE_START: "sign_in",
}
_LINE_STEP_NAMES = {
    UPPERCASE: "uppercase_ratio_line_modifier",
    NUMERIC: "numeric_ratio_line_modifier",
    COUNTER: "counter_line_modifier",
    SHORT: "line_length_modifier",
    **dict.fromkeys((ANYWHERE, LINE_END, LINE_START), "substring_line_modifier"),
}
# Rule -> (number of the step, the reference's name of the step), in the order of application.
# UNREADABLE: the reference fails on an address that cannot be split, and drops the page.
STEP_OF_RULE: dict[str, tuple[int, str]] = {
    UNREADABLE: (2, "url_substring_filter"),
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
    **{rule: (step, _LINE_STEP_NAMES[step]) for step, rule in _LINE_RULES.items()},
    "word_removal": (26, "word_removal_ratio_filter"),
}
SIGNALS = (
    *LANGUAGE_SIGNALS,
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
STATISTICS = (
    # After step 6.
    pa.field("url_free_size_bytes", pa.int64()),
    pa.field("num_lines", pa.int64()),
    pa.field("num_bullet_lines", pa.int64()),
    pa.field("num_ellipsis_lines", pa.int64()),
    # The step of line cleaning that left nothing of the text; 0: none.
    pa.field("emptied_at_step", pa.int32()),
)


class RefinedWeb(RuleFamily[None]):
    """Steps 6 to 26."""

    rules = tuple(rule for rule in STEP_OF_RULE if rule not in (UNREADABLE, *URL_RULES))
    signals = SIGNALS
    statistics = STATISTICS
    lists = MappingProxyType({"top_level_domains": "step 6 removes no address but IPv4 ones"})

    def steps(self) -> tuple[Step, ...]:
        """Return steps 6 to 26."""
        return (
            Step(measure=self._measure_urls, limit=_limit_urls),
            Step(measure=self._measure_language, limit=self.limit_language),
            Step(measure=self._measure_words_and_lines, limit=self._limit_words_and_lines),
            Step(measure=self._measure_repetition, limit=self._limit_repetition),
            Step(measure=self._measure_cleaning, limit=self._limit_cleaning),
        )

    def clean(self, data: Bytes, offsets: Offsets, lists: UrlLists) -> tuple[Bytes, Offsets]:
        """Return texts as the steps leave them: all that changes texts, and no rule."""
        if self.shared.cleaning.remove_urls:
            data, offsets = self._without_urls(data, offsets, lists)
        data, offsets = self._with_capped_newlines(data, offsets)
        data, offsets, _ = clean_lines(data, offsets, self.shared.cleaning)
        return data, offsets

    def _without_urls(
        self, data: Bytes, offsets: Offsets, lists: UrlLists
    ) -> tuple[Bytes, Offsets]:
        quirks = self.shared.cleaning.quirks
        return remove_urls(data, offsets, lists.top_level_domains, quirks)

    def _with_capped_newlines(self, data: Bytes, offsets: Offsets) -> tuple[Bytes, Offsets]:
        most = self.shared.cleaning.max_consecutive_newlines
        return (data, offsets) if most is None else cap_newlines(data, offsets, most)

    def _measure_urls(self, batch: JudgedBatch, tools: Tools) -> None:
        if self.shared.cleaning.remove_urls:
            batch.text = self._without_urls(*batch.text, tools.lists)
            batch.store("url_free_size_bytes", np.diff(batch.text[1]))

    def _measure_language(self, batch: JudgedBatch, tools: Tools) -> None:
        batch.text = self._with_capped_newlines(*batch.text)
        self.measure_language(batch, tools)

    def _measure_words_and_lines(self, batch: JudgedBatch, _: Tools) -> None:
        """Count for steps 10 to 16, and for 18, which counts again what step 10 counted."""
        counts = word_counts(*batch.text, self.shared.stop_words).T
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
            batch.store(name, values)

    def _limit_words_and_lines(self, batch: JudgedBatch) -> None:
        """Do steps 10 to 16."""
        self.limit_lengths(batch)
        symbols, limit = batch.signal("symbol_ratio"), self.shared.max_symbol_ratio
        batch.fail("symbol_ratio", symbols > limit, symbols, limit)
        for kind, limit in (
            ("bullet", self.shared.max_bullet_line_fraction),
            ("ellipsis", self.shared.max_ellipsis_line_fraction),
        ):
            # As a product, as the reference has it: the quotient may round to the other side.
            above = batch.signal(f"num_{kind}_lines") > limit * batch.signal("num_lines")
            batch.fail(f"{kind}_lines", above, batch.signal(f"{kind}_line_fraction"), limit)
        symbolic = batch.signal("non_alphabetic_word_fraction")
        limit = self.shared.max_non_alphabetic_word_fraction
        batch.fail("alphabetic_words", ~(symbolic <= limit), symbolic, limit)
        stop_words = batch.signal("num_stop_words")
        few = stop_words < self.shared.min_stop_words
        batch.fail("stop_words", few, stop_words, self.shared.min_stop_words)

    def _measure_repetition(self, batch: JudgedBatch, _: Tools) -> None:
        fractions = repetition_fractions(*batch.text, self.shared.quirks)
        for name, fraction in zip(FRACTIONS, fractions.T, strict=True):
            batch.store(f"{name}_fraction", fraction)

    def _limit_repetition(self, batch: JudgedBatch) -> None:
        """Do step 17."""
        for rule in FRACTIONS:
            fraction, limit = (
                batch.signal(f"{rule}_fraction"),
                getattr(self.shared.repetition, rule),
            )
            batch.fail(rule, fraction > limit, fraction, limit)

    def _measure_cleaning(self, batch: JudgedBatch, _: Tools) -> None:
        """Clean lines, and count words again where that took something away."""
        before = batch.signal("previous_word_count").astype(np.int64)
        old_sizes = np.diff(batch.text[1])
        data, offsets, emptied_at = clean_lines(*batch.text, self.shared.cleaning)
        batch.text = data, offsets
        batch.store("emptied_at_step", emptied_at)
        # Cleaning only takes away, so a text of the same size is the same text.
        is_changed = np.diff(offsets) != old_sizes
        after = np.where(is_changed, fasttext_word_counts(data, offsets), before)
        batch.store("word_removal_fraction", ratio(before - after, before))

    def _limit_cleaning(self, batch: JudgedBatch) -> None:
        """Do steps 19 to 26."""
        emptied_at = batch.signal("emptied_at_step")
        nothing = np.full(len(emptied_at), np.nan)
        for step, rule in _LINE_RULES.items():
            batch.fail(rule, emptied_at == step, nothing, np.nan)
        removed, limit = (
            batch.signal("word_removal_fraction"),
            self.shared.max_word_removal_fraction,
        )
        batch.fail("word_removal", ~(removed <= limit), removed, limit)


def _limit_urls(batch: JudgedBatch) -> None:
    """Step 6: nothing but addresses."""
    sizes = batch.signal("url_free_size_bytes")
    batch.fail("url_removal", sizes == 0, sizes, np.nan)
