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
from functools import lru_cache
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from udfs.checks import at_least
from udfs.rules.batch import JudgedBatch, ratio
from udfs.rules.c4_kernels import (
    BRACKET,
    LINES,
    LOREM_IPSUM,
    SENTENCES,
    Cleaned,
    LineSettings,
    clean_c4_lines,
)
from udfs.rules.family import LANGUAGE_SIGNALS, RuleFamily, Step, Tools
from udfs.rules.settings import check_fields, limit, measured
from udfs.rules.url_lists import UrlLists
from udfs.text.columns import Bytes, Offsets, read_only, string_column
from udfs.text.tries import Trie, build_trie
from udfs.text.unicode import (
    WORD,
    case_variants,
    character_properties,
    properties_at,
    properties_before,
)

# Signals of `store_lines`, which FineWeb's C4 filter has too.
LINE_SIGNALS = (
    # Of the non-blank lines.
    pa.field("removed_line_fraction", pa.float64()),
    pa.field("num_sentences", pa.int32()),
)
LINE_STATISTICS = (
    pa.field("num_lorem_ipsum_lines", pa.int64()),
    pa.field("num_bracket_lines", pa.int64()),
)


@dataclass(frozen=True, kw_only=True)
class C4Settings:
    """Numbers of the C4 steps but the language's; defaults: DCLM's `c4.yaml` (spec 2.9).

    A maximum drops what is strictly greater, a minimum what is strictly less.
    """

    # Longest page in code points.
    max_characters: int = limit(190_000, at_least(1))
    # Lines with a longer word are removed, in code points.
    max_word_length: int = measured(1000, at_least(1))
    # Lines of fewer words, between white space, are removed.
    min_words_per_line: int = measured(5, at_least(0))
    # Fewest sentences of what is left of a page.
    min_sentences: int = limit(3, at_least(0))

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def lines(self) -> LineSettings:
        """Return the numbers of the steps on lines."""
        return LineSettings(max_word_length=self.max_word_length, min_words=self.min_words_per_line)


class C4(RuleFamily[C4Settings]):
    """The steps of C4, whose texts lose lines."""

    rules = (
        "page_length", "lorem_ipsum", "curly_bracket", "few_sentences", "banned_words", "language",
    )  # fmt: skip
    signals = (*LANGUAGE_SIGNALS, pa.field("num_characters", pa.int64()), *LINE_SIGNALS)
    statistics = (*LINE_STATISTICS, pa.field("has_banned_word", pa.int32()))
    settings = C4Settings
    unread = frozenset({"cleaning", "stop_words"})
    lists = MappingProxyType({"banned_words": "C4's step on banned words passes every page"})
    judges_addresses = False

    def steps(self) -> tuple[Step, ...]:
        """Return the steps in their order."""
        return (
            Step(measure=_measure_characters, limit=self._limit_characters),
            Step(measure=self._measure_lines, limit=self._limit_lines),
            Step(measure=_measure_banned_words, limit=_limit_banned_words),
            Step(measure=self.measure_language, limit=self.limit_language),
        )

    def clean(self, data: Bytes, offsets: Offsets, lists: UrlLists) -> tuple[Bytes, Offsets]:
        """Return texts without the lines and marks that the steps take out."""
        data, offsets, _ = clean_c4_lines(data, offsets, self.own.lines)
        return data, offsets

    def _limit_characters(self, batch: JudgedBatch) -> None:
        characters, most = batch.signal("num_characters"), float(self.own.max_characters)
        batch.fail("page_length", characters > most, characters, most)

    def _measure_lines(self, batch: JudgedBatch, _: Tools) -> None:
        store_lines(batch, clean_c4_lines(*batch.text, self.own.lines))

    def _limit_lines(self, batch: JudgedBatch) -> None:
        limit_lines(batch, self.own.min_sentences)


def _measure_characters(batch: JudgedBatch, _: Tools) -> None:
    characters = pc.utf8_length(string_column(*batch.text))
    batch.store("num_characters", np.asarray(characters, np.float64))


def store_lines(batch: JudgedBatch, cleaned: Cleaned) -> None:
    """Take over texts without some lines, and the counts of phrases, brackets and sentences."""
    data, offsets, facts = cleaned
    batch.text = data, offsets
    counts = facts.T
    removed = counts[1:LOREM_IPSUM].sum(axis=0)
    batch.store("removed_line_fraction", ratio(removed, counts[LINES]))
    batch.store("num_lorem_ipsum_lines", counts[LOREM_IPSUM])
    batch.store("num_bracket_lines", counts[BRACKET])
    batch.store("num_sentences", counts[SENTENCES])


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


def _measure_banned_words(batch: JudgedBatch, tools: Tools) -> None:
    batch.store("has_banned_word", has_banned_word(*batch.text, tools.lists.banned_words))


def _limit_banned_words(batch: JudgedBatch) -> None:
    found = batch.signal("has_banned_word")
    batch.fail("banned_words", found > 0, found, 1.0)


def has_banned_word(
    data: Bytes, offsets: Offsets, banned_words: tuple[str, ...]
) -> npt.NDArray[np.bool_]:
    """Return for each text whether an entry stands in it as a whole word, in any case."""
    return _has_word(  # type: ignore[no-any-return]
        read_only(data), read_only(offsets), _trie(banned_words), character_properties()
    )


@lru_cache(maxsize=4)
def _trie(words: tuple[str, ...]) -> Trie:
    return build_trie(words, case_variants)


@njit(cache=True, nogil=True)
def _has_word(data, offsets, trie, properties):
    columns, children, word_at = trie
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
