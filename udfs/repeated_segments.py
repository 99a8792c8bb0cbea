"""The lines and paragraphs of a text, and how much of it is those that occur more than once."""

# Kernels take plain arrays and numbers; numba, not mypy, types them.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"

import numpy as np
from numba import njit

from udfs.byte_masks import BLOCK, ONE, characters, eight_bytes, first_bits, in_range, lowest
from udfs.hashed_words import hash_bytes
from udfs.lines import strip
from udfs.occurrences import find_firsts

_NEWLINE, _BLANK = 10, 32
_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xC2B2AE3D27D4EB4F)


@njit(cache=True, nogil=True)
def _put_segment(data, start, end, properties, spans, count):
    """Store data[start:end] without white space around as number `count`; return the next."""
    if start < end and not (_BLANK < data[start] < 0x80 and _BLANK < data[end - 1] < 0x80):
        start, end = strip(data, start, end, properties)
    spans[count, 0], spans[count, 1] = start, end
    return count + (start < end)


@njit(cache=True, nogil=True)
def find_segments(data, start, end, properties, lines, paragraphs):
    """Store (start, end) of all lines and of all paragraphs; return the number of each.

    Paragraphs are what stands between pairs of newlines. Of three newlines either pair may be
    taken, since what is left of a segment's white space is stripped.
    """
    num_lines, num_paragraphs = 0, 0
    line, paragraph = start, start
    for block in range(start, end, BLOCK):
        newlines = in_range(data, block, _NEWLINE, 1) & first_bits(end - block)
        while newlines != 0:
            newline = block + lowest(newlines)
            newlines &= newlines - ONE
            if newline == line:
                # A pair, or the first byte of the text, where this does no harm.
                num_paragraphs = _put_segment(
                    data, paragraph, newline - 1, properties, paragraphs, num_paragraphs
                )
                paragraph = newline + 1
            else:
                num_lines = _put_segment(data, line, newline, properties, lines, num_lines)
            line = newline + 1
    num_lines = _put_segment(data, line, end, properties, lines, num_lines)
    num_paragraphs = _put_segment(data, paragraph, end, properties, paragraphs, num_paragraphs)
    return num_lines, num_paragraphs


@njit(cache=True, nogil=True)
def _signature(data, start, end):
    """Return what equal segments have in common: their ends and lengths."""
    length = end - start
    unused = np.uint64(64 - 8 * min(length, 8))
    first = eight_bytes(data, start) << unused >> unused
    last = eight_bytes(data, max(start, end - 8)) << unused >> unused
    state = (first ^ (np.uint64(length) * _STEP)) * _STEP
    state = ((state ^ (state >> np.uint64(32))) + last) * _MIX
    return state ^ (state >> np.uint64(29))


@njit(cache=True, nogil=True)
def _all_characters(data, spans, num_segments):
    total = 0
    for index in range(num_segments):
        total += characters(data, spans[index, 0], spans[index, 1])
    return total


@njit(cache=True, nogil=True)
def repeated_segments(data, spans, num_segments, keys, table, firsts, counts, first_counts):
    """Return (fraction of the segments, fraction of their characters) that are repetitions."""
    if num_segments < 2:
        return 1.0 - num_segments, 1.0 - num_segments
    for index in range(num_segments):
        keys[index] = _signature(data, spans[index, 0], spans[index, 1])
    if not find_firsts(keys, num_segments, table, firsts, counts):
        return 0.0, 0.0
    all_characters = _all_characters(data, spans, num_segments)
    # Only those with a twin by their signature are worth reading.
    suspects = 0
    for index in range(num_segments):
        if counts[firsts[index]] > 1:
            start, end = spans[index, 0], spans[index, 1]
            spans[suspects, 0], spans[suspects, 1] = start, end
            keys[suspects] = hash_bytes(data, start, end) ^ (np.uint64(end - start) * _STEP)
            suspects += 1
    find_firsts(keys, suspects, table, firsts, counts)
    repeated, repeated_characters = 0, 0
    for index in range(suspects):
        if counts[firsts[index]] > 1 and (first_counts or firsts[index] != index):
            repeated += 1
            repeated_characters += characters(data, spans[index, 0], spans[index, 1])
    return repeated / num_segments, repeated_characters / all_characters
