"""The compiled counts of words and lines behind FineWeb's rules (facts: datatrove 0.10)."""

import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt
from numba import njit

from udfs.text.byte_masks import (
    BLOCK,
    ONE,
    characters,
    count_byte,
    first_bits,
    in_range,
    lowest,
    next_byte,
    readable_blocks,
)
from udfs.text.columns import Bytes, Offsets, read_only
from udfs.text.hashing import count_hash, largest_step, table_size, token_hash
from udfs.text.lines import python_line_end_after, strip
from udfs.text.unicode import TABLE_SIZE, character_properties, code_point_at
from udfs.text.words import word_spans

Counts = npt.NDArray[np.int64]
# Starts, ends and word offsets, as `udfs.text.words.word_spans` returns them.
WordSpans = tuple[Offsets, Offsets, Offsets]
_MOST_STOP_WORDS = 64

# Columns of `word_facts`: all words, those that are not punctuation alone and their characters,
# those with a letter, different stop words.
WORDS, SOLID_WORDS, SOLID_CHARACTERS, ALPHABETIC_WORDS, STOP_WORDS = range(5)
# Columns of `line_facts`.
HASHES, ELLIPSES, NEWLINES, ALL_LINES, BULLET_LINES, ELLIPSIS_LINES = range(6)
FULL_LINES, TERMINATED_LINES, SHORT_LINES, COPY_CHARACTERS, LINE_CHARACTERS = range(6, 11)

_PUNCTUATION, _ALPHABETIC, _TERMINAL = 1, 2, 4
_SEED = np.uint64(0)
_NEWLINE, _DOT, _HASH, _DASH, _ELLIPSIS = 10, 46, 35, 45, 0xE2
_LAST = ONE << np.uint64(BLOCK - 1)

# Unicode's Sentence_Terminal, as first and last code points.
_SENTENCE_TERMINAL = (
    (0x21, 0x21), (0x2E, 0x2E), (0x3F, 0x3F), (0x589, 0x589), (0x61D, 0x61F), (0x6D4, 0x6D4),
    (0x700, 0x702), (0x7F9, 0x7F9), (0x837, 0x837), (0x839, 0x839), (0x83D, 0x83E),
    (0x964, 0x965), (0x104A, 0x104B), (0x1362, 0x1362), (0x1367, 0x1368), (0x166E, 0x166E),
    (0x1735, 0x1736), (0x17D4, 0x17D6), (0x17D9, 0x17DA), (0x1803, 0x1803), (0x1809, 0x1809),
    (0x1944, 0x1945), (0x1AA8, 0x1AAB), (0x1B5A, 0x1B5B), (0x1B5E, 0x1B5F), (0x1B7D, 0x1B7E),
    (0x1C3B, 0x1C3C), (0x1C7E, 0x1C7F), (0x203C, 0x203D), (0x2047, 0x2049), (0x2E2E, 0x2E2E),
    (0x2E3C, 0x2E3C), (0x2E53, 0x2E54), (0x3002, 0x3002), (0xA4FF, 0xA4FF), (0xA60E, 0xA60F),
    (0xA6F3, 0xA6F3), (0xA6F7, 0xA6F7), (0xA876, 0xA877), (0xA8CE, 0xA8CF), (0xA92F, 0xA92F),
    (0xA9C8, 0xA9C9), (0xAA5D, 0xAA5F), (0xAAF0, 0xAAF1), (0xABEB, 0xABEB), (0xFE52, 0xFE52),
    (0xFE56, 0xFE57), (0xFF01, 0xFF01), (0xFF0E, 0xFF0E), (0xFF1F, 0xFF1F), (0xFF61, 0xFF61),
    (0x10A56, 0x10A57), (0x10F55, 0x10F59), (0x10F86, 0x10F89), (0x11047, 0x11048),
    (0x110BE, 0x110C1), (0x11141, 0x11143), (0x111C5, 0x111C6), (0x111CD, 0x111CD),
    (0x111DE, 0x111DF), (0x11238, 0x11239), (0x1123B, 0x1123C), (0x112A9, 0x112A9),
    (0x1144B, 0x1144C), (0x115C2, 0x115C3), (0x115C9, 0x115D7), (0x11641, 0x11642),
    (0x1173C, 0x1173E), (0x11944, 0x11944), (0x11946, 0x11946), (0x11A42, 0x11A43),
    (0x11A9B, 0x11A9C), (0x11C41, 0x11C42), (0x11EF7, 0x11EF8), (0x11F43, 0x11F44),
    (0x16A6E, 0x16A6F), (0x16AF5, 0x16AF5), (0x16B37, 0x16B38), (0x16B44, 0x16B44),
    (0x16E98, 0x16E98), (0x1BC9F, 0x1BC9F), (0x1DA88, 0x1DA88),
)  # fmt: skip


@cache
def _table() -> npt.NDArray[np.uint8]:
    """Return what the rules must know of each code point below code_points.TABLE_SIZE."""
    table = np.zeros(TABLE_SIZE, np.uint8)
    for point in range(TABLE_SIZE):
        character = chr(point)
        kind = unicodedata.category(character)
        if kind[0] == "P" or kind == "Cc" or (point < 0x80 and kind[0] == "S"):
            table[point] |= _PUNCTUATION
        if kind[0] == "L":
            table[point] |= _ALPHABETIC
    for first, last in _SENTENCE_TERMINAL:
        table[first : last + 1] |= _TERMINAL
    table.flags.writeable = False
    return table


