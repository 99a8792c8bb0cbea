"""FineWeb's filters over a batch of texts (constants and order: datatrove 0.10, examples/fineweb).

After the rules on addresses: language; Gopher repetition; Gopher quality; C4's lines without the
rule on terminal punctuation, which takes lines out; FineWeb's own rules. Declared deviations: words
are UAX-29 segments that are not white space, where datatrove asks spaCy; sentences are those of
`udfs.text.sentences`; the addresses' rules are those of the recipe's lists (spec 2.3).
"""

from dataclasses import dataclass
from typing import TypeVar

import pyarrow as pa

from udfs.checks import FRACTION, at_least
from udfs.rules.batch import JudgedBatch, ratio
from udfs.rules.c4 import LINE_SIGNALS, LINE_STATISTICS, limit_lines, store_lines
from udfs.rules.c4_kernels import LineSettings, clean_fineweb_lines
from udfs.rules.family import LANGUAGE_SIGNALS, RuleFamily, Step, Tools
from udfs.rules.kernels.fineweb_kernels import (
    ALL_LINES,
    ALPHABETIC_WORDS,
    BULLET_LINES,
    COPY_CHARACTERS,
    ELLIPSES,
    ELLIPSIS_LINES,
    FULL_LINES,
    HASHES,
    LINE_CHARACTERS,
    NEWLINES,
    SHORT_LINES,
    SOLID_CHARACTERS,
    SOLID_WORDS,
    STOP_WORDS,
    TERMINATED_LINES,
    WORDS,
    Counts,
    WordSpans,
    line_facts,
    word_facts,
)
from udfs.rules.kernels.fineweb_repetition_kernels import (
    CHARACTERS,
    PARAGRAPH_COPIES,
    PARAGRAPH_COPY_CHARACTERS,
    PARAGRAPHS,
    SEGMENT_COPIES,
    SEGMENT_COPY_CHARACTERS,
    SEGMENTS,
    TOP_2_GRAM,
    repetitions,
)
from udfs.rules.repetition import FRACTIONS
from udfs.rules.settings import check_fields, limit, measured
from udfs.rules.url_lists import UrlLists
from udfs.text.columns import Bytes, Offsets

_PARAGRAPHS_FIRST = (
    "repeated_paragraphs", "repeated_paragraph_characters", "repeated_lines",
    "repeated_line_characters",
)  # fmt: skip
REPETITIONS = (*_PARAGRAPHS_FIRST, *FRACTIONS[4:])


@dataclass(frozen=True, kw_only=True)
class LineLimits:
    """Numbers of FineWeb's own rules on lines."""

    # Smallest share of lines that end with a mark of punctuation.
    min_terminated_line_fraction: float = limit(0.12, FRACTION)
    # Lines up to this length are short, in code points.
    short_line_characters: int = measured(30, at_least(0))
    # Largest share of short lines.
    max_short_line_fraction: float = limit(0.67, FRACTION)
    # Largest share of characters in copies of lines.
    max_duplicate_line_character_fraction: float = limit(0.01, FRACTION)
    # Most newlines for each word.
    max_newlines_per_word: float = limit(0.3, at_least(0.0))

    def __post_init__(self) -> None:
        check_fields(self)


Own = TypeVar("Own", bound=LineLimits)


@dataclass(frozen=True, kw_only=True)
class FineWebSettings(LineLimits):
    """Numbers of FineWeb's filters; those of Gopher's rules stand in `SharedSettings`.

    A maximum drops what is strictly greater, a minimum what is strictly less.
    """

    # Lines with a longer word are removed, in code points.
    max_word_length: int = measured(1000, at_least(1))
    # Lines of fewer words are removed.
    min_words_per_line: int = measured(3, at_least(0))
    # Fewest sentences of what is left of a page.
    min_sentences: int = limit(5, at_least(0))

    @property
    def lines(self) -> LineSettings:
        """Return the numbers of the steps on lines."""
        return LineSettings(max_word_length=self.max_word_length, min_words=self.min_words_per_line)


