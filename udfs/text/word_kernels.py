"""The compiled part of counting words (see udfs.text.words), 64 bytes at a time."""

# Kernels take plain arrays and numbers; numba, not mypy, types them.
import numpy as np
from numba import njit

from udfs.text.byte_masks import (
    BLOCK,
    ONE,
    bits_from,
    eight_bytes,
    first_bits,
    highest,
    in_folded_range,
    in_range,
    lowest,
    ones,
)
from udfs.text.unicode import code_point_at

# Columns of `udfs.text.words.word_counts`.
FASTTEXT_WORDS, SPLIT_WORDS, SPLIT_CHARACTERS, NON_ALPHABETIC_WORDS, STOP_WORDS = range(5)

# Bits of the property byte of a code point.
ALPHABETIC, STARTS_WORD, SPACE = 1, 2, 4

LONGEST_STOP_WORD = 8
_NUL, _TAB, _BLANK, _FILE_SEPARATOR, _DIGIT_0, _LETTER_A = 0, 9, 32, 28, 48, 97
# Every byte of a number: its top bit, all others, and what lifts "A" or what follows "Z" into it.
_TOPS, _RESTS = np.uint64(0x8080808080808080), np.uint64(0x7F7F7F7F7F7F7F7F)
_FROM_A, _BEHIND_Z = np.uint64(0x3F3F3F3F3F3F3F3F), np.uint64(0x2525252525252525)


@njit(cache=True, nogil=True)
def _entry_at(data, position, table):
    """Return (property byte, bytes of the character) at `position`."""
    point, width = code_point_at(data, position)
    return np.int64(table[point]) if point < table.size else np.int64(0), width


@njit(cache=True, nogil=True)
def whole_characters(data, position, end):
    """Return how many of the next 64 bytes are of characters that end within them."""
    size = min(BLOCK, end - position)
    if position + size < end:
        while data[position + size] & 0xC0 == 0x80:
            size -= 1
    return size


@njit(cache=True, nogil=True)
def _beyond_ascii(data, position, leads, table):
    """Return the masks of white space, of alphabetic characters and of those that start words."""
    spaces, alphabetic, starters = np.uint64(0), np.uint64(0), np.uint64(0)
    while leads != 0:
        index = lowest(leads)
        leads &= leads - ONE
        entry, width = _entry_at(data, position + index, table)
        bit = ONE << np.uint64(index)
        if entry & SPACE:
            spaces |= first_bits(width) << np.uint64(index)
        if entry & ALPHABETIC:
            alphabetic |= bit
        if entry & STARTS_WORD:
            starters |= bit
    return spaces, alphabetic, starters


@njit(cache=True, nogil=True)
def _has_letter(data, position, end, table):
    """Return whether an alphabetic character comes before the next white space."""
    while position < end:
        entry, width = _entry_at(data, position, table)
        if entry & (SPACE | ALPHABETIC):
            return entry & SPACE == 0
        position += width
    return False


@njit(cache=True, nogil=True)
def _without_letters(data, position, size, end, starts, spaces, alphabetic, table):
    """Return how many of the words that begin at `starts` have no alphabetic character."""
    count = 0
    while starts != 0:
        index = lowest(starts)
        starts &= starts - ONE
        word_end = min(lowest(spaces & bits_from(index)), size)
        if alphabetic & bits_from(index) & first_bits(word_end):
            continue
        count += word_end < size or not _has_letter(data, position + size, end, table)
    return count


@njit(cache=True, nogil=True)
def _stop_word_weight(data, start, end, stop_words):
    """Return the weight of the stop word data[start:end], 0 for other words; without branches."""
    slots, weights, multiplier, shift, longest = stop_words
    length = min(end - start, LONGEST_STOP_WORD)
    unused = np.uint64(64 - 8 * length)
    word = eight_bytes(data, start) << unused >> unused
    rests = word & _RESTS
    capitals = ((rests + _FROM_A) ^ (rests + _BEHIND_Z)) & _TOPS & ~word
    word |= capitals >> np.uint64(2)
    slot = (word * multiplier) >> shift
    # Where the last byte is NUL the number is that of a shorter word.
    fits = (end - start <= longest) & (word >> np.uint64(8 * length - 8) != 0)
    return np.int64(fits & (slots[slot] == word)) * weights[slot]


