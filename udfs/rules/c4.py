"""The C4 baseline of DCLM over a batch of texts (spec 2.9).

Steps in order: page length; lines with a very long word; citation marks; lines that end no
sentence; short lines; "lorem ipsum" and curly brackets; lines about javascript and policies; at
least 3 sentences; banned words; language. Between the last three the reference takes out lines
that other pages have too, which needs all pages: see deduplication method "lines", which counts
the sentences again.

Declared deviations. Sentences are counted by `udfs.text.sentences`, not by nltk's punkt. fastText
tells the language in place of langdetect: the reference's P(en) > 0.99 is of another model, so the
limit is that of the other recipes (0.65), which was not compared with langdetect's. Language and
banned words are judged before lines are compared between pages, so pages that go for them own no
lines. Of copies by address the first in the declared order stays. Without a list of banned words
that step passes every page.
"""

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from udfs.checks import at_least, check
from udfs.rules.batch import (
    IdentifyLanguage,
    JudgedBatch,
    Step,
    limit_language,
    measure_language,
    ratio,
)
from udfs.rules.c4_kernels import BRACKET, LINES, LOREM_IPSUM, SENTENCES, LineSettings, clean
from udfs.text.columns import Bytes, Offsets, read_only, string_column
from udfs.text.tries import Trie, build_trie
from udfs.text.unicode import (
    WORD,
    case_variants,
    character_properties,
    properties_at,
    properties_before,
)

if TYPE_CHECKING:
    from udfs.rules.families import HeuristicSettings

RULES = (
    "page_length", "lorem_ipsum", "curly_bracket", "few_sentences", "banned_words", "language",
)  # fmt: skip
SIGNALS = (
    pa.field("num_characters", pa.int64()),
    # Of the non-blank lines; FineWeb's C4 filter too.
    pa.field("removed_line_fraction", pa.float64()),
    pa.field("num_sentences", pa.int32()),
)
# What limits ask for besides the signals; the first two FineWeb's too.
FACTS = (
    pa.field("num_lorem_ipsum_lines", pa.int64()),
    pa.field("num_bracket_lines", pa.int64()),
    pa.field("has_banned_word", pa.int32()),
)


@dataclass(frozen=True, kw_only=True)
class C4Settings:
    """Limits of the C4 steps but the language's; defaults: DCLM's `c4.yaml` (spec 2.9).

    A maximum drops what is strictly greater, a minimum what is strictly less.
    """

    # In code points.
    max_characters: int = 190_000
    max_word_length: int = 1000
    # Between white space.
    min_words_per_line: int = 5
    min_sentences: int = 3

    def __post_init__(self) -> None:
        """Check every value."""
        check(self, max_characters=at_least(1), max_word_length=at_least(1))
        check(self, min_words_per_line=at_least(0), min_sentences=at_least(0))


def steps(
    given: "HeuristicSettings",
    banned_words: tuple[str, ...],
    identify_language: IdentifyLanguage,
) -> tuple[Step, ...]:
    """Return the steps, whose texts lose lines."""
    settings = given.c4

    def measure_banned_words(batch: JudgedBatch) -> None:
        batch.sign("has_banned_word", has_banned_word(*batch.text, banned_words))

    limit_of_language = partial(
        limit_language, language=given.language, min_score=given.min_language_score
    )
    return (
        Step(
            measure=_measure_characters,
            limit=partial(_limit_characters, most=float(settings.max_characters)),
        ),
        Step(
            measure=partial(measure_lines, lines=_lines(settings)),
            limit=partial(limit_lines, min_sentences=settings.min_sentences),
        ),
        Step(measure=measure_banned_words, limit=_limit_banned_words),
        Step(
            measure=partial(measure_language, identify_language=identify_language),
            limit=limit_of_language,
        ),
    )


def measured_by(settings: C4Settings) -> C4Settings:
    """Return settings that measure as these do, with the limits at their defaults."""
    return C4Settings(
        max_word_length=settings.max_word_length, min_words_per_line=settings.min_words_per_line
    )


def cleaned(data: Bytes, offsets: Offsets, settings: C4Settings) -> tuple[Bytes, Offsets]:
    """Return texts without the lines and marks that the steps take out."""
    data, offsets, _ = clean(data, offsets, _lines(settings))
    return data, offsets


def _lines(settings: C4Settings) -> LineSettings:
    return LineSettings(
        max_word_length=settings.max_word_length,
        min_words=settings.min_words_per_line,
        need_terminal_punctuation=True,
        like_fineweb=False,
    )


def _measure_characters(batch: JudgedBatch) -> None:
    characters = pc.utf8_length(string_column(*batch.text))
    batch.sign("num_characters", np.asarray(characters, np.float64))


def _limit_characters(batch: JudgedBatch, most: float) -> None:
    characters = batch.signal("num_characters")
    batch.fail("page_length", characters > most, characters, most)


def measure_lines(batch: JudgedBatch, lines: LineSettings) -> None:
    """Take lines out of the texts; count phrases, brackets and sentences of what is left."""
    data, offsets, facts = clean(*batch.text, lines)
    batch.text = data, offsets
    counts = facts.T
    removed = counts[1:LOREM_IPSUM].sum(axis=0)
    batch.sign("removed_line_fraction", ratio(removed, counts[LINES]))
    batch.sign("num_lorem_ipsum_lines", counts[LOREM_IPSUM])
    batch.sign("num_bracket_lines", counts[BRACKET])
    batch.sign("num_sentences", counts[SENTENCES])


def limit_lines(batch: JudgedBatch, min_sentences: int) -> None:
    """Drop pages for a phrase, a bracket or too few sentences."""
    for rule, signal in (
        ("lorem_ipsum", "num_lorem_ipsum_lines"),
        ("curly_bracket", "num_bracket_lines"),
    ):
        lines_with = batch.signal(signal)
        batch.fail(rule, lines_with > 0, lines_with, 0.0)
    sentences = batch.signal("num_sentences")
    batch.fail("few_sentences", sentences < min_sentences, sentences, float(min_sentences))


def _limit_banned_words(batch: JudgedBatch) -> None:
    found = batch.signal("has_banned_word")
    batch.fail("banned_words", found > 0, found, 1.0)


def has_banned_word(
    data: Bytes, offsets: Offsets, banned_words: tuple[str, ...]
) -> npt.NDArray[np.bool_]:
    """Return for each text whether an entry stands in it as a whole word, in any case."""
    trie = _trie(banned_words)
    return _has_word(  # type: ignore[no-any-return]
        read_only(data), read_only(offsets), trie.columns, trie.children, trie.word_at,
        character_properties(),
    )  # fmt: skip


@lru_cache(maxsize=4)
def _trie(words: tuple[str, ...]) -> Trie:
    return build_trie(words, case_variants)


@njit(cache=True, nogil=True)
def _has_word(data, offsets, columns, children, word_at, properties):
    found = np.zeros(offsets.size - 1, np.bool_)
    for text in range(found.size):
        start, end = offsets[text], offsets[text + 1]
        for first in range(start, end):
            if not children[0, columns[data[first]]]:
                continue
            if properties_before(data, first, start, properties) & WORD:
                continue
            node = 0
            for position in range(first, end):
                node = children[node, columns[data[position]]]
                if node == 0:
                    break
                if word_at[node] >= 0 and not (
                    properties_at(data, position + 1, end, properties) & WORD
                ):
                    found[text] = True
                    break
            if found[text]:
                break
    return found
