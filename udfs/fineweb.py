"""FineWeb's filters over a batch of texts (constants and order: datatrove 0.10, examples/fineweb).

After the rules on addresses: language; Gopher repetition; Gopher quality; C4's lines without the
rule on terminal punctuation, which takes lines out; FineWeb's own rules. Declared deviations: words
are UAX-29 segments that are not white space, where datatrove asks spaCy; sentences are those of
`udfs.sentences`; the addresses' rules are those of the recipe's lists (spec 2.3).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udfs.c4 import clean_and_count
from udfs.c4_lines import LineSettings
from udfs.fineweb_kernels import (
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
from udfs.judged_batch import (
    Floats,
    IdentifyLanguage,
    JudgedBatch,
    fail_outside,
    judge_language,
    ratio,
)
from udfs.repetition import FRACTIONS

if TYPE_CHECKING:
    from udfs.heuristics import HeuristicSettings

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
# Beside the names of `udfs.heuristics.SIGNALS`, which hold FineWeb's definitions here.
SIGNALS = tuple(
    pa.field(name, pa.float64())
    for name in (
        "hash_ratio", "ellipsis_ratio", "terminated_line_fraction", "short_line_fraction",
        "duplicate_line_character_fraction", "newlines_per_word",
    )
)  # fmt: skip


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


def judge_texts(
    batch: JudgedBatch, limits: "HeuristicSettings", identify_language: IdentifyLanguage
) -> None:
    """Run the filters over the open documents of `batch`, whose texts lose lines."""
    settings = limits.fineweb
    judge_language(batch, limits.language, limits.min_language_score, identify_language)
    _judge_repetition(batch, limits)
    _judge_quality(batch, limits, settings.short_line_characters)
    lines = LineSettings(
        max_word_length=settings.max_word_length,
        min_words=settings.min_words_per_line,
        need_terminal_punctuation=False,
        like_fineweb=True,
    )
    clean_and_count(batch, lines, settings.min_sentences)
    _judge_lines(batch, settings)


def _above(batch: JudgedBatch, rule: str, signal: str, value: Floats, limit: float) -> None:
    """Sign `value` and name `rule` where it is above `limit`."""
    batch.sign(signal, value)
    batch.fail(rule, value > limit, value, limit)


def _judge_repetition(batch: JudgedBatch, limits: "HeuristicSettings") -> None:
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
        _above(batch, rule, f"{rule}_fraction", value, getattr(limits.repetition, rule))
    batch.end_step()


def _judge_quality(batch: JudgedBatch, limits: "HeuristicSettings", short_line: int) -> None:
    words = word_facts(*batch.text, limits.stop_words).T
    lines = line_facts(*batch.text, short_line).T
    solid = words[SOLID_WORDS].astype(np.float64)
    batch.sign("num_words", solid)
    fail_outside(batch, "page_length", solid, limits.min_words, limits.max_words)
    length = ratio(words[SOLID_CHARACTERS], words[SOLID_WORDS])
    batch.sign("mean_word_length", length)
    fail_outside(
        batch, "mean_word_length", length,
        limits.min_mean_word_length, limits.max_mean_word_length,
    )  # fmt: skip
    hashes, ellipses = ratio(lines[HASHES], words[WORDS]), ratio(lines[ELLIPSES], words[WORDS])
    _above(batch, "hash_symbols", "hash_ratio", hashes, limits.max_symbol_ratio)
    _above(batch, "ellipses", "ellipsis_ratio", ellipses, limits.max_symbol_ratio)
    for rule, column, limit in (
        ("bullet_lines", BULLET_LINES, limits.max_bullet_line_fraction),
        ("ellipsis_lines", ELLIPSIS_LINES, limits.max_ellipsis_line_fraction),
    ):
        fraction = ratio(lines[column], lines[ALL_LINES])
        _above(batch, rule, f"{rule.removesuffix('s')}_fraction", fraction, limit)
    # The published limit is on the words with a letter: at least 0.8.
    alphabetic = ratio(words[ALPHABETIC_WORDS], words[WORDS])
    least = round(1.0 - limits.max_non_alphabetic_word_fraction, 9)
    batch.sign("non_alphabetic_word_fraction", 1.0 - alphabetic)
    batch.fail(
        "alphabetic_words", alphabetic < least, 1.0 - alphabetic,
        limits.max_non_alphabetic_word_fraction,
    )  # fmt: skip
    stop_words = words[STOP_WORDS].astype(np.float64)
    batch.sign("num_stop_words", stop_words)
    few: npt.NDArray[np.bool_] = stop_words < limits.min_stop_words
    batch.fail("stop_words", few, stop_words, float(limits.min_stop_words))
    batch.end_step()


def _judge_lines(batch: JudgedBatch, settings: FineWebSettings) -> None:
    lines = line_facts(*batch.text, settings.short_line_characters).T
    words = word_facts(*batch.text, ()).T
    terminated = ratio(lines[TERMINATED_LINES], lines[FULL_LINES])
    least = settings.min_terminated_line_fraction
    batch.sign("terminated_line_fraction", terminated)
    # NaN, the fraction of no line, fails too.
    batch.fail("line_punctuation", ~(terminated >= least), terminated, least)
    for rule, signal, value, limit in (
        (
            "short_lines", "short_line_fraction",
            ratio(lines[SHORT_LINES], lines[FULL_LINES]), settings.max_short_line_fraction,
        ),
        (
            "duplicate_line_characters", "duplicate_line_character_fraction",
            ratio(lines[COPY_CHARACTERS], lines[LINE_CHARACTERS]),
            settings.max_duplicate_line_character_fraction,
        ),
        (
            "newlines_per_word", "newlines_per_word",
            ratio(lines[NEWLINES], words[WORDS]), settings.max_newlines_per_word,
        ),
    ):  # fmt: skip
        _above(batch, rule, signal, value, limit)
    batch.end_step()
