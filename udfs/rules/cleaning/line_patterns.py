"""What the line steps look for in a line: kinds of characters, counters, phrases (spec 2.7)."""

from functools import cache

import numpy as np
from numba import njit

# Kernels take plain arrays and numbers; numba, not mypy, types them.
from udfs.text.byte_masks import (
    ALL,
    BLOCK,
    ONE,
    append,
    first_bits,
    in_folded_range,
    in_range,
    lowest,
    ones,
)  # fmt: skip
from udfs.text.tries import Trie, build_trie
from udfs.text.unicode import (
    DECIMAL,
    DIGIT,
    SPACE,
    UPPER,
    WORD,
    code_point_at,
    properties_at,
    properties_before,
)

UPPERCASE, NUMERIC, COUNTER, SHORT, ANYWHERE, LINE_END, LINE_START = range(19, 26)
# A bit of a line's flags, after those of the steps.
BLANK = 1 << 7
# Results of `drop_lines` besides the step that left nothing.
CLEANED, STEP_BY_STEP = 0, -1
_NEWLINE = 10


@njit(cache=True, nogil=True)
def bit_of(step):
    """Return the bit that stands for a step."""
    return 1 << (step - UPPERCASE)


@njit(cache=True, nogil=True)
def _without(bit, lines, first, count):
    """Take out the lines with `bit` in their flags; return how many of `count` are left."""
    kept = first
    for index in range(first, first + count):
        lines[kept, 0], lines[kept, 1], lines[kept, 2] = (
            lines[index, 0], lines[index, 1], lines[index, 2],
        )  # fmt: skip
        kept += lines[index, 2] & bit == 0
    return kept - first


@njit(cache=True, nogil=True)
def _without_blank_ends(lines, first, count):
    """Return (first, count) of the lines without the blank ones at the beginning and the end."""
    while count and lines[first, 2] & BLANK:
        first += 1
        count -= 1
    while count and lines[first + count - 1, 2] & BLANK:
        count -= 1
    return first, count


@njit(cache=True, nogil=True)
def _has_white_ends(data, lines, first, count, properties):
    """Return whether stripping would shorten the first or the last line."""
    start, end = lines[first, 0], lines[first + count - 1, 1]
    before = properties_at(data, start, end, properties)
    return (before | properties_before(data, end, start, properties)) & SPACE != 0


@njit(cache=True, nogil=True)
def drop_lines(data, lines, count, enabled, properties):
    """Do the steps on `lines`, rows (start, end, flags); return (outcome, first, count) of them.

    The outcome is CLEANED, STEP_BY_STEP where that must be done instead, or the step that left
    nothing of the text.
    """
    first, found, stripped = 0, 0, False
    for index in range(count):
        found |= lines[index, 2]
    found &= enabled
    if found >= bit_of(ANYWHERE):
        return STEP_BY_STEP, first, count
    for step in range(UPPERCASE, LINE_START + 1):
        bit = bit_of(step)
        if not enabled & bit:
            continue
        if found & bit:
            count = _without(bit, lines, first, count)
            stripped = False
        if step == SHORT:
            if count == 0 or (count == 1 and lines[first, 0] == lines[first, 1]):
                return step, first, count
        elif not stripped:
            first, count = _without_blank_ends(lines, first, count)
            if count == 0:
                return step, first, count
            if _has_white_ends(data, lines, first, count, properties):
                return STEP_BY_STEP, first, count
            stripped = True
    return CLEANED, first, count


@njit(cache=True, nogil=True)
def write_lines(data, lines, first, count, target, filled):
    """Write lines, with newlines between, to target[filled:]; return where they end."""
    start = lines[first, 0]
    for index in range(first, first + count):
        end = lines[index, 1]
        if index + 1 < first + count and lines[index + 1, 0] == end + 1:
            continue
        filled = append(data, start, end, target, filled)
        if index + 1 < first + count:
            target[filled] = _NEWLINE
            filled += 1
            start = lines[index + 1, 0]
    return filled


# In a phrase: any character.
WILDCARD = -1
# "1 like" is no counter: the reference knows the plurals only.
_COUNTED = (
    "likes", "shares", "comments", "retweets", "reposts", "quotes", "bookmarks", "upvotes",
    "downvotes", "downloads", "views", "followers",
)  # fmt: skip
_TAB, _FILE_SEPARATOR, _DIGIT_0, _LETTER_A = 9, 28, 48, 65
_SMALL_A, _SMALL_Z = 97, 122


@cache
def counted_things() -> Trie:
    """Return the trie of the nouns that end a counter line."""
    return build_trie(_COUNTED, spellings_before_lower)


def spellings_before_lower(letter: str) -> tuple[str, ...]:
    """Return the characters that str.lower makes `letter`."""
    # str.lower turns the Kelvin sign into k, but leaves the long s alone.
    return (letter, letter.upper(), "\u212a") if letter == "k" else (letter, letter.upper())


