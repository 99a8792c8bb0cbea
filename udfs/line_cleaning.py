"""The compiled part of steps 19 to 25: take lines that are no prose out of texts (spec 2.7).

Each step reads what the one before it left. A first look at a text finds the steps that could
change it; skipping the others changes nothing but the time.
"""

from functools import cache

import numpy as np
from numba import njit

from udfs.byte_copies import append
from udfs.byte_masks import (
    ALL,
    BLOCK,
    ONE,
    count_byte,
    first_bits,
    in_folded_range,
    in_range,
    lowest,
    next_byte,
    ones,
)
from udfs.code_points import (
    DECIMAL,
    DIGIT,
    SPACE,
    UPPER,
    WORD,
    code_point_at,
    properties_at,
    properties_before,
    start_of_character_before,
)
from udfs.line_steps import (
    ANYWHERE,
    BLANK,
    CLEANED,
    COUNTER,
    LINE_END,
    LINE_START,
    NUMERIC,
    SHORT,
    STEP_BY_STEP,
    UPPERCASE,
    bit_of,
    drop_lines,
    write_lines,
)
from udfs.tries import Trie, build_trie

# In a phrase: any character.
WILDCARD = -1

# "1 like" is no counter: the reference knows the plurals only.
_COUNTED = (
    "likes", "shares", "comments", "retweets", "reposts", "quotes", "bookmarks", "upvotes",
    "downvotes", "downloads", "views", "followers",
)  # fmt: skip
_TAB, _NEWLINE, _FILE_SEPARATOR, _DIGIT_0, _LETTER_A = 9, 10, 28, 48, 65
_SMALL_A, _SMALL_Z = 97, 122
# A division is worth doing only where a product comes close.
_ABOUT = 0.999999


@cache
def counted_things() -> Trie:
    """Return the trie of the nouns that end a counter line."""
    return build_trie(_COUNTED, spellings_before_lower)


def spellings_before_lower(letter: str) -> tuple[str, ...]:
    """Return the characters that str.lower makes `letter`."""
    # str.lower turns the Kelvin sign into k, but leaves the long s alone.
    return (letter, letter.upper(), "\u212a") if letter == "k" else (letter, letter.upper())


@njit(cache=True, nogil=True)
def clean_texts(  # type: ignore[no-untyped-def]
    data, offsets, new_data, new_offsets, emptied_at, enabled, limits, phrases,
    columns, children, word_at, properties,
):  # fmt: skip
    """Write the cleaned texts to `new_data` and where they end to `new_offsets`; return its size.

    `enabled` has bit (step - 19) set for each step to do. `limits` are the highest uppercase and
    numeric fractions, the fewest words of a line and the most words of a line with a phrase.
    Row i of `phrases` belongs to step 23 + i: its length, then its case-folded code points.
    """
    filled = 0
    lines = np.empty((1024, 3), np.int64)
    for document in range(offsets.size - 1):
        start, end = offsets[document], offsets[document + 1]
        most_lines = 1 + count_byte(data, start, end, _NEWLINE)
        if most_lines > lines.shape[0]:
            lines = np.empty((2 * most_lines, 3), np.int64)
        count = _judge_lines(
            data, start, end, enabled, limits, phrases,
            columns, children, word_at, properties, lines,
        )  # fmt: skip
        outcome, first, count = drop_lines(data, lines, count, enabled, properties)
        if outcome == CLEANED:
            filled = write_lines(data, lines, first, count, new_data, filled)
        elif outcome != STEP_BY_STEP:
            emptied_at[document] = outcome
        else:
            copy = filled
            filled = append(data, start, end, new_data, copy)
            filled, emptied_at[document] = _clean_step_by_step(
                new_data, copy, filled, enabled, limits, phrases,
                columns, children, word_at, properties,
            )  # fmt: skip
        new_offsets[document + 1] = filled
    return filled


@njit(cache=True, nogil=True)
def _clean_step_by_step(  # type: ignore[no-untyped-def]
    data, start, end, enabled, limits, phrases, columns, children, word_at, properties
):  # fmt: skip
    """Clean the text data[start:end] in place; return (new end, step that left nothing or 0)."""
    needed = 0
    for step in range(UPPERCASE, LINE_START + 1):
        bit = bit_of(step)
        if not enabled & bit:
            continue
        if needed == 0:
            needed = 1 << 7 | _applicable(
                data, start, end, enabled, limits, phrases, columns, children, word_at, properties
            )
        if needed & bit:
            before = end
            end = _do_step(
                step, data, start, end, limits, phrases, columns, children, word_at, properties
            )
            if step >= ANYWHERE and end != before:
                # What is left of a line may hold the next phrase.
                needed |= enabled
        if step != SHORT:
            end = _strip(data, start, end, properties)
        if end == start:
            return end, step
    return end, 0


