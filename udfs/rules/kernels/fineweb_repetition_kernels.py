"""The compiled counts of repeated lines, paragraphs and n-grams (facts: datatrove 0.10).

Unlike DCLM's step 17 (`udfs.rules.repetition`), the first of several equal lines, paragraphs or
n-grams is no repetition, punctuation is a word of its own, and all is measured against the
whole text.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from udfs.rules.kernels.fineweb_kernels import WordSpans
from udfs.text.byte_masks import characters, count_byte, next_byte, readable_blocks
from udfs.text.columns import Bytes, Offsets, read_only
from udfs.text.hashing import count_hash, largest_step, mix, table_size, token_hash
from udfs.text.lines import strip
from udfs.text.unicode import character_properties, code_points
from udfs.text.words import word_spans

Counts = npt.NDArray[np.int64]

# Columns of `repetitions`: of paragraphs and lines their number, the repeated ones and the
# characters of these; then characters of the most frequent 2 to 4-gram, of repeated 5 to 10-grams.
CHARACTERS, PARAGRAPHS, PARAGRAPH_COPIES, PARAGRAPH_COPY_CHARACTERS = range(4)
SEGMENTS, SEGMENT_COPIES, SEGMENT_COPY_CHARACTERS, TOP_2_GRAM = range(4, 8)
_NUM_REPETITIONS = 16

_BASE = np.uint64(0x9E3779B97F4A7C15)
_SEED = np.uint64(0)
_NEWLINE = 10


class _Table(NamedTuple):
    """A hash table of counts, as `udfs.text.hashing.count_hash` has it."""

    keys: npt.NDArray[np.uint64]
    counts: npt.NDArray[np.int32]


class _Words(NamedTuple):
    """The words of one text: entry i is that of word i."""

    words: npt.NDArray[np.uint64]
    # Of the n-gram that begins at a word.
    hashes: npt.NDArray[np.uint64]
    slots: npt.NDArray[np.int64]
    repeated: npt.NDArray[np.bool_]
    # Code points of the words before; one entry more than there are words.
    cumulated: npt.NDArray[np.int64]


def repetitions(data: Bytes, offsets: Offsets, words: WordSpans | None = None) -> Counts:
    """Return one row per text: the columns named above.

    Words are UAX-29 segments that are not white where none are given.
    """
    starts, ends, word_offsets = word_spans(data, offsets) if words is None else words
    return _repetitions(  # type: ignore[no-any-return]
        readable_blocks(data), read_only(offsets), read_only(starts), read_only(ends),
        read_only(word_offsets), character_properties(),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _segment_copies(data, start, end, newlines, table, facts):
    """Count the segments between runs of at least so many newlines, their copies, the characters.

    A text that begins or ends with newlines has an empty segment there.
    """
    size = table_size(count_byte(data, start, end, _NEWLINE) + 1)
    table.counts[:size] = 0
    position = start
    while position <= end:
        stop = next_byte(data, position, end, _NEWLINE)
        after = _behind_newlines(data, stop, end)
        while after - stop < newlines and stop < end:
            stop = next_byte(data, after, end, _NEWLINE)
            after = _behind_newlines(data, stop, end)
        facts[0] += 1
        item = token_hash(data, position, stop, _SEED)
        if table.counts[count_hash(item, table.keys, table.counts, size)] > 1:
            facts[1] += 1
            facts[2] += characters(data, position, stop)
        if stop >= end:
            break
        position = after


@njit(cache=True, nogil=True)
def _behind_newlines(data, position, end):
    """Return where the run of newlines at `position`, which may be none, ends."""
    while position < end and data[position] == _NEWLINE:
        position += 1
    return position


@njit(cache=True, nogil=True)
def _count_ngrams(n, work, num_words, table):
    """Count n-grams; mark and return how often the most frequent one occurs, at least 1.

    An n-gram occurs twice only where its first and its last n - 1 words do: others are not counted.
    `work.repeated` tells so of the (n - 1)-grams and then of the n-grams, by where they begin.
    """
    counts, slots, repeated = table.counts, work.slots, work.repeated
    last, most, asked = num_words - n + 1, 1, 0
    for place in range(last):
        asked += repeated[place] and repeated[place + 1]
    size = table_size(asked)
    counts[:size] = 0
    for place in range(last):
        slots[place] = -1
        if repeated[place] and repeated[place + 1]:
            slots[place] = count_hash(mix(work.hashes[place]), table.keys, counts, size)
            most = max(most, counts[slots[place]])
    for place in range(last):
        repeated[place] = slots[place] >= 0 and counts[slots[place]] > 1
    return most


@njit(cache=True, nogil=True)
def _top_characters(n, work, num_words, table, most):
    """Return count x length of the n-gram that is most frequent, of several the first."""
    cumulated = work.cumulated
    for place in range(num_words - n + 1):
        if most == 1 or (work.repeated[place] and table.counts[work.slots[place]] == most):
            # The words are joined with blanks.
            return most * (cumulated[place + n] - cumulated[place] + n - 1)
    return 0


@njit(cache=True, nogil=True)
def _copied_characters(n, work, num_words, table):
    """Return the characters of n-grams seen before, from left to right, none overlapping."""
    asked = 0
    for place in range(num_words - n + 1):
        asked += work.repeated[place]
    size = table_size(asked)
    counts, cumulated = table.counts, work.cumulated
    counts[:size] = 0
    place = copied = 0
    while place < num_words - n + 1:
        seen = 0
        if work.repeated[place]:
            seen = counts[count_hash(mix(work.hashes[place]), table.keys, counts, size)]
        if seen > 1:
            copied += cumulated[place + n] - cumulated[place]
            place += n
        else:
            place += 1
    return copied


@njit(cache=True, nogil=True)
def _repeated_ngrams(work, num_words, table, row):
    """Write the characters of repeated 2 to 10-grams to `row`."""
    work.hashes[:num_words] = work.words[:num_words]
    work.repeated[:num_words] = True
    for n in range(2, 11):
        for place in range(num_words - n + 1):
            work.hashes[place] = work.hashes[place] * _BASE + work.words[place + n - 1]
        most = _count_ngrams(n, work, num_words, table)
        if n <= 4:
            row[n - 2] = _top_characters(n, work, num_words, table, most)
        elif most == 1:
            return
        else:
            row[n - 2] = _copied_characters(n, work, num_words, table)


@njit(cache=True, nogil=True)
def _repetitions(data, offsets, starts, ends, word_offsets, properties):
    num_texts = offsets.size - 1
    facts = np.zeros((num_texts, _NUM_REPETITIONS), np.int64)
    most, most_words = largest_step(offsets) + 2, largest_step(word_offsets)
    table = _Table(np.empty(table_size(most), np.uint64), np.empty(table_size(most), np.int32))
    work = _Words(
        np.empty(most_words, np.uint64), np.empty(most_words, np.uint64),
        np.empty(most_words, np.int64), np.empty(most_words, np.bool_),
        np.zeros(most_words + 1, np.int64),
    )  # fmt: skip
    for text in range(num_texts):
        start, end = offsets[text], offsets[text + 1]
        row = facts[text]
        row[CHARACTERS] = characters(data, start, end)
        first, last = strip(data, start, end, properties)
        _segment_copies(data, first, last, 2, table, row[PARAGRAPHS:])
        _segment_copies(data, start, end, 1, table, row[SEGMENTS:])
        word = word_offsets[text]
        num_words = word_offsets[text + 1] - word
        for index in range(num_words):
            first, last = starts[word + index], ends[word + index]
            work.words[index] = token_hash(data, first, last, _SEED)
            work.cumulated[index + 1] = work.cumulated[index] + code_points(data, first, last)
        _repeated_ngrams(work, num_words, table, row[TOP_2_GRAM:])
    return facts