def word_facts(
    data: Bytes, offsets: Offsets, stop_words: tuple[str, ...], words: WordSpans | None = None
) -> Counts:
    """Return one row per text about its words; stop words are compared as they are written.

    Words are UAX-29 segments where none are given. Of stop words the first 64 count.
    """
    starts, ends, word_offsets = word_spans(data, offsets) if words is None else words
    hashes = np.array([_hash_of(word) for word in stop_words[:_MOST_STOP_WORDS]], np.uint64)
    longest = max(map(len, stop_words), default=0)
    return _word_facts(  # type: ignore[no-any-return]
        readable_blocks(data), (read_only(starts), read_only(ends), read_only(word_offsets)),
        read_only(hashes), longest, _table(),
    )  # fmt: skip


@cache
def _hash_of(word: str) -> int:
    data = np.frombuffer(word.encode(), np.uint8)
    return int(token_hash(readable_blocks(data), 0, data.size, _SEED))


def line_facts(data: Bytes, offsets: Offsets, short_line_characters: int) -> Counts:
    """Return one row per text about symbols, the lines of str.splitlines, and those of "\\n".

    FULL_LINES and what follows are lines between newlines that are not blank, unstripped.
    """
    return _line_facts(  # type: ignore[no-any-return]
        readable_blocks(data),
        read_only(offsets),
        short_line_characters,
        character_properties(),
        _table(),
    )


@njit(cache=True, nogil=True)
def _word_facts(data, words, stop_words, longest, table):
    starts, ends, word_offsets = words
    facts = np.zeros((word_offsets.size - 1, 5), np.int64)
    for text in range(facts.shape[0]):
        found = np.uint64(0)
        for word in range(word_offsets[text], word_offsets[text + 1]):
            position, length, solid, alphabetic = starts[word], 0, False, False
            while position < ends[word]:
                point, width = code_point_at(data, position)
                entry = table[point] if point < table.size else np.uint8(0)
                solid |= entry & _PUNCTUATION == 0
                alphabetic |= entry & _ALPHABETIC != 0
                length += 1
                position += width
            facts[text, WORDS] += 1
            facts[text, SOLID_WORDS] += solid
            facts[text, SOLID_CHARACTERS] += length if solid else 0
            facts[text, ALPHABETIC_WORDS] += alphabetic
            if length <= longest:
                hashed = token_hash(data, starts[word], ends[word], _SEED)
                for index in range(stop_words.size):
                    if stop_words[index] == hashed:
                        found |= np.uint64(1) << np.uint64(index)
        while found != 0:
            facts[text, STOP_WORDS] += 1
            found &= found - np.uint64(1)
    return facts


@njit(cache=True, nogil=True)
def _ellipsis_width(data, position, end):
    """Return the bytes of the "..." or "…" at `position`, 0 for anything else."""
    if position + 3 > end:
        return 0
    first, second, third = data[position], data[position + 1], data[position + 2]
    if first == _DOT and second == _DOT and third == _DOT:
        return 3
    return 3 if first == _ELLIPSIS and second == 0x80 and third == 0xA6 else 0


@njit(cache=True, nogil=True)
def _count_symbols(data, start, end, row):
    row[HASHES] = count_byte(data, start, end, _HASH)
    row[NEWLINES] = count_byte(data, start, end, _NEWLINE)
    behind = start
    for block in range(start, end, BLOCK):
        valid = first_bits(end - block)
        dots = in_range(data, block, _DOT, 1) & valid
        # Dots before a dot; of the last in the block who knows.
        asked = dots & (dots >> ONE | _LAST) | in_range(data, block, _ELLIPSIS, 1) & valid
        while asked != 0:
            position = block + lowest(asked)
            asked &= asked - ONE
            width = _ellipsis_width(data, position, end) if position >= behind else 0
            row[ELLIPSES] += width > 0
            behind = max(behind, position + width)


@njit(cache=True, nogil=True)
def _is_bullet(data, start, end):
    return start < end and (
        data[start] == _DASH
        or (data[start] == 0xE2 and data[start + 1] == 0x80 and data[start + 2] == 0xA2)
    )


@njit(cache=True, nogil=True)
def _ends_terminal(data, start, end, table):
    last = end - 1
    while last > start and data[last] & 0xC0 == 0x80:
        last -= 1
    point, _ = code_point_at(data, last)
    return point < table.size and table[point] & _TERMINAL != 0


@njit(cache=True, nogil=True)
def _line_facts(data, offsets, short_line, properties, table):
    facts = np.zeros((offsets.size - 1, 11), np.int64)
    most = table_size(largest_step(offsets) + 2)
    keys, counts = np.empty(most, np.uint64), np.empty(most, np.int32)
    for text in range(offsets.size - 1):
        start, text_end = offsets[text], offsets[text + 1]
        row = facts[text]
        _count_symbols(data, start, text_end, row)
        position = start
        while position < text_end:
            line = position
            end, position = python_line_end_after(data, line, text_end)
            row[ALL_LINES] += 1
            first, last = strip(data, line, end, properties)
            row[BULLET_LINES] += _is_bullet(data, first, last)
            if last - first >= 3:
                row[ELLIPSIS_LINES] += _ellipsis_width(data, last - 3, last) > 0
        size = table_size(row[NEWLINES] + 1)
        counts[:size] = 0
        position = start
        while position < text_end:
            line = position
            end = next_byte(data, line, text_end, _NEWLINE)
            position = end + 1
            length = characters(data, line, end)
            row[LINE_CHARACTERS] += length
            first, last = strip(data, line, end, properties)
            if first == last:
                continue
            row[FULL_LINES] += 1
            row[TERMINATED_LINES] += _ends_terminal(data, line, end, table)
            row[SHORT_LINES] += length <= short_line
            item = token_hash(data, line, end, _SEED)
            if counts[count_hash(item, keys, counts, size)] > 1:
                row[COPY_CHARACTERS] += length
    return facts
