"""Words of scripts with blanks as spaCy's rules leave them: what stands between blanks, peeled.

Marks at either end of a run of non-blank characters are words of their own, dots together. What is
left is one word, web addresses and compounds with hyphens too, but for a few marks between letters
that part words; which ones do differs by language.
"""

import numpy as np
from numba import njit

from udfs.text.byte_masks import readable_blocks
from udfs.text.columns import Bytes, Offsets, read_only
from udfs.text.word_breaks import ALPHANUMERIC, entry_at, word_table
from udfs.text.words import word_spans

# Languages in which a hyphen between letters parts no words, or any hyphen does, and a dot before
# digits and capitals; and in which an apostrophe does.
_HYPHENS_JOIN = frozenset({"deu_Latn", "spa_Latn"})
_EVERY_HYPHEN_PARTS = frozenset({"pol_Latn"})
_APOSTROPHES_PART = frozenset({"fra_Latn"})
_JOIN, _PART_LIKE, _PART_ALL = 0, 1, 2
_DOT, _HYPHEN, _COMMA, _APOSTROPHE = 46, 45, 44, 39
_PARTING = (58, 60, 61, 62, 47)  # : < = > /
_COLON, _SLASH = 58, 47


def spaced_words(data: Bytes, offsets: Offsets, language: str) -> tuple[Offsets, Offsets, Offsets]:
    """Return (starts, ends, word_offsets) as `word_spans` does; `language` is a code."""
    segments = tuple(read_only(one) for one in word_spans(data, offsets))
    hyphens = _JOIN if language in _HYPHENS_JOIN else _PART_LIKE
    hyphens = _PART_ALL if language in _EVERY_HYPHEN_PARTS else hyphens
    apostrophes = language in _APOSTROPHES_PART
    return _spaced_words(  # type: ignore[no-any-return]
        readable_blocks(data), segments, word_table(), hyphens, apostrophes
    )


@njit(cache=True, nogil=True)
def _is_solid(data, start, table):
    """Return whether a segment is of letters or digits, and no mark."""
    entry, _ = entry_at(data, start, table)
    return entry & ALPHANUMERIC != 0


@njit(cache=True, nogil=True)
def _is_digit(byte):
    return 48 <= byte <= 57


@njit(cache=True, nogil=True)
def _parts(data, start, end, hyphens):
    """Return whether the mark data[start:end] between letters or digits parts words."""
    mark, before, after = data[start], data[start - 1], data[end]
    if mark == _HYPHEN:
        alike = _is_digit(before) == _is_digit(after)
        return hyphens == _PART_ALL or (hyphens == _PART_LIKE and alike)
    if mark == _COMMA:
        return not _is_digit(before) and not _is_digit(after)
    return mark in _PARTING and not _is_digit(after)


@njit(cache=True, nogil=True)
def _is_address(data, start, end):
    for place in range(start, end - 2):
        if data[place] == _COLON and data[place + 1] == _SLASH and data[place + 2] == _SLASH:
            return True
    # "www."
    return end - start > 4 and data[start] | 32 == 119 and data[start + 3] == _DOT


@njit(cache=True, nogil=True)
def _put(data, start, end, out, count, rules):
    """Store a word, or several where an apostrophe or dots part it; return how many there are."""
    hyphens, apostrophes = rules
    # French elides all but one or two letters: l', qu'.
    for place in range(start + 1, min(end - 1, start + 3) if apostrophes else 0):
        width = 1 if data[place] == _APOSTROPHE else 0
        if data[place] == 0xE2 and data[place + 1] == 0x80 and data[place + 2] == 0x99:
            width = 3
        if width and place + width < end:
            out[0, count], out[1, count] = start, place + width
            count, start = count + 1, place + width
            break
    if hyphens == _PART_ALL:
        return _put_between_dots(data, start, end, out, count)
    out[0, count], out[1, count] = start, end
    return count + 1


@njit(cache=True, nogil=True)
def _put_between_dots(data, start, end, out, count):
    """Store the parts of a word at dots before digits and capitals, and these dots."""
    for place in range(start + 1, end - 1):
        after = data[place + 1]
        if data[place] == _DOT and (_is_digit(after) or 65 <= after <= 90):
            out[0, count], out[1, count] = start, place
            out[0, count + 1], out[1, count + 1] = place, place + 1
            count, start = count + 2, place + 1
    out[0, count], out[1, count] = start, end
    return count + 1


@njit(cache=True, nogil=True)
def _put_marks(data, spans, out, count):
    """Store marks one by one, but dots behind dots as one; return how many words there are."""
    starts, ends, first, last = spans
    for index in range(first, last):
        is_dot = data[starts[index]] == _DOT and index > first
        if is_dot and data[starts[index - 1]] == _DOT:
            out[1, count - 1] = ends[index]
            continue
        out[0, count], out[1, count] = starts[index], ends[index]
        count += 1
    return count


@njit(cache=True, nogil=True)
def _put_run(data, spans, table, rules, out, count):
    """Store the words of adjacent segments first to last (not included)."""
    starts, ends, first, last = spans
    head, tail = first, last
    while head < last and not _is_solid(data, starts[head], table):
        head += 1
    while tail > head and not _is_solid(data, starts[tail - 1], table):
        tail -= 1
    count = _put_marks(data, (starts, ends, first, head), out, count)
    if head == tail:
        return count
    word = starts[head]
    if tail - head == 1 and not rules[1] and rules[0] != _PART_ALL:
        # Nothing within a segment parts words.
        out[0, count], out[1, count] = word, ends[head]
        return _put_marks(data, (starts, ends, tail, last), out, count + 1)
    whole = _is_address(data, word, ends[tail - 1])
    if whole:
        rules = (_JOIN, False)
    for index in range(head + 1, tail - 1):
        alone = _is_solid(data, starts[index - 1], table) and _is_solid(
            data, starts[index + 1], table
        )
        if whole or not alone or _is_solid(data, starts[index], table):
            continue
        if _parts(data, starts[index], ends[index], rules[0]):
            count = _put(data, word, starts[index], out, count, rules)
            out[0, count], out[1, count] = starts[index], ends[index]
            count, word = count + 1, ends[index]
    count = _put(data, word, ends[tail - 1], out, count, rules)
    return _put_marks(data, (starts, ends, tail, last), out, count)


@njit(cache=True, nogil=True)
def _spaced_words(data, segments, table, hyphens, apostrophes):
    starts, ends, segment_offsets = segments
    # A word of n bytes has at most n parts.
    out = np.empty((2, (ends - starts).sum() + 1), np.int64)
    word_offsets = np.zeros(segment_offsets.size, np.int64)
    count = 0
    for text in range(segment_offsets.size - 1):
        first, stop = segment_offsets[text], segment_offsets[text + 1]
        while first < stop:
            last = first + 1
            while last < stop and starts[last] == ends[last - 1]:
                last += 1
            spans = (starts, ends, first, last)
            count = _put_run(data, spans, table, (hyphens, apostrophes), out, count)
            first = last
        word_offsets[text + 1] = count
    return out[0, :count].copy(), out[1, :count].copy(), word_offsets