@njit(cache=True, nogil=True)
def count_line(data, start, end, properties):
    """Return the numbers of uppers, digits, white spaces, words and characters of a line."""
    uppers = digits = spaces = words = 0
    after_space = ONE
    for block in range(start, end, BLOCK):
        valid = first_bits(end - block)
        if in_range(data, block, 0x80, 0x80) & valid:
            return _count_code_points(data, start, end, properties)
        uppers += ones(in_range(data, block, _LETTER_A, 26) & valid)
        digits += ones(in_range(data, block, _DIGIT_0, 10) & valid)
        blanks = in_range(data, block, _TAB, 5) | in_range(data, block, _FILE_SEPARATOR, 5)
        spaces += ones(blanks & valid)
        words += ones(~blanks & (blanks << ONE | after_space) & valid)
        after_space = blanks >> np.uint64(BLOCK - 1)
    return uppers, digits, spaces, words, end - start


@njit(cache=True, nogil=True)
def _count_code_points(data, start, end, properties):
    uppers = digits = spaces = words = length = 0
    after_space = True
    position = start
    while position < end:
        code_point, width = code_point_at(data, position)
        kind = properties[code_point] if code_point < properties.size else np.uint8(0)
        space = kind & SPACE != 0
        uppers += kind & UPPER != 0
        digits += kind & DIGIT != 0
        spaces += space
        words += after_space and not space
        after_space = space
        length += 1
        position += width
    return uppers, digits, spaces, words, length


@njit(cache=True, nogil=True)
def is_counter(data, start, end, counted, properties):
    """Return whether the line reads like "1,234k likes", between any non-word characters."""
    position = _skip_other_than_words(data, start, end, properties)
    if not properties_at(data, position, end, properties) & DECIMAL:
        return False
    while position < end:
        is_decimal = properties_at(data, position, end, properties) & DECIMAL
        if not is_decimal and data[position] != 44 and data[position] != 46:  # comma, dot
            break
        position += code_point_at(data, position)[1]
    if position < end and _fold(code_point_at(data, position)[0]) in (98, 107, 109):  # b, k, m
        position += code_point_at(data, position)[1]
    noun = position
    while noun < end and properties_at(data, noun, end, properties) & SPACE:
        noun += code_point_at(data, noun)[1]
    if noun == position:
        return False
    columns, children, word_at = counted
    node = 0
    while noun < end:
        node = children[node, columns[data[noun]]]
        if node == 0:
            return False
        noun += 1
        if word_at[node] >= 0:
            return _skip_other_than_words(data, noun, end, properties) == end
    return False


@njit(cache=True, nogil=True)
def _skip_other_than_words(data, position, end, properties):
    while position < end and not properties_at(data, position, end, properties) & WORD:
        position += code_point_at(data, position)[1]
    return position


@njit(cache=True, nogil=True)
def _fold(code_point):
    """Return the ASCII letter in lower case that `re` takes for `code_point` regardless of case."""
    if 65 <= code_point <= 90:
        return code_point + 32
    if code_point < 0x80:
        return code_point
    if code_point == 0x17F:  # long s
        return 115
    if code_point == 0x212A:  # Kelvin sign
        return 107
    if code_point == 0x130 or code_point == 0x131:  # i with and without a dot
        return 105
    return code_point


@njit(cache=True, nogil=True)
def phrase_end(data, position, end, phrase):
    """Return where the phrase that starts at `position` ends, -1 if it does not start there."""
    for index in range(1, phrase[0] + 1):
        if position >= end:
            return -1
        code_point, width = code_point_at(data, position)
        if phrase[index] != WILDCARD and phrase[index] != _fold(code_point):
            return -1
        position += width
    return position


@njit(cache=True, nogil=True)
def _may_be(data, block, folded):
    """Return a bit for each of 64 bytes that may begin the character of a phrase."""
    if folded == WILDCARD:
        return ALL
    beyond_ascii = in_range(data, block, 0x80, 0x80)
    if _SMALL_A <= folded <= _SMALL_Z:
        return in_folded_range(data, block, folded, 1) | beyond_ascii
    return in_range(data, block, folded, 1) | beyond_ascii


@njit(cache=True, nogil=True)
def _has_phrase(data, start, end, phrase):
    for block in range(start, end, BLOCK):
        found = _may_be(data, block, phrase[1]) & first_bits(end - block)
        if found and phrase[0] > 1:
            found &= _may_be(data, block, phrase[2]) >> ONE | ONE << np.uint64(BLOCK - 1)
        while found != 0:
            position = block + lowest(found)
            found &= found - ONE
            if data[position] & 0xC0 != 0x80 and phrase_end(data, position, end, phrase) >= 0:
                return True
    return False


@njit(cache=True, nogil=True)
def phrases_in(data, start, end, phrases):
    """Return the steps whose phrase occurs anywhere in the line."""
    found = 0
    for index in range(3):
        phrase = phrases[index]
        if phrase[0] and _has_phrase(data, start, end, phrase):
            found |= 1 << (ANYWHERE - UPPERCASE + index)
    return found
