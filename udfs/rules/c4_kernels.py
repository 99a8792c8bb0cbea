"""The compiled part of C4's cleaning: unwanted lines out of texts, citation marks out of lines.

DCLM's C4 pipeline (spec 2.9) and FineWeb's C4 filter look for the same phrases and marks, in other
lines and another order.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from udfs.rules.cleaning.line_kernels import move_to_front
from udfs.rules.cleaning.line_patterns import spellings_before_lower
from udfs.text.byte_masks import readable_blocks
from udfs.text.columns import Bytes, Offsets, read_only
from udfs.text.lines import line_end_after, python_line_end_after, strip
from udfs.text.sentences import abbreviations, count_sentences
from udfs.text.tries import Trie, build_trie
from udfs.text.unicode import (
    DECIMAL,
    SPACE,
    character_properties,
    code_point_at,
    properties_at,
)

# Columns of the facts of a text: its non-blank lines, those removed for each reason, those left
# that drop the page, and the sentences of what is left.
LINES, LONG_WORD, UNTERMINATED, FEW_WORDS, JAVASCRIPT, POLICY, LOREM_IPSUM, BRACKET, SENTENCES = (
    range(9)
)
NUM_FACTS = 9

_POLICIES = (
    "terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies",
    "use cookies",
)  # fmt: skip
# Phrases with the number of their first in the trie: 0 is javascript, 1 lorem ipsum.
_PHRASES = ("javascript", "lorem ipsum", *_POLICIES)
_IS_JAVASCRIPT, _IS_LOREM_IPSUM, _IS_POLICY, _IS_BRACKET = 1, 2, 4, 8

_MARKS = ("[edit]", "[citation needed]")
_NEWLINE, _OPEN, _CLOSE, _BRACE, _DOT = 10, 91, 93, 123, 46
_TERMINAL = (46, 33, 63, 34)  # . ! ? "


@dataclass(frozen=True, kw_only=True)
class LineSettings:
    """Numbers of the steps on lines."""

    # In code points; lines with a longer word go.
    max_word_length: int
    # Between white space; lines with fewer go.
    min_words: int


class _LineRules(NamedTuple):
    """What the steps on lines look for."""

    max_word_length: int
    min_words: int
    # _PHRASES and _MARKS.
    phrases: Trie
    marks: Trie
    # As in `udfs.text.sentences.abbreviations`.
    abbreviated: npt.NDArray[np.uint64]
    # Code point -> properties, as in `udfs.text.unicode`.
    properties: npt.NDArray[np.uint8]


class _Cleaned(NamedTuple):
    """Where the kernels write."""

    data: Bytes
    offsets: Offsets
    # A row of NUM_FACTS for each text.
    facts: npt.NDArray[np.int64]


Cleaned = tuple[Bytes, Offsets, npt.NDArray[np.int64]]


def clean_c4_lines(data: Bytes, offsets: Offsets, settings: LineSettings) -> Cleaned:
    """Return the texts without unwanted lines and citation marks, and a row of facts for each.

    Lines must end with . ! ? or ", but not with an ellipsis.
    """
    return _cleaned(_clean_c4_lines, data, offsets, settings)


def clean_fineweb_lines(data: Bytes, offsets: Offsets, settings: LineSettings) -> Cleaned:
    """Return the texts without unwanted lines and citation marks, and a row of facts for each.

    Lines are those of str.splitlines, stripped, and may end with anything; words are counted
    before citation marks go, sentences end with their line, and lines with "javascript" may hold
    a bracket.
    """
    return _cleaned(_clean_fineweb_lines, data, offsets, settings)


def _cleaned(kernel: Any, data: Bytes, offsets: Offsets, settings: LineSettings) -> Cleaned:
    cleaned = _Cleaned(
        data=np.empty(int(offsets[-1] - offsets[0]) + 1, np.uint8),
        offsets=np.zeros(len(offsets), np.int64),
        facts=np.zeros((len(offsets) - 1, NUM_FACTS), np.int64),
    )
    size = kernel(readable_blocks(data), read_only(offsets), cleaned, _line_rules(settings))
    return cleaned.data[:size], cleaned.offsets, cleaned.facts


def _line_rules(settings: LineSettings) -> _LineRules:
    return _LineRules(
        max_word_length=settings.max_word_length,
        min_words=settings.min_words,
        phrases=_phrases(),
        marks=_marks(),
        abbreviated=abbreviations(),
        properties=character_properties(),
    )


@cache
def _phrases() -> Trie:
    return build_trie(_PHRASES, spellings_before_lower)


@cache
def _marks() -> Trie:
    return build_trie(_MARKS)


@njit(cache=True, nogil=True)
def _count_words(data, position, end, properties):
    """Return (words between white space, code points of the longest)."""
    words, length, longest = 0, 0, 0
    while position < end:
        if properties_at(data, position, end, properties) & SPACE:
            length = 0
        else:
            words += length == 0
            length += 1
            longest = max(longest, length)
        position += code_point_at(data, position)[1]
    return words, longest


@njit(cache=True, nogil=True)
def _mark_end(data, start, end, rules):
    """Return the end of the citation mark at the bracket data[start], -1 if it is none."""
    marks, properties = rules.marks, rules.properties
    position = start + 1
    while properties_at(data, position, end, properties) & DECIMAL:
        position += code_point_at(data, position)[1]
    if position < end and data[position] == _CLOSE:
        return position + 1
    node = 0
    for position in range(start, end):
        node = marks.children[node, marks.columns[data[position]]]
        if node == 0:
            return -1
        if marks.word_at[node] >= 0:
            return position + 1
    return -1


@njit(cache=True, nogil=True)
def _copy_without_marks(data, start, end, new_data, filled, rules):
    while start < end:
        if data[start] == _OPEN:
            stop = _mark_end(data, start, end, rules)
            if stop >= 0:
                start = stop
                continue
        new_data[filled] = data[start]
        filled += 1
        start += 1
    return filled


@njit(cache=True, nogil=True)
def _ends_a_sentence(data, start, end, properties):
    start, end = strip(data, start, end, properties)
    if start == end or data[end - 1] not in _TERMINAL:
        return False
    return not (
        end - start >= 3
        and data[end - 1] == _DOT
        and data[end - 2] == _DOT
        and data[end - 3] == _DOT
    )


@njit(cache=True, nogil=True)
def _kinds_of_phrases(data, start, end, phrases):
    kinds = 0
    for first in range(start, end):
        if data[first] == _BRACE:
            kinds |= _IS_BRACKET
        node = 0
        for position in range(first, end):
            node = phrases.children[node, phrases.columns[data[position]]]
            if node == 0:
                break
            if phrases.word_at[node] >= 0:
                kinds |= 1 << min(phrases.word_at[node], 2)
    return kinds


@njit(cache=True, nogil=True)
def _is_policy_line(kinds, row):
    """Count the phrases of a line; return whether it goes for one."""
    row[LOREM_IPSUM] += kinds & _IS_LOREM_IPSUM != 0
    if kinds & _IS_JAVASCRIPT:
        row[JAVASCRIPT] += 1
        return True
    row[POLICY] += kinds & _IS_POLICY != 0
    return kinds & _IS_POLICY != 0


@njit(cache=True, nogil=True)
def _clean_c4_lines(data, offsets, cleaned, rules):
    properties, new_data, filled = rules.properties, cleaned.data, 0
    for text in range(offsets.size - 1):
        position, text_end = offsets[text], offsets[text + 1]
        row, base = cleaned.facts[text], filled
        while position < text_end:
            start = position
            end, position = line_end_after(data, start, text_end)
            first, last = strip(data, start, end, properties)
            if first == last:
                continue
            row[LINES] += 1
            words, longest = _count_words(data, start, end, properties)
            if longest > rules.max_word_length:
                row[LONG_WORD] += 1
                continue
            # Newlines stand between lines; that of a line that goes is overwritten.
            line = filled + (filled > base)
            stop = _copy_without_marks(data, start, end, new_data, line, rules)
            if not _ends_a_sentence(new_data, line, stop, properties):
                row[UNTERMINATED] += 1
                continue
            if stop - line != end - start:
                words, longest = _count_words(new_data, line, stop, properties)
            if words < rules.min_words:
                row[FEW_WORDS] += 1
                continue
            kinds = _kinds_of_phrases(new_data, line, stop, rules.phrases)
            # The reference looks for brackets before it removes lines.
            row[BRACKET] += kinds & _IS_BRACKET != 0
            if _is_policy_line(kinds, row):
                continue
            if line > filled:
                new_data[filled] = _NEWLINE
            filled = stop
        row[SENTENCES] = count_sentences(new_data, base, filled, rules.abbreviated, properties)
        cleaned.offsets[text + 1] = filled
    return filled


@njit(cache=True, nogil=True)
def _clean_fineweb_lines(data, offsets, cleaned, rules):
    properties, new_data, filled = rules.properties, cleaned.data, 0
    for text in range(offsets.size - 1):
        position, text_end = offsets[text], offsets[text + 1]
        row, base = cleaned.facts[text], filled
        while position < text_end:
            end, after = python_line_end_after(data, position, text_end)
            start, end = strip(data, position, end, properties)
            position = after
            if start == end:
                continue
            row[LINES] += 1
            words, longest = _count_words(data, start, end, properties)
            if longest > rules.max_word_length:
                row[LONG_WORD] += 1
                continue
            if words < rules.min_words:
                row[FEW_WORDS] += 1
                continue
            line = filled + (filled > base)
            stop = _copy_without_marks(data, start, end, new_data, line, rules)
            kinds = _kinds_of_phrases(new_data, line, stop, rules.phrases)
            # FineWeb looks for brackets after lines with "javascript" are gone.
            row[BRACKET] += kinds & _IS_BRACKET != 0 and not kinds & _IS_JAVASCRIPT
            if _is_policy_line(kinds, row):
                continue
            row[SENTENCES] += count_sentences(new_data, line, stop, rules.abbreviated, properties)
            if line > filled:
                new_data[filled] = _NEWLINE
            filled = stop
        first, last = strip(new_data, base, filled, properties)
        filled = move_to_front(new_data, first, last, base)
        cleaned.offsets[text + 1] = filled
    return filled
