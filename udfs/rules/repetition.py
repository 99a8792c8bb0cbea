"""Repetition within a text (step 17, spec 2.6): lines, paragraphs and word n-grams seen twice.

Segments and n-grams are compared by 64-bit hashes: a text of a million words meets a false
repetition with a probability below one in ten million.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from udfs.quirks import follows_reference

# Kernels take plain arrays and numbers; numba, not mypy, types them.
from udfs.text.byte_masks import (
    BLOCK,
    ONE,
    characters,
    eight_bytes,
    first_bits,
    in_range,
    lowest,
    readable_blocks,
)
from udfs.text.columns import Bytes, Offsets, read_only
from udfs.text.hashed_words import find_words, hash_bytes
from udfs.text.hashing import find_firsts, largest_step, table_size
from udfs.text.lines import strip
from udfs.text.unicode import character_properties
from udfs.text.word_breaks import byte_kinds, word_table

_NEWLINE, _BLANK = 10, 32
_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xC2B2AE3D27D4EB4F)


class _Workspace(NamedTuple):
    """What the kernels write on the way, with room for the longest text of a batch."""

    # Hash of each word, and code points of the words before (one entry more).
    words: npt.NDArray[np.uint64]
    cumulated: npt.NDArray[np.int64]
    # (start, end) of each line and each paragraph.
    lines: npt.NDArray[np.int64]
    paragraphs: npt.NDArray[np.int64]
    # Of segments or n-grams: their hash, the word at which they begin, where their hash came
    # first, and there how often it occurs.
    keys: npt.NDArray[np.uint64]
    places: npt.NDArray[np.int32]
    firsts: npt.NDArray[np.int32]
    counts: npt.NDArray[np.int32]
    # The hash table of `find_firsts`, and the same memory as the filter of pairs: pairs are
    # filtered before any are looked up.
    table: npt.NDArray[np.int32]
    seen: npt.NDArray[np.uint8]


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
def _repeated_segments(data, spans, num_segments, work, first_counts):
    """Return (fraction of the segments, fraction of their characters) that are repetitions."""
    keys, firsts, counts = work.keys, work.firsts, work.counts
    if num_segments < 2:
        return 1.0 - num_segments, 1.0 - num_segments
    for index in range(num_segments):
        keys[index] = _signature(data, spans[index, 0], spans[index, 1])
    if not find_firsts(keys, num_segments, work.table, firsts, counts):
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
    find_firsts(keys, suspects, work.table, firsts, counts)
    repeated, repeated_characters = 0, 0
    for index in range(suspects):
        if counts[firsts[index]] > 1 and (first_counts or firsts[index] != index):
            repeated += 1
            repeated_characters += characters(data, spans[index, 0], spans[index, 1])
    return repeated / num_segments, repeated_characters / all_characters


# The fractions in the order in which the reference tests them, the columns of the result.
FRACTIONS = (
    "repeated_lines",
    "repeated_paragraphs",
    "repeated_line_characters",
    "repeated_paragraph_characters",
    *(f"top_{n}_gram" for n in (2, 3, 4)),
    *(f"repeated_{n}_grams" for n in (5, 6, 7, 8, 9, 10)),
)
_LARGEST_TOP_NGRAM, _LARGEST_NGRAM = 4, 10
_BASE = np.uint64(0x9E3779B97F4A7C15)
# Bytes of the filter of pairs for each slot of their table, which lends it its memory.
_FILTER_SPACE = 4


def repetition_fractions(
    data: Bytes, offsets: Offsets, quirks: str = "dclm-2024"
) -> npt.NDArray[np.float64]:
    """Return one row per text, one column per entry of FRACTIONS.

    Under "dclm-2024" the first occurrence of a repeated line, paragraph or n-gram (5 to 10 words)
    counts as repeated too; under "none" only the later ones do. Texts without any line have 1.0
    in the first two columns, so that every threshold below 1 drops them; fewer words than n make
    a fraction of 0. Raises ValueError for unknown `quirks`.
    """
    first_counts = follows_reference(quirks)
    blocks, tables = readable_blocks(data), (word_table(), character_properties())
    return _repetition_fractions(blocks, read_only(offsets), *tables, first_counts)  # type: ignore[no-any-return]


@njit(cache=True, nogil=True)
def _find_pairs(work, num_words):
    """Store places and hashes of the pairs of words that may repeat; return their number.

    Most do not, as a filter tells without a branch; few that do not pass it.
    """
    words, seen = work.words, work.seen
    size = table_size(num_words) * _FILTER_SPACE
    seen[:size] = 0
    shift = np.uint64(65)
    while size > 0:
        size >>= 1
        shift -= np.uint64(1)
    for place in range(num_words - 1):
        slot = (words[place] * _BASE + words[place + 1]) >> shift
        seen[slot] |= seen[slot] + np.uint8(1)
    count = 0
    for place in range(num_words - 1):
        key = words[place] * _BASE + words[place + 1]
        work.places[count], work.keys[count] = place, key
        count += seen[key >> shift] > 1
    return count


@njit(cache=True, nogil=True)
def _top_ngram_characters(n, work, num_places):
    """Return count x length of the n-gram that is most frequent, and longest of those."""
    top, longest = 1, 0
    for index in range(num_places):
        count = work.counts[work.firsts[index]]
        if count < top:
            continue
        place = work.places[index]
        length = work.cumulated[place + n] - work.cumulated[place]
        if count > top or length > longest:
            top, longest = count, length
    return top * longest if top > 1 else 0


@njit(cache=True, nogil=True)
def _covered_characters(n, work, num_places, first_counts):
    """Return the characters of the words in any repeated n-gram, each word once."""
    covered, free_from = 0, 0
    for index in range(num_places):
        first = work.firsts[index]
        if first != index or (first_counts and work.counts[first] > 1):
            place = work.places[index]
            covered += work.cumulated[place + n] - work.cumulated[max(place, free_from)]
            free_from = place + n
    return covered


@njit(cache=True, nogil=True)
def _next_places(n, work, num_places):
    """Keep the places whose n-gram repeats and is followed by one that does, with longer n-grams.

    Only there can an n-gram of one word more repeat.
    """
    places, keys, firsts, counts = work.places, work.keys, work.firsts, work.counts
    kept = 0
    for index in range(num_places - 1):
        place = places[index]
        keep = (
            (places[index + 1] == place + 1)
            & (counts[firsts[index]] > 1)
            & (counts[firsts[index + 1]] > 1)
        )
        if keep:
            places[kept], keys[kept] = place, keys[index] * _BASE + work.words[place + n]
            kept += 1
    return kept


@njit(cache=True, nogil=True)
def _repeated_ngrams(work, num_words, first_counts, fractions):
    """Write the fractions of n = 2 to 10 of one text."""
    all_characters = work.cumulated[num_words]
    if num_words < 2 or all_characters == 0:
        return
    num_places = _find_pairs(work, num_words)
    for n in range(2, _LARGEST_NGRAM + 1):
        if num_places < 2:
            return
        if not find_firsts(work.keys, num_places, work.table, work.firsts, work.counts):
            return
        if n <= _LARGEST_TOP_NGRAM:
            characters = _top_ngram_characters(n, work, num_places)
        else:
            characters = _covered_characters(n, work, num_places, first_counts)
        fractions[n - 2] = characters / all_characters
        num_places = _next_places(n, work, num_places)


@njit(cache=True, nogil=True)
def _workspace(most):
    """Return a workspace for texts of at most so many words, lines and paragraphs."""
    table = np.empty(table_size(most), np.int32)
    return _Workspace(
        np.empty(most, np.uint64), np.empty(most + 1, np.int64),
        np.empty((most, 2), np.int64), np.empty((most, 2), np.int64),
        np.empty(most, np.uint64), np.empty(most, np.int32),
        np.empty(most, np.int32), np.empty(most, np.int32),
        table, table.view(np.uint8),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _repetition_fractions(data, offsets, table, properties, first_counts):
    num_texts = offsets.size - 1
    fractions = np.zeros((num_texts, 13), np.float64)
    kinds = byte_kinds(table)
    # A line and its newline take two bytes, two words without a character between three ("a²").
    work = _workspace(largest_step(offsets) * 2 // 3 + 2)
    for text in range(num_texts):
        start, end = offsets[text], offsets[text + 1]
        found = find_segments(data, start, end, properties, work.lines, work.paragraphs)
        for kind, spans in enumerate((work.lines, work.paragraphs)):
            fractions[text, kind], fractions[text, kind + 2] = _repeated_segments(
                data, spans, found[kind], work, first_counts
            )
        count = find_words(data, start, end, kinds, table, work.words, work.cumulated)
        _repeated_ngrams(work, count, first_counts, fractions[text, 4:])
    return fractions
