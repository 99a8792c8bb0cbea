"""FineWeb2's filters, in any language (order and constants: huggingface/fineweb-2, datatrove 0.10).

After the rules on addresses and language: Gopher's repetition, FineWeb's own rules on lines,
Gopher's quality. Texts stay as they are: C4's filter is not applied. What differs by language, the
stop words and most limits, is set by `language` (`dclm_spark.recipes.languages`); the words of
unspaced scripts are those of `udfs.languages.segmenters`, where datatrove asks the same or other
libraries. Declared deviation: words of spaced scripts follow the main of spaCy's rules
(`udfs.languages.spaced_words`), without its exceptions, which datatrove asks.
"""

from dataclasses import dataclass

import pyarrow as pa

from udfs.checks import FRACTION
from udfs.languages.segmenters import words_of
from udfs.rules.batch import JudgedBatch
from udfs.rules.c4 import LINE_SIGNALS
from udfs.rules.family import Step, Tools
from udfs.rules.fineweb import (
    REPETITIONS,
    FineWeb,
    FineWebLimits,
    LineLimits,
    page_facts,
    store_line_shapes,
    store_quality,
    store_repetition,
)
from udfs.rules.settings import limit


@dataclass(frozen=True, kw_only=True)
class FineWeb2Settings(LineLimits):
    """Numbers of FineWeb2's rules on lines; those of Gopher's stand in `SharedSettings`."""

    # Largest share of short lines; 1: any.
    max_short_line_fraction: float = limit(1.0, FRACTION)
    # Largest share of characters in copies of lines.
    max_duplicate_line_character_fraction: float = limit(0.1, FRACTION)


class FineWeb2(FineWebLimits[FineWeb2Settings]):
    """FineWeb2's filters; signals hold FineWeb's definitions."""

    rules = (
        "language", *REPETITIONS,
        "line_punctuation", "short_lines", "duplicate_line_characters", "newlines_per_word",
        "page_length", "mean_word_length", "hash_symbols", "ellipses", "bullet_lines",
        "ellipsis_lines", "alphabetic_words", "stop_words",
    )  # fmt: skip
    signals = tuple(signal for signal in FineWeb.signals if signal not in LINE_SIGNALS)
    statistics = (pa.field("alphabetic_word_fraction", pa.float64()),)
    settings = FineWeb2Settings
    unread = frozenset({"quirks", "cleaning"})
    # The language says what a word is.
    read_limits = frozenset({"language"})
    segments_words = True

    @classmethod
    def language_quirks(cls, quirks: str) -> str:
        """Return "none": newlines are blanks to the language's model."""
        return "none"

    def steps(self) -> tuple[Step, ...]:
        """Return the language, and all other filters: they share the words of a text."""
        return (
            Step(measure=self.measure_language, limit=self.limit_language),
            Step(measure=self._measure, limit=self._limit),
        )

    def _measure(self, batch: JudgedBatch, _: Tools) -> None:
        spans = words_of(*batch.text, self.shared.language)
        store_repetition(batch, spans)
        short_line, stop_words = self.own.short_line_characters, self.shared.stop_words
        facts = page_facts(batch, short_line, stop_words, spans)
        store_line_shapes(batch, facts)
        store_quality(batch, facts)

    def _limit(self, batch: JudgedBatch) -> None:
        self.limit_repetition(batch)
        self.limit_line_shapes(batch)
        self.limit_quality(batch)
