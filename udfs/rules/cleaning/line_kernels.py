"""The compiled part of steps 19 to 25: take lines that are no prose out of texts (spec 2.7).

Each step reads what the one before it left. A first look at a text finds the steps that could
change it; skipping the others changes nothing but the time.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from udfs.rules.cleaning.line_patterns import (
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
    count_line,
    drop_lines,
    is_counter,
    phrase_end,
    phrases_in,
    write_lines,
)
from udfs.text.byte_masks import append, count_byte, next_byte
from udfs.text.tries import Trie
from udfs.text.unicode import (
    SPACE,
    code_point_at,
    properties_at,
    properties_before,
    start_of_character_before,
)

_NEWLINE = 10
# A division is worth doing only where a product comes close.
_ABOUT = 0.999999


class LineRules(NamedTuple):
    """What steps 19 to 25 remove."""

    # Bit (step - 19) is set for each step to do.
    enabled: int
    # The highest uppercase and numeric fractions, the fewest words of a line and the most words
    # of a line with a phrase.
    limits: npt.NDArray[np.float64]
    # Row i belongs to step 23 + i: its length, then its case-folded code points.
    phrases: npt.NDArray[np.int32]
    # The nouns that end a counter line.
    counted: Trie
    # Code point -> properties, as in `udfs.text.unicode`.
    properties: npt.NDArray[np.uint8]


@njit(cache=True, nogil=True)
def clean_texts(data, offsets, new_data, new_offsets, emptied_at, rules):
    """Write the cleaned texts to `new_data` and where they end to `new_offsets`; return its size.

    `emptied_at` receives the step at which a text became empty.
    """
    filled = 0
    lines = np.empty((1024, 3), np.int64)
    for document in range(offsets.size - 1):
        start, end = offsets[document], offsets[document + 1]
        most_lines = 1 + count_byte(data, start, end, _NEWLINE)
        if most_lines > lines.shape[0]:
            lines = np.empty((2 * most_lines, 3), np.int64)
        count = _judge_lines(data, start, end, rules, lines)
        outcome, first, count = drop_lines(data, lines, count, rules.enabled, rules.properties)
        if outcome == CLEANED:
            filled = write_lines(data, lines, first, count, new_data, filled)
        elif outcome != STEP_BY_STEP:
            emptied_at[document] = outcome
        else:
            copy = filled
            filled = append(data, start, end, new_data, copy)
            filled, emptied_at[document] = _clean_step_by_step(new_data, copy, filled, rules)
        new_offsets[document + 1] = filled
    return filled


@njit(cache=True, nogil=True)
def _clean_step_by_step(data, start, end, rules):
    """Clean the text data[start:end] in place; return (new end, step that left nothing or 0)."""
    needed = 0
    for step in range(UPPERCASE, LINE_START + 1):
        bit = bit_of(step)
        if not rules.enabled & bit:
            continue
        if needed == 0:
            needed = 1 << 7 | _applicable(data, start, end, rules)
        if needed & bit:
            before = end
            end = _do_step(step, data, start, end, rules)
            if step >= ANYWHERE and end != before:
                # What is left of a line may hold the next phrase.
                needed |= rules.enabled
        if step != SHORT:
            end = _strip(data, start, end, rules.properties)
        if end == start:
            return end, step
    return end, 0


@njit(cache=True, nogil=True)
def _judge_lines(data, start, end, rules, lines):
    """Store (start, end, flags) of every line, as `drop_lines` reads them; return their number."""
    # Read once: each look into a tuple of arrays counts a reference to one.
    limits, properties, counted = rules.limits, rules.properties, rules.counted
    phrases, has_phrases = rules.phrases, rules.enabled >= bit_of(ANYWHERE)
    count, line = 0, start
    while line <= end:
        line_end = next_byte(data, line, end, _NEWLINE)
        flags = BLANK
        if line_end > line:
            flags = 0
            uppers, digits, _, words, length = count_line(data, line, line_end, properties)
            if words == 0:
                flags |= BLANK
            if uppers > limits[0] * length * _ABOUT and uppers / length > limits[0]:
                flags |= bit_of(UPPERCASE)
            if digits > limits[1] * length * _ABOUT and digits / length > limits[1]:
                flags |= bit_of(NUMERIC)
            if digits and is_counter(data, line, line_end, counted, properties):
                flags |= bit_of(COUNTER)
            if words < limits[2]:
                flags |= bit_of(SHORT)
            if words <= limits[3] and has_phrases:
                flags |= phrases_in(data, line, line_end, phrases)
        lines[count, 0], lines[count, 1], lines[count, 2] = line, line_end, flags
        count += 1
        line = line_end + 1
    return count


@njit(cache=True, nogil=True)
def _applicable(data, start, end, rules):
    """Return the steps that could change the text: none that does is missing.

    Removing lines may lay bare white space at the ends of the text, which is stripped then;
    fractions are therefore taken of the characters that are no white space, and phrases looked
    for anywhere in a line.
    """
    limits, properties = rules.limits, rules.properties
    needed = 0
    line = start
    while line <= end:
        line_end = _line_end(data, line, end)
        if line_end > line:
            uppers, digits, spaces, words, length = count_line(data, line, line_end, properties)
            solid = max(length - spaces, 1)
            if uppers / solid > limits[0]:
                needed |= 1
            if digits / solid > limits[1]:
                needed |= 2
            if digits and is_counter(data, line, line_end, rules.counted, properties):
                needed |= 4
            if words < limits[2]:
                needed |= 8
            if words <= limits[3]:
                needed |= phrases_in(data, line, line_end, rules.phrases)
        line = line_end + 1
    return needed & rules.enabled


@njit(cache=True, nogil=True)
def _line_end(data, position, end):
    return next_byte(data, position, end, _NEWLINE)


@njit(cache=True, nogil=True)
def _strip(data, start, end, properties):
    """Strip the text as str.strip does, keeping its start; return its new end."""
    while end > start and properties_before(data, end, start, properties) & SPACE:
        end = start_of_character_before(data, end)
    first = start
    while first < end and properties_at(data, first, end, properties) & SPACE:
        first += code_point_at(data, first)[1]
    return move_to_front(data, first, end, start)


@njit(cache=True, nogil=True)
def move_to_front(data, start, end, filled):
    """Move data[start:end] to `filled`, which is not behind it; return where it ends then."""
    if filled == start:
        return end
    return append(data, start, end, data, filled)


@njit(cache=True, nogil=True)
def _do_step(step, data, start, end, rules):
    """Apply one step to every line of data[start:end], in place; return the text's new end."""
    filled = start
    line = start
    is_first = True
    while line <= end:
        line_end = _line_end(data, line, end)
        if step < ANYWHERE:
            keep_end = line_end
            dropped = _is_unwanted(step, data, line, line_end, rules)
        else:
            keep_end = _without_phrase(step, data, line, line_end, rules)
            dropped = keep_end < line_end and _is_blank(data, line, keep_end, rules.properties)
        if not dropped:
            if not is_first:
                data[filled] = _NEWLINE
                filled += 1
            filled = move_to_front(data, line, keep_end, filled)
            is_first = False
        line = line_end + 1
    return filled