@njit(cache=True, nogil=True)
def _judge_lines(  # type: ignore[no-untyped-def]
    data, start, end, enabled, limits, phrases, columns, children, word_at, properties, lines
):  # fmt: skip
    """Store (start, end, flags) of every line, as `drop_lines` reads them; return their number."""
    count, line = 0, start
    while line <= end:
        line_end = next_byte(data, line, end, _NEWLINE)
        flags = BLANK
        if line_end > line:
            flags = 0
            uppers, digits, _, words, length = _count(data, line, line_end, properties)
            if words == 0:
                flags |= BLANK
            if uppers > limits[0] * length * _ABOUT and uppers / length > limits[0]:
                flags |= bit_of(UPPERCASE)
            if digits > limits[1] * length * _ABOUT and digits / length > limits[1]:
                flags |= bit_of(NUMERIC)
            if digits and _is_counter(data, line, line_end, columns, children, word_at, properties):
                flags |= bit_of(COUNTER)
            if words < limits[2]:
                flags |= bit_of(SHORT)
            if words <= limits[3] and enabled >= bit_of(ANYWHERE):
                flags |= _phrases_in(data, line, line_end, phrases)
        lines[count, 0], lines[count, 1], lines[count, 2] = line, line_end, flags
        count += 1
        line = line_end + 1
    return count


@njit(cache=True, nogil=True)
def _applicable(  # type: ignore[no-untyped-def]
    data, start, end, enabled, limits, phrases, columns, children, word_at, properties
):  # fmt: skip
    """Return the steps that could change the text: none that does is missing.

    Removing lines may lay bare white space at the ends of the text, which is stripped then;
    fractions are therefore taken of the characters that are no white space, and phrases looked
    for anywhere in a line.
    """
    needed = 0
    line = start
    while line <= end:
        line_end = _line_end(data, line, end)
        if line_end > line:
            uppers, digits, spaces, words, length = _count(data, line, line_end, properties)
            solid = max(length - spaces, 1)
            if uppers / solid > limits[0]:
                needed |= 1
            if digits / solid > limits[1]:
                needed |= 2
            if digits and _is_counter(data, line, line_end, columns, children, word_at, properties):
                needed |= 4
            if words < limits[2]:
                needed |= 8
            if words <= limits[3]:
                needed |= _phrases_in(data, line, line_end, phrases)
        line = line_end + 1
    return needed & enabled


@njit(cache=True, nogil=True)
def _line_end(data, position, end):  # type: ignore[no-untyped-def]
    return next_byte(data, position, end, _NEWLINE)


@njit(cache=True, nogil=True)
def _count(data, start, end, properties):  # type: ignore[no-untyped-def]
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
def _count_code_points(data, start, end, properties):  # type: ignore[no-untyped-def]
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
def _strip(data, start, end, properties):  # type: ignore[no-untyped-def]
    """Strip the text as str.strip does, keeping its start; return its new end."""
    while end > start and properties_before(data, end, start, properties) & SPACE:
        end = start_of_character_before(data, end)
    first = start
    while first < end and properties_at(data, first, end, properties) & SPACE:
        first += code_point_at(data, first)[1]
    return move_to_front(data, first, end, start)


@njit(cache=True, nogil=True)
def move_to_front(data, start, end, filled):  # type: ignore[no-untyped-def]
    """Move data[start:end] to `filled`, which is not behind it; return where it ends then."""
    if filled == start:
        return end
    return append(data, start, end, data, filled)