class FineWebLimits(RuleFamily[Own]):
    """The limits that FineWeb and FineWeb2 share."""

    def limit_repetition(self, batch: JudgedBatch) -> None:
        """Limit the fractions of what is repeated."""
        for rule in REPETITIONS:
            _limit_above(batch, rule, f"{rule}_fraction", getattr(self.shared.repetition, rule))

    def limit_quality(self, batch: JudgedBatch) -> None:
        """Limit what Gopher's rules on quality measure."""
        shared = self.shared
        self.limit_lengths(batch)
        for rule, signal, most in (
            ("hash_symbols", "hash_ratio", shared.max_symbol_ratio),
            ("ellipses", "ellipsis_ratio", shared.max_symbol_ratio),
            ("bullet_lines", "bullet_line_fraction", shared.max_bullet_line_fraction),
            ("ellipsis_lines", "ellipsis_line_fraction", shared.max_ellipsis_line_fraction),
        ):
            _limit_above(batch, rule, signal, most)
        # The published limit is on the words with a letter: at least 0.8.
        most = shared.max_non_alphabetic_word_fraction
        few = batch.signal("alphabetic_word_fraction") < round(1.0 - most, 9)
        batch.fail("alphabetic_words", few, batch.signal("non_alphabetic_word_fraction"), most)
        stop_words, least = batch.signal("num_stop_words"), shared.min_stop_words
        batch.fail("stop_words", stop_words < least, stop_words, float(least))

    def limit_line_shapes(self, batch: JudgedBatch) -> None:
        """Limit what FineWeb's own rules on lines measure."""
        own: LineLimits = self.own
        terminated = batch.signal("terminated_line_fraction")
        least = own.min_terminated_line_fraction
        # NaN, the fraction of no line, fails too.
        batch.fail("line_punctuation", ~(terminated >= least), terminated, least)
        for rule, signal, most in (
            ("short_lines", "short_line_fraction", own.max_short_line_fraction),
            (
                "duplicate_line_characters", "duplicate_line_character_fraction",
                own.max_duplicate_line_character_fraction,
            ),
            ("newlines_per_word", "newlines_per_word", own.max_newlines_per_word),
        ):  # fmt: skip
            _limit_above(batch, rule, signal, most)


class FineWeb(FineWebLimits[FineWebSettings]):
    """FineWeb's filters, whose texts lose lines.

    Signals that other families have too hold FineWeb's definitions here.
    """

    rules = (
        "language", *REPETITIONS,
        "page_length", "mean_word_length", "hash_symbols", "ellipses", "bullet_lines",
        "ellipsis_lines", "alphabetic_words", "stop_words",
        "lorem_ipsum", "curly_bracket", "few_sentences",
        "line_punctuation", "short_lines", "duplicate_line_characters", "newlines_per_word",
    )  # fmt: skip
    signals = (
        *LANGUAGE_SIGNALS,
        *(pa.field(f"{name}_fraction", pa.float64()) for name in FRACTIONS),
        pa.field("num_words", pa.int32()),
        *(
            pa.field(name, pa.float64())
            for name in (
                "mean_word_length", "bullet_line_fraction", "ellipsis_line_fraction",
                "non_alphabetic_word_fraction", "hash_ratio", "ellipsis_ratio",
                "terminated_line_fraction", "short_line_fraction",
                "duplicate_line_character_fraction", "newlines_per_word",
            )
        ),
        pa.field("num_stop_words", pa.int32()),
        *LINE_SIGNALS,
    )  # fmt: skip
    statistics = (*LINE_STATISTICS, pa.field("alphabetic_word_fraction", pa.float64()))
    settings = FineWebSettings
    unread = frozenset({"quirks", "cleaning"})

    @classmethod
    def language_quirks(cls, quirks: str) -> str:
        """Return "none": FineWeb takes newlines for blanks, unlike DCLM, which deletes them."""
        return "none"

    def steps(self) -> tuple[Step, ...]:
        """Return the filters in their order."""
        return (
            Step(measure=self.measure_language, limit=self.limit_language),
            Step(measure=self._measure_repetition, limit=self.limit_repetition),
            Step(measure=self._measure_quality, limit=self.limit_quality),
            Step(measure=self._measure_c4_lines, limit=self._limit_c4_lines),
            Step(measure=self._measure_lines, limit=self.limit_line_shapes),
        )

    def clean(self, data: Bytes, offsets: Offsets, lists: UrlLists) -> tuple[Bytes, Offsets]:
        """Return texts without the lines and marks that the filters take out."""
        data, offsets, _ = clean_fineweb_lines(data, offsets, self.own.lines)
        return data, offsets

    def _measure_c4_lines(self, batch: JudgedBatch, _: Tools) -> None:
        store_lines(batch, clean_fineweb_lines(*batch.text, self.own.lines))

    def _limit_c4_lines(self, batch: JudgedBatch) -> None:
        limit_lines(batch, self.own.min_sentences)

    def _measure_repetition(self, batch: JudgedBatch, _: Tools) -> None:
        store_repetition(batch)

    def _measure_quality(self, batch: JudgedBatch, _: Tools) -> None:
        store_quality(
            batch, page_facts(batch, self.own.short_line_characters, self.shared.stop_words)
        )

    def _measure_lines(self, batch: JudgedBatch, _: Tools) -> None:
        store_line_shapes(batch, page_facts(batch, self.own.short_line_characters))