@njit(cache=True, nogil=True)
def _stop_words_that_end(data, position, starts, ends, word_start, stop_words):
    """Return the weights of the words that end at `ends`; `word_start` began in an older block."""
    close, near = np.uint64(0), starts
    for _ in range(stop_words[4]):
        near <<= ONE
        close |= near
    if word_start < position:
        close |= ends & (~ends + ONE)
    ends &= close
    weight = 0
    while ends != 0:
        index = lowest(ends)
        ends &= ends - ONE
        nearest = highest(starts & ((ONE << np.uint64(index)) - ONE))
        start = position + nearest if nearest >= 0 else word_start
        weight += _stop_word_weight(data, start, position + index, stop_words)
    return weight


@njit(cache=True, nogil=True)
def count_words(data, offsets, table, stop_words):
    """Return the counts of each text; see udfs.text.words.word_counts.

    `stop_words` are (slots, weights, multiplier, shift, longest): a stop word lies in the slot
    (word * multiplier) >> shift.
    """
    counts = np.zeros((offsets.size - 1, 5), np.int64)
    for text in range(offsets.size - 1):
        position, end = offsets[text], offsets[text + 1]
        fasttext_words, words, characters, non_alphabetic, stops = 0, 0, 0, 0, 0
        after_space, after_separator = ONE, ONE
        word_start = position
        while position < end:
            size = whole_characters(data, position, end)
            valid = first_bits(size)
            controls = in_range(data, position, _TAB, 5)
            separators = controls | in_range(data, position, _BLANK, 1)
            separators = (separators | in_range(data, position, _NUL, 1)) & valid
            spaces = (controls | in_range(data, position, _FILE_SEPARATOR, 5)) & valid
            alphabetic = in_folded_range(data, position, _LETTER_A, 26) & valid
            starters = alphabetic | in_range(data, position, _DIGIT_0, 10)
            leads = in_range(data, position, 0xC0, 0x40) & valid
            solid = valid
            if leads != 0:
                more = _beyond_ascii(data, position, leads, table)
                spaces, alphabetic, starters = (
                    spaces | more[0], alphabetic | more[1], starters | more[2],
                )  # fmt: skip
                solid &= ~in_range(data, position, 0x80, 0x40)
            before = spaces << ONE | after_space
            starts, ends = ~spaces & before & valid, spaces & ~before
            begun = ~separators & (separators << ONE | after_separator) & valid
            fasttext_words += ones(begun & starters)
            words += ones(starts)
            characters += ones(solid & ~spaces)
            if starts & ~alphabetic:
                non_alphabetic += _without_letters(
                    data, position, size, end, starts & ~alphabetic, spaces, alphabetic, table
                )
            stops += _stop_words_that_end(data, position, starts, ends, word_start, stop_words)
            if starts:
                word_start = position + highest(starts)
            last = np.uint64(size - 1)
            after_space, after_separator = spaces >> last & ONE, separators >> last & ONE
            position += size
        if after_space == 0:
            stops += _stop_word_weight(data, word_start, end, stop_words)
        counts[text] = fasttext_words, words, characters, non_alphabetic, stops
    return counts


@njit(cache=True, nogil=True)
def count_fasttext_words(data, offsets, table):
    """Return the count of FASTTEXT_WORDS of each text."""
    counts = np.zeros(offsets.size - 1, np.int64)
    for text in range(offsets.size - 1):
        end = offsets[text + 1]
        after_separator = ONE
        count = 0
        for position in range(offsets[text], end, BLOCK):
            separators = (
                in_range(data, position, _TAB, 5)
                | in_range(data, position, _BLANK, 1)
                | in_range(data, position, _NUL, 1)
            )
            starts = ~separators & (separators << ONE | after_separator)
            starts &= first_bits(end - position)
            letters = in_folded_range(data, position, _LETTER_A, 26)
            count += ones(starts & (letters | in_range(data, position, _DIGIT_0, 10)))
            # Only a byte behind a separator can begin a word: what is in a character is never one.
            starts &= in_range(data, position, 0x80, 0x80)
            while starts != 0:
                entry, _ = _entry_at(data, position + lowest(starts), table)
                count += entry & STARTS_WORD != 0
                starts &= starts - ONE
            after_separator = separators >> np.uint64(BLOCK - 1)
        counts[text] = count
    return counts
