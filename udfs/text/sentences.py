"""Counting the sentences of English texts.

The published pipelines ask a trained segmenter (nltk's punkt, spaCy's rules); this one knows that
a sentence ends with . ! ? or … and closing quotes, before white space, and that a full stop behind
a single letter or a usual abbreviation, or an ellipsis before a small letter, ends nothing.
"""

from functools import cache

import numpy as np
import numpy.typing as npt
from numba import njit

from udfs.text.columns import Bytes, Offsets, read_only
from udfs.text.unicode import SPACE, character_properties, code_point_at, properties_at

_ABBREVIATIONS = (
    "mr", "mrs", "ms", "dr", "prof", "sr", "jr", "st", "mt", "rev", "gen", "col", "sgt", "capt",
    "lt", "gov", "sen", "rep", "vs", "etc", "no", "inc", "ltd", "co", "corp", "dept", "est", "fig",
    "vol", "ed", "approx", "jan", "feb", "mar", "apr", "aug", "sept", "sep", "oct", "nov", "dec",
    "mon", "tue", "wed", "thu", "fri", "ave", "blvd", "rd",
)  # fmt: skip
_LONGEST = 8
_DOT, _EXCLAMATION, _QUESTION = 46, 33, 63


@cache
def abbreviations() -> npt.NDArray[np.uint64]:
    """Return the abbreviations, each packed into a number, first letter lowest."""
    packed = [int.from_bytes(word.encode(), "little") for word in _ABBREVIATIONS]
    return read_only(np.array(packed, np.uint64))


def sentence_counts(data: Bytes, offsets: Offsets) -> npt.NDArray[np.int64]:
    """Return the number of sentences of each text; a newline is white space like any other."""
    return _sentence_counts(  # type: ignore[no-any-return]
        read_only(data), read_only(offsets), abbreviations(), character_properties()
    )


@njit(cache=True, nogil=True)
def _sentence_counts(data, offsets, abbreviated, properties):
    counts = np.zeros(offsets.size - 1, np.int64)
    for text in range(counts.size):
        counts[text] = count_sentences(
            data, offsets[text], offsets[text + 1], abbreviated, properties
        )
    return counts


@njit(cache=True, nogil=True)
def count_sentences(data, start, end, abbreviated, properties):
    """Return the number of sentences in data[start:end]; what ends without a mark counts too."""
    count, position, is_open = 0, start, False
    while position < end:
        if properties_at(data, position, end, properties) & SPACE:
            position += code_point_at(data, position)[1]
            continue
        is_open = True
        width = _mark_width(data, position, end)
        if width == 0:
            position += code_point_at(data, position)[1]
            continue
        mark, marks = position, 0
        while width:
            position += width
            marks += 1
            width = _mark_width(data, position, end)
        closed = _behind_quotes(data, position, end)
        if closed < end and not properties_at(data, closed, end, properties) & SPACE:
            continue
        if closed == position and position < end and data[mark] == _DOT:
            if marks == 1 and _is_abbreviation(data, start, mark, abbreviated):
                continue
            if marks > 1 and _small_letter_follows(data, position, end, properties):
                continue
        position = closed
        count += 1
        is_open = False
    return count + is_open


@njit(cache=True, nogil=True)
def _mark_width(data, position, end):
    """Return the bytes of the . ! ? or … at `position`, 0 for anything else."""
    if position >= end:
        return 0
    byte = data[position]
    if byte in (_DOT, _EXCLAMATION, _QUESTION):
        return 1
    is_ellipsis = byte == 0xE2 and data[position + 1] == 0x80 and data[position + 2] == 0xA6
    return 3 if is_ellipsis else 0


@njit(cache=True, nogil=True)
def _behind_quotes(data, position, end):
    while position < end:
        byte = data[position]
        if byte in (34, 39, 41, 93):  # " ' ) ]
            position += 1
        elif byte == 0xC2 and data[position + 1] == 0xBB:  # »
            position += 2
        elif byte == 0xE2 and data[position + 1] == 0x80 and data[position + 2] in (0x99, 0x9D):
            position += 3
        else:
            break
    return position


@njit(cache=True, nogil=True)
def _is_abbreviation(data, start, end, abbreviated):
    """Return whether the ASCII letters before `end` are one, or an abbreviation."""
    packed, length, position = np.uint64(0), 0, end
    while position > start and length <= _LONGEST:
        letter = data[position - 1] | 0x20
        if not 97 <= letter <= 122:
            break
        packed = packed << np.uint64(8) | np.uint64(letter)
        length += 1
        position -= 1
    if length == 1:
        return position == start or data[position - 1] < 0x80
    if length > _LONGEST:
        return False
    found = False
    for known in abbreviated:
        found |= known == packed
    return found


@njit(cache=True, nogil=True)
def _small_letter_follows(data, position, end, properties):
    while properties_at(data, position, end, properties) & SPACE:
        position += code_point_at(data, position)[1]
    return position < end and 97 <= data[position] <= 122