def _limit_above(batch: JudgedBatch, rule: str, signal: str, most: float) -> None:
    value = batch.signal(signal)
    batch.fail(rule, value > most, value, most)


def store_repetition(batch: JudgedBatch, spans: WordSpans | None = None) -> None:
    """Store the fractions of repeated paragraphs, lines and n-grams of words."""
    facts = repetitions(*batch.text, spans).T
    characters = facts[CHARACTERS]
    values = (
        ratio(facts[PARAGRAPH_COPIES], facts[PARAGRAPHS]),
        ratio(facts[PARAGRAPH_COPY_CHARACTERS], characters),
        ratio(facts[SEGMENT_COPIES], facts[SEGMENTS]),
        ratio(facts[SEGMENT_COPY_CHARACTERS], characters),
        *(ratio(row, characters) for row in facts[TOP_2_GRAM:]),
    )
    for rule, value in zip(REPETITIONS, values, strict=True):
        batch.store(f"{rule}_fraction", value)


@dataclass(frozen=True, kw_only=True)
class PageFacts:
    """What is counted of the words and lines of texts: rows of `word_facts` and `line_facts`."""

    words: Counts
    lines: Counts


def page_facts(
    batch: JudgedBatch,
    short_line: int,
    stop_words: tuple[str, ...] = (),
    spans: WordSpans | None = None,
) -> PageFacts:
    """Count words and lines of the texts still looked at, with these words where they are given."""
    words = word_facts(*batch.text, stop_words, spans).T
    return PageFacts(words=words, lines=line_facts(*batch.text, short_line).T)


def store_quality(batch: JudgedBatch, facts: PageFacts) -> None:
    """Store what Gopher's rules on quality ask for."""
    words, lines = facts.words, facts.lines
    alphabetic = ratio(words[ALPHABETIC_WORDS], words[WORDS])
    for name, values in (
        ("num_words", words[SOLID_WORDS]),
        ("mean_word_length", ratio(words[SOLID_CHARACTERS], words[SOLID_WORDS])),
        ("hash_ratio", ratio(lines[HASHES], words[WORDS])),
        ("ellipsis_ratio", ratio(lines[ELLIPSES], words[WORDS])),
        ("bullet_line_fraction", ratio(lines[BULLET_LINES], lines[ALL_LINES])),
        ("ellipsis_line_fraction", ratio(lines[ELLIPSIS_LINES], lines[ALL_LINES])),
        ("alphabetic_word_fraction", alphabetic),
        ("non_alphabetic_word_fraction", 1.0 - alphabetic),
        ("num_stop_words", words[STOP_WORDS]),
    ):
        batch.store(name, values)


def store_line_shapes(batch: JudgedBatch, facts: PageFacts) -> None:
    """Store what FineWeb's own rules on lines ask for."""
    words, lines = facts.words, facts.lines
    for name, values in (
        ("terminated_line_fraction", ratio(lines[TERMINATED_LINES], lines[FULL_LINES])),
        ("short_line_fraction", ratio(lines[SHORT_LINES], lines[FULL_LINES])),
        (
            "duplicate_line_character_fraction",
            ratio(lines[COPY_CHARACTERS], lines[LINE_CHARACTERS]),
        ),
        ("newlines_per_word", ratio(lines[NEWLINES], words[WORDS])),
    ):
        batch.store(name, values)
