"""FineWeb's filters over a batch of texts (constants and order: datatrove 0.10, examples/fineweb).

After the rules on addresses: language; Gopher repetition; Gopher quality; C4's lines without the
rule on terminal punctuation, which takes lines out; FineWeb's own rules. Declared deviations: words
are UAX-29 segments that are not white space, where datatrove asks spaCy; sentences are those of
`udfs.text.sentences`; the addresses' rules are those of the recipe's lists (spec 2.3).
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from udfs.checks import FRACTION, at_least, check
from udfs.rules.batch import (
    IdentifyLanguage,
    JudgedBatch,
    Step,
    limit_language,
    limit_lengths,
    measure_language,
    ratio,
)
from udfs.rules.c4 import limit_lines, measure_lines
from udfs.rules.c4_kernels import LineSettings, clean
from udfs.rules.fineweb_kernels import (
    ALL_LINES,
    ALPHABETIC_WORDS,
    BULLET_LINES,
    CHARACTERS,
    COPY_CHARACTERS,
    ELLIPSES,
    ELLIPSIS_LINES,
    FULL_LINES,
    HASHES,
    LINE_CHARACTERS,
    NEWLINES,
    PARAGRAPH_COPIES,
    PARAGRAPH_COPY_CHARACTERS,
    PARAGRAPHS,
    SEGMENT_COPIES,
    SEGMENT_COPY_CHARACTERS,
    SEGMENTS,
    SHORT_LINES,
    SOLID_CHARACTERS,
    SOLID_WORDS,
    STOP_WORDS,
    TERMINATED_LINES,
    TOP_2_GRAM,
    WORDS,
    line_facts,
    repetitions,
    word_facts,
)
from udfs.rules.repetition import FRACTIONS
from udfs.text.columns import Bytes, Offsets

if TYPE_CHECKING:
    from udfs.rules.families import HeuristicSettings

_PARAGRAPHS_FIRST = (
    "repeated_paragraphs", "repeated_paragraph_characters", "repeated_lines",
    "repeated_line_characters",
)  # fmt: skip
_NGRAMS = FRACTIONS[4:]
RULES = (
    "language", *_PARAGRAPHS_FIRST, *_NGRAMS,
    "page_length", "mean_word_length", "hash_symbols", "ellipses", "bullet_lines",
    "ellipsis_lines", "alphabetic_words", "stop_words",
    "lorem_ipsum", "curly_bracket", "few_sentences",
    "line_punctuation", "short_lines", "duplicate_line_characters", "newlines_per_word",
)  # fmt: skip
# Beside the names of `udfs.rules.families.SIGNALS`, which hold FineWeb's definitions here.
SIGNALS = tuple(
    pa.field(name, pa.float64())
    for name in (
        "hash_ratio", "ellipsis_ratio", "terminated_line_fraction", "short_line_fraction",
        "duplicate_line_character_fraction", "newlines_per_word",
    )
)  # fmt: skip


# What limits ask for besides the signals.
FACTS = (pa.field("alphabetic_word_fraction", pa.float64()),)


@dataclass(frozen=True, kw_only=True)
class FineWebSettings:
    """Limits of FineWeb's filters; those of Gopher's rules stand in `HeuristicSettings`.

    A maximum drops what is strictly greater, a minimum what is strictly less.
    """

    max_word_length: int = 1000
    min_words_per_line: int = 3
    min_sentences: int = 5
    min_terminated_line_fraction: float = 0.12
    # In code points; longer lines are not short.
    short_line_characters: int = 30
    max_short_line_fraction: float = 0.67
    max_duplicate_line_character_fraction: float = 0.01
    max_newlines_per_word: float = 0.3

    def __post_init__(self) -> None:
        """Check every value."""
        check(self, max_word_length=at_least(1), min_words_per_line=at_least(0))
        check(self, min_sentences=at_least(0), short_line_characters=at_least(0))
        check(self, min_terminated_line_fraction=FRACTION, max_short_line_fraction=FRACTION)
        check(self, max_duplicate_line_character_fraction=FRACTION)
        check(self, max_newlines_per_word=at_least(0.0))


def steps(limits: "HeuristicSettings", identify_language: IdentifyLanguage) -> tuple[Step, ...]:
    """Return the filters, whose texts lose lines."""
    settings = limits.fineweb
    limit_of_language = partial(
        limit_language, language=limits.language, min_score=limits.min_language_score
    )
    return (
        Step(
            measure=partial(measure_language, identify_language=identify_language),
            limit=limit_of_language,
        ),
        Step(measure=_measure_repetition, limit=partial(_limit_repetition, limits=limits)),
        Step(
            measure=partial(
                _measure_quality,
                stop_words=limits.stop_words,
                short_line=settings.short_line_characters,
            ),
            limit=partial(_limit_quality, limits=limits),
        ),
        Step(
            measure=partial(measure_lines, lines=_lines(settings)),
            limit=partial(limit_lines, min_sentences=settings.min_sentences),
        ),
        Step(
            measure=partial(_measure_lines, short_line=settings.short_line_characters),
            limit=partial(_limit_lines, settings=settings),
        ),
    )


def measured_by(settings: FineWebSettings) -> FineWebSettings:
    """Return settings that measure as these do, with the limits at their defaults."""
    return FineWebSettings(
        max_word_length=settings.max_word_length,
        min_words_per_line=settings.min_words_per_line,
        short_line_characters=settings.short_line_characters,
    )


def cleaned(data: Bytes, offsets: Offsets, settings: FineWebSettings) -> tuple[Bytes, Offsets]:
    """Return texts without the lines and marks that the filters take out."""
    data, offsets, _ = clean(data, offsets, _lines(settings))
    return data, offsets


def _lines(settings: FineWebSettings) -> LineSettings:
    return LineSettings(
        max_word_length=settings.max_word_length,
        min_words=settings.min_words_per_line,
        need_terminal_punctuation=False,
        like_fineweb=True,
    )


def _limit_above(batch: JudgedBatch, rule: str, signal: str, limit: float) -> None:
    value = batch.signal(signal)
    batch.fail(rule, value > limit, value, limit)


def _measure_repetition(batch: JudgedBatch) -> None:
    facts = repetitions(*batch.text).T
    characters = facts[CHARACTERS]
    values = (
        ratio(facts[PARAGRAPH_COPIES], facts[PARAGRAPHS]),
        ratio(facts[PARAGRAPH_COPY_CHARACTERS], characters),
        ratio(facts[SEGMENT_COPIES], facts[SEGMENTS]),
        ratio(facts[SEGMENT_COPY_CHARACTERS], characters),
        *(ratio(row, characters) for row in facts[TOP_2_GRAM:]),
    )
    for rule, value in zip((*_PARAGRAPHS_FIRST, *_NGRAMS), values, strict=True):
        batch.sign(f"{rule}_fraction", value)


def _limit_repetition(batch: JudgedBatch, limits: "HeuristicSettings") -> None:
    for rule in (*_PARAGRAPHS_FIRST, *_NGRAMS):
        _limit_above(batch, rule, f"{rule}_fraction", getattr(limits.repetition, rule))


def _measure_quality(batch: JudgedBatch, stop_words: tuple[str, ...], short_line: int) -> None:
    words = word_facts(*batch.text, stop_words).T
    lines = line_facts(*batch.text, short_line).T
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
        batch.sign(name, values)


def _limit_quality(batch: JudgedBatch, limits: "HeuristicSettings") -> None:
    limit_lengths(batch, limits)
    _limit_above(batch, "hash_symbols", "hash_ratio", limits.max_symbol_ratio)
    _limit_above(batch, "ellipses", "ellipsis_ratio", limits.max_symbol_ratio)
    _limit_above(batch, "bullet_lines", "bullet_line_fraction", limits.max_bullet_line_fraction)
    _limit_above(
        batch, "ellipsis_lines", "ellipsis_line_fraction", limits.max_ellipsis_line_fraction
    )
    # The published limit is on the words with a letter: at least 0.8.
    most = limits.max_non_alphabetic_word_fraction
    few = batch.signal("alphabetic_word_fraction") < round(1.0 - most, 9)
    batch.fail("alphabetic_words", few, batch.signal("non_alphabetic_word_fraction"), most)
    stop_words, least = batch.signal("num_stop_words"), limits.min_stop_words
    batch.fail("stop_words", stop_words < least, stop_words, float(least))


def _measure_lines(batch: JudgedBatch, short_line: int) -> None:
    lines = line_facts(*batch.text, short_line).T
    words = word_facts(*batch.text, ()).T
    for name, values in (
        ("terminated_line_fraction", ratio(lines[TERMINATED_LINES], lines[FULL_LINES])),
        ("short_line_fraction", ratio(lines[SHORT_LINES], lines[FULL_LINES])),
        (
            "duplicate_line_character_fraction",
            ratio(lines[COPY_CHARACTERS], lines[LINE_CHARACTERS]),
        ),
        ("newlines_per_word", ratio(lines[NEWLINES], words[WORDS])),
    ):
        batch.sign(name, values)


def _limit_lines(batch: JudgedBatch, settings: FineWebSettings) -> None:
    terminated = batch.signal("terminated_line_fraction")
    least = settings.min_terminated_line_fraction
    # NaN, the fraction of no line, fails too.
    batch.fail("line_punctuation", ~(terminated >= least), terminated, least)
    for rule, signal, limit in (
        ("short_lines", "short_line_fraction", settings.max_short_line_fraction),
        (
            "duplicate_line_characters", "duplicate_line_character_fraction",
            settings.max_duplicate_line_character_fraction,
        ),
        ("newlines_per_word", "newlines_per_word", settings.max_newlines_per_word),
    ):  # fmt: skip
        _limit_above(batch, rule, signal, limit)
