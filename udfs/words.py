"""The words of texts by their three definitions (spec 2.1), as spans or as counts."""

from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt
from numba import njit

from udfs.code_points import SPACE, WORD, character_properties, code_point_at
from udfs.columns import Bytes, Offsets
from udfs.read_only import read_only
from udfs.word_breaks import (
    ALPHANUMERIC,
    RUN,
    WHITE,
    byte_kinds,
    entry_at,
    next_break,
    word_table,
)

WORD_KINDS = ("not_space", "alphanumeric")
_LONGEST_STOP_WORD = 8
_BLANK, _UNDERSCORE = 0x20, 0x5F


def word_spans(
    data: Bytes, offsets: Offsets, kind: str = "not_space"
) -> tuple[Offsets, Offsets, Offsets]:
    """Return (starts, ends, word_offsets) of the UAX-29 segments that are words of `kind`.

    Word k is data[starts[k]:ends[k]]; text i = data[offsets[i]:offsets[i + 1]] has the words
    word_offsets[i] to word_offsets[i + 1]. "not_space" are all segments but those of White_Space
    characters alone (punctuation counts; BFF), "alphanumeric" are those whose first character is
    str.isalnum (W_uniseg). Raises ValueError for another kind.
    """
    if kind not in WORD_KINDS:
        raise ValueError(f"kind: {kind!r} is unknown; allowed are {', '.join(WORD_KINDS)}")
    return _word_spans(  # type: ignore[no-any-return]
        read_only(data), read_only(offsets), kind == "alphanumeric", word_table()
    )


@njit(cache=True, nogil=True)
def _is_white(data, position, end, table):  # type: ignore[no-untyped-def]
    while position < end:
        entry, width = entry_at(data, position, table)
        if not entry & WHITE:
            return False
        position += width
    return True


@njit(cache=True, nogil=True)
def is_alphanumeric_word(data, start, kinds, table):  # type: ignore[no-untyped-def]
    """Return whether the segment that starts at `start` starts with a str.isalnum character."""
    byte = data[start]
    if byte < 0x80:
        return kinds[byte] == RUN and byte != _UNDERSCORE
    entry, _ = entry_at(data, start, table)
    return entry & ALPHANUMERIC != 0


