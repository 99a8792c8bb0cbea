"""The compiled part of C4's cleaning: unwanted lines out of texts, citation marks out of lines.

DCLM's C4 pipeline (spec 2.9) and FineWeb's C4 filter do the same with other numbers and another
order of two tests; `LineSettings` holds what differs.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from numba import njit

from udfs.rules.cleaning.line_kernels import move_to_front
from udfs.rules.cleaning.line_patterns import spellings_before_lower
from udfs.text.columns import Bytes, Offsets, read_only
from udfs.text.lines import strip
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
_NEWLINE, _RETURN, _OPEN, _CLOSE, _BRACE, _DOT = 10, 13, 91, 93, 123, 46
_TERMINAL = (46, 33, 63, 34)  # . ! ? "


@dataclass(frozen=True, kw_only=True)
class LineSettings:
    """What the steps on lines remove."""

    max_word_length: int
    min_words: int
    # Lines must end with . ! ? or ", but not with an ellipsis.
    need_terminal_punctuation: bool
    # FineWeb: lines are those of str.splitlines and stripped, words are counted before citation
    # marks go, sentences end with their line, and lines with "javascript" may hold a bracket.
    like_fineweb: bool


def clean(
    data: Bytes, offsets: Offsets, settings: LineSettings
) -> tuple[Bytes, Offsets, npt.NDArray[np.int64]]:
    """Return the texts without unwanted lines and citation marks, and a row of facts for each."""
    new_data = np.empty(int(offsets[-1] - offsets[0]) + 1, np.uint8)
    new_offsets = np.zeros(len(offsets), np.int64)
    facts = np.zeros((len(offsets) - 1, NUM_FACTS), np.int64)
    trie = _phrases()
    size = _clean(
        read_only(data), read_only(offsets), new_data, new_offsets, facts,
        settings.max_word_length, settings.min_words, settings.need_terminal_punctuation,
        settings.like_fineweb, trie.columns, trie.children, trie.word_at,
        _marks().columns, _marks().children, _marks().word_at,
        abbreviations(), character_properties(),
    )  # fmt: skip
    return new_data[:size], new_offsets, facts


@cache
def _phrases() -> Trie:
    return build_trie(_PHRASES, spellings_before_lower)


@cache
def _marks() -> Trie:
    return build_trie(_MARKS)


@njit(cache=True, nogil=True)
def line_end_after(data, position, end, like_python):
    """Return (end of the line, start of the next); `like_python` breaks as str.splitlines does."""
    while position < end:
        byte = data[position]
        if byte == _NEWLINE:
            return position, position + 1
        if like_python:
            if byte == _RETURN:
                paired = position + 1 < end and data[position + 1] == _NEWLINE
                return position, position + 1 + paired
            if byte == 0x0B or byte == 0x0C or 0x1C <= byte <= 0x1E:
                return position, position + 1
            if byte == 0xC2 and data[position + 1] == 0x85:
                return position, position + 2
            if byte == 0xE2 and data[position + 1] == 0x80 and data[position + 2] & 0xFE == 0xA8:
                return position, position + 3
        position += 1
    return end, end + 1


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
def _mark_end(data, start, end, columns, children, word_at, properties):
    """Return the end of the citation mark at the bracket data[start], -1 if it is none."""
    position = start + 1
    while properties_at(data, position, end, properties) & DECIMAL:
        position += code_point_at(data, position)[1]
    if position < end and data[position] == _CLOSE:
        return position + 1
    node = 0
    for position in range(start, end):
        node = children[node, columns[data[position]]]
        if node == 0:
            return -1
        if word_at[node] >= 0:
            return position + 1
    return -1


@njit(cache=True, nogil=True)
def _copy_without_marks(
    data, start, end, new_data, filled, columns, children, word_at, properties
):  # fmt: skip
    while start < end:
        if data[start] == _OPEN:
            stop = _mark_end(data, start, end, columns, children, word_at, properties)
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
def _kinds_of_phrases(data, start, end, columns, children, word_at):
    kinds = 0
    for first in range(start, end):
        if data[first] == _BRACE:
            kinds |= _IS_BRACKET
        node = 0
        for position in range(first, end):
            node = children[node, columns[data[position]]]
            if node == 0:
                break
            if word_at[node] >= 0:
                kinds |= 1 << min(word_at[node], 2)
    return kinds


@njit(cache=True, nogil=True)
def _clean(
    data, offsets, new_data, new_offsets, facts, max_word_length, min_words, need_terminal,
    like_fineweb, columns, children, word_at, mark_columns, mark_children, mark_word_at,
    abbreviated, properties,
):  # fmt: skip
    filled = 0
    for text in range(offsets.size - 1):
        position, text_end = offsets[text], offsets[text + 1]
        base = filled
        while position < text_end:
            start = position
            end, position = line_end_after(data, start, text_end, like_fineweb)
            first, last = strip(data, start, end, properties)
            if first == last:
                continue
            facts[text, LINES] += 1
            if like_fineweb:
                start, end = first, last
            words, longest = _count_words(data, start, end, properties)
            if longest > max_word_length:
                facts[text, LONG_WORD] += 1
                continue
            # Newlines stand between lines; that of a line that goes is overwritten.
            line = filled + (filled > base)
            stop = _copy_without_marks(
                data, start, end, new_data, line,
                mark_columns, mark_children, mark_word_at, properties,
            )  # fmt: skip
            if need_terminal and not _ends_a_sentence(new_data, line, stop, properties):
                facts[text, UNTERMINATED] += 1
                continue
            if not like_fineweb and stop - line != end - start:
                words, longest = _count_words(new_data, line, stop, properties)
            if words < min_words:
                facts[text, FEW_WORDS] += 1
                continue
            kinds = _kinds_of_phrases(new_data, line, stop, columns, children, word_at)
            facts[text, LOREM_IPSUM] += kinds & _IS_LOREM_IPSUM != 0
            # The reference looks for brackets before it removes lines, FineWeb after.
            if kinds & _IS_BRACKET and not (like_fineweb and kinds & _IS_JAVASCRIPT):
                facts[text, BRACKET] += 1
            if kinds & _IS_JAVASCRIPT:
                facts[text, JAVASCRIPT] += 1
                continue
            if kinds & _IS_POLICY:
                facts[text, POLICY] += 1
                continue
            if like_fineweb:
                facts[text, SENTENCES] += count_sentences(
                    new_data, line, stop, abbreviated, properties
                )
            if line > filled:
                new_data[filled] = _NEWLINE
            filled = stop
        if like_fineweb:
            first, last = strip(new_data, base, filled, properties)
            filled = move_to_front(new_data, first, last, base)
        else:
            facts[text, SENTENCES] = count_sentences(
                new_data, base, filled, abbreviated, properties
            )
        new_offsets[text + 1] = filled
    return filled