@njit(cache=True, nogil=True)
def _is_blank(data, start, end, properties):
    while start < end:
        if not properties_at(data, start, end, properties) & SPACE:
            return False
        start += code_point_at(data, start)[1]
    return True


@njit(cache=True, nogil=True)
def _is_unwanted(step, data, start, end, rules):
    if start == end:
        return False
    if step == COUNTER:
        return is_counter(data, start, end, rules.counted, rules.properties)
    uppers, digits, _, words, length = count_line(data, start, end, rules.properties)
    if step == UPPERCASE:
        return uppers / length > rules.limits[0]
    if step == NUMERIC:
        return digits / length > rules.limits[1]
    return words < rules.limits[2]


@njit(cache=True, nogil=True)
def _without_phrase(step, data, start, end, rules):
    """Delete the phrase from the line data[start:end] in place; return the line's new end."""
    properties, phrase = rules.properties, rules.phrases[step - ANYWHERE]
    if count_line(data, start, end, properties)[3] > rules.limits[3]:
        return end
    filled = copied = position = start
    while position < end:
        stop = phrase_end(data, position, end, phrase)
        if stop < 0 or (step == LINE_END and stop < end):
            if step == LINE_START:
                break
            position += code_point_at(data, position)[1]
            continue
        if step == LINE_START:
            if properties_at(data, stop, end, properties) & SPACE:
                stop += code_point_at(data, stop)[1]
            copied = stop
            break
        if properties_before(data, position, copied, properties) & SPACE:
            position = start_of_character_before(data, position)
        filled = move_to_front(data, copied, position, filled)
        copied = position = stop
    return move_to_front(data, copied, end, filled)