@njit(cache=True, nogil=True)
def _word_spans(data, offsets, alphanumeric, table):  # type: ignore[no-untyped-def]
    kinds = byte_kinds(table)
    num_texts = offsets.size - 1
    starts = np.empty((offsets[num_texts] - offsets[0]) // 4 + 16, np.int64)
    ends = np.empty(starts.size, np.int64)
    word_offsets = np.zeros(num_texts + 1, np.int64)
    count = 0
    for text in range(num_texts):
        position, end = offsets[text], offsets[text + 1]
        while position < end:
            start = position
            byte = data[start]
            following = data[start + 1] if start + 1 < end else np.uint8(0x80)
            # ASCII that no word starts with, and that takes nothing of what follows with it.
            if following < 0x80 and (
                (alphanumeric and byte < 0x80 and kinds[byte] != RUN)
                or (byte == _BLANK and following > _BLANK)
            ):
                position += 1
                continue
            position = next_break(data, start, end, kinds, table)
            if not is_alphanumeric_word(data, start, kinds, table) and (
                alphanumeric or _is_white(data, start, position, table)
            ):
                continue
            if count == starts.size:
                starts = np.concatenate((starts, np.empty(count, np.int64)))
                ends = np.concatenate((ends, np.empty(count, np.int64)))
            starts[count], ends[count] = start, position
            count += 1
        word_offsets[text + 1] = count
    return starts[:count], ends[:count], word_offsets


# Columns of `word_counts`.
FASTTEXT_WORDS, SPLIT_WORDS, SPLIT_CHARACTERS, NON_ALPHABETIC_WORDS, STOP_WORDS = range(5)

# Bits of a property byte below.
_ALPHABETIC, _STARTS_WORD, _SPACE, _FASTTEXT_SEPARATOR = 1, 2, 4, 8


@cache
def _split_table() -> npt.NDArray[np.uint8]:
    """Return what word_counts must know of each code point below code_points.TABLE_SIZE."""
    properties = character_properties()
    table = np.zeros(properties.size, np.uint8)
    alphabetic = [character.isalpha() for character in map(chr, range(properties.size))]
    table[alphabetic] |= _ALPHABETIC
    table[properties & WORD != 0] |= _STARTS_WORD
    table[ord("_")] = 0
    table[properties & SPACE != 0] |= _SPACE
    table[list(b" \n\r\t\v\f\0")] |= _FASTTEXT_SEPARATOR
    table.flags.writeable = False
    return table


@lru_cache(maxsize=16)
def _packed_stop_words(stop_words: tuple[str, ...]) -> npt.NDArray[np.uint64]:
    for word in stop_words:
        if not (word.isascii() and word.islower() and len(word) <= _LONGEST_STOP_WORD):
            raise ValueError(
                f"stop_words: {word!r} cannot be looked for; write lower-case ASCII words of at "
                f"most {_LONGEST_STOP_WORD} letters"
            )
    packed = [int.from_bytes(word.encode(), "little") for word in stop_words]
    return read_only(np.array(packed, np.uint64))


def word_counts(
    data: Bytes, offsets: Offsets, stop_words: tuple[str, ...]
) -> npt.NDArray[np.int64]:
    """Return one row per text: the counts behind steps 10, 11, 15, 16, 18 and 26 (spec 2.1).

    FASTTEXT_WORDS: tokens between fastText's separators that start alphanumeric; SPLIT_WORDS:
    str.split() tokens; SPLIT_CHARACTERS: their code points; NON_ALPHABETIC_WORDS: those without
    a str.isalpha character; STOP_WORDS: those that are in `stop_words` when lower-cased. Raises
    ValueError for a stop word that is not lower-case ASCII of at most 8 letters.
    """
    return _word_counts(  # type: ignore[no-any-return]
        read_only(data), read_only(offsets), _split_table(), _packed_stop_words(stop_words)
    )


@njit(cache=True, nogil=True)
def _word_counts(data, offsets, table, stop_words):  # type: ignore[no-untyped-def]
    counts = np.zeros((offsets.size - 1, 5), np.int64)
    for text in range(offsets.size - 1):
        position, end = offsets[text], offsets[text + 1]
        fasttext_words, words, characters, non_alphabetic, stops = 0, 0, 0, 0, 0
        in_fasttext_word = False
        # The word that the loop is in: its code points, and its first 8 lower-cased.
        length, packed, is_ascii, has_letter = 0, np.uint64(0), True, False
        while position <= end:
            if position == end:
                entry, width, byte = np.int64(_SPACE), 1, 0x20
            elif data[position] < 0x80:
                entry, width, byte = np.int64(table[data[position]]), 1, data[position]
            else:
                point, width = code_point_at(data, position)
                entry = np.int64(table[point]) if point < table.size else np.int64(0)
                byte = 0x80
            position += width
            if entry & _FASTTEXT_SEPARATOR:
                in_fasttext_word = False
            elif not in_fasttext_word:
                in_fasttext_word = True
                fasttext_words += entry & _STARTS_WORD != 0
            if not entry & _SPACE:
                if length < _LONGEST_STOP_WORD:
                    letter = np.uint64(byte | 0x20 if 0x41 <= byte <= 0x5A else byte)
                    packed |= letter << np.uint64(8 * length)
                length += 1
                has_letter |= entry & _ALPHABETIC != 0
                is_ascii &= byte < 0x80
                continue
            if length:
                words += 1
                characters += length
                non_alphabetic += not has_letter
                if length <= _LONGEST_STOP_WORD and is_ascii:
                    for stop_word in stop_words:
                        stops += packed == stop_word
            length, packed, is_ascii, has_letter = 0, np.uint64(0), True, False
        counts[text, FASTTEXT_WORDS] = fasttext_words
        counts[text, SPLIT_WORDS] = words
        counts[text, SPLIT_CHARACTERS] = characters
        counts[text, NON_ALPHABETIC_WORDS] = non_alphabetic
        counts[text, STOP_WORDS] = stops
    return counts


def fasttext_word_counts(data: Bytes, offsets: Offsets) -> npt.NDArray[np.int64]:
    """Return the column FASTTEXT_WORDS of `word_counts` alone."""
    return _fasttext_word_counts(  # type: ignore[no-any-return]
        read_only(data), read_only(offsets), _split_table()
    )


@njit(cache=True, nogil=True)
def _fasttext_word_counts(data, offsets, table):  # type: ignore[no-untyped-def]
    # Only a byte behind a separator can begin a word: what a character takes is never one itself.
    begins = np.zeros(256, np.uint8)
    separates = np.zeros(256, np.uint8)
    for byte in range(128):
        begins[byte] = table[byte] & _STARTS_WORD != 0
        separates[byte] = table[byte] & _FASTTEXT_SEPARATOR != 0
    counts = np.zeros(offsets.size - 1, np.int64)
    for text in range(offsets.size - 1):
        after_separator = np.uint8(1)
        count = 0
        for position in range(offsets[text], offsets[text + 1]):
            byte = data[position]
            count += after_separator & begins[byte]
            if after_separator and byte >= 0x80:
                point, _ = code_point_at(data, position)
                count += point < table.size and table[point] & _STARTS_WORD != 0
            after_separator = separates[byte]
        counts[text] = count
    return counts