@njit(cache=True, nogil=True)
def _do_step(  # type: ignore[no-untyped-def]
    step, data, start, end, limits, phrases, columns, children, word_at, properties
):  # fmt: skip
    """Apply one step to every line of data[start:end], in place; return the text's new end."""
    filled = start
    line = start
    is_first = True
    while line <= end:
        line_end = _line_end(data, line, end)
        if step < ANYWHERE:
            keep_end = line_end
            dropped = _is_unwanted(
                step, data, line, line_end, limits, columns, children, word_at, properties
            )
        else:
            keep_end = _without_phrase(
                step, data, line, line_end, limits, phrases[step - ANYWHERE], properties
            )
            dropped = keep_end < line_end and _is_blank(data, line, keep_end, properties)
        if not dropped:
            if not is_first:
                data[filled] = _NEWLINE
                filled += 1
            filled = move_to_front(data, line, keep_end, filled)
            is_first = False
        line = line_end + 1
    return filled


@njit(cache=True, nogil=True)
def _is_blank(data, start, end, properties):  # type: ignore[no-untyped-def]
    while start < end:
        if not properties_at(data, start, end, properties) & SPACE:
            return False
        start += code_point_at(data, start)[1]
    return True


@njit(cache=True, nogil=True)
def _is_unwanted(  # type: ignore[no-untyped-def]
    step, data, start, end, limits, columns, children, word_at, properties
):  # fmt: skip
    if start == end:
        return False
    if step == COUNTER:
        return _is_counter(data, start, end, columns, children, word_at, properties)
    uppers, digits, _, words, length = _count(data, start, end, properties)
    if step == UPPERCASE:
        return uppers / length > limits[0]
    if step == NUMERIC:
        return digits / length > limits[1]
    return words < limits[2]


@njit(cache=True, nogil=True)
def _is_counter(data, start, end, columns, children, word_at, properties):  # type: ignore[no-untyped-def]
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
def _skip_other_than_words(data, position, end, properties):  # type: ignore[no-untyped-def]
    while position < end and not properties_at(data, position, end, properties) & WORD:
        position += code_point_at(data, position)[1]
    return position


@njit(cache=True, nogil=True)
def _fold(code_point):  # type: ignore[no-untyped-def]
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
def _phrase_end(data, position, end, phrase):  # type: ignore[no-untyped-def]
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
def _may_be(data, block, folded):  # type: ignore[no-untyped-def]
    """Return a bit for each of 64 bytes that may begin the character of a phrase."""
    if folded == WILDCARD:
        return ALL
    beyond_ascii = in_range(data, block, 0x80, 0x80)
    if _SMALL_A <= folded <= _SMALL_Z:
        return in_folded_range(data, block, folded, 1) | beyond_ascii
    return in_range(data, block, folded, 1) | beyond_ascii


@njit(cache=True, nogil=True)
def _has_phrase(data, start, end, phrase):  # type: ignore[no-untyped-def]
    for block in range(start, end, BLOCK):
        found = _may_be(data, block, phrase[1]) & first_bits(end - block)
        if found and phrase[0] > 1:
            found &= _may_be(data, block, phrase[2]) >> ONE | ONE << np.uint64(BLOCK - 1)
        while found != 0:
            position = block + lowest(found)
            found &= found - ONE
            if data[position] & 0xC0 != 0x80 and _phrase_end(data, position, end, phrase) >= 0:
                return True
    return False


@njit(cache=True, nogil=True)
def _phrases_in(data, start, end, phrases):  # type: ignore[no-untyped-def]
    """Return the steps whose phrase occurs anywhere in the line."""
    found = 0
    for index in range(3):
        phrase = phrases[index]
        if phrase[0] and _has_phrase(data, start, end, phrase):
            found |= 1 << (ANYWHERE - UPPERCASE + index)
    return found


@njit(cache=True, nogil=True)
def _without_phrase(step, data, start, end, limits, phrase, properties):  # type: ignore[no-untyped-def]
    """Delete the phrase from the line data[start:end] in place; return the line's new end."""
    if _count(data, start, end, properties)[3] > limits[3]:
        return end
    filled = copied = position = start
    while position < end:
        phrase_end = _phrase_end(data, position, end, phrase)
        if phrase_end < 0 or (step == LINE_END and phrase_end < end):
            if step == LINE_START:
                break
            position += code_point_at(data, position)[1]
            continue
        if step == LINE_START:
            if properties_at(data, phrase_end, end, properties) & SPACE:
                phrase_end += code_point_at(data, phrase_end)[1]
            copied = phrase_end
            break
        if properties_before(data, position, copied, properties) & SPACE:
            position = start_of_character_before(data, position)
        filled = move_to_front(data, copied, position, filled)
        copied = position = phrase_end
    return move_to_front(data, copied, end, filled)
