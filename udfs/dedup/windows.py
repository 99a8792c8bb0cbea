"""Windows of a document: the pieces between newlines, with the hashes of their token n-grams.

Tokens are UAX-29 segments that are not white space; a newline belongs to the window that follows
it (spec 3.1, 3.1.3).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from udfs.text.byte_masks import append, count_byte
from udfs.text.columns import Bytes, Offsets
from udfs.text.hashing import Hashes, hash_runs, leading_factor, token_hash
from udfs.text.segments import ENDS_AT_A_TIME, is_white, segment_ends
from udfs.text.word_breaks import WordTable, word_table

Counts = npt.NDArray[np.int64]

# Columns of a table of windows.
END, TOKENS, NGRAMS_END, CONTAINED, KEPT = range(5)
WINDOW_COLUMNS = 5
NEWLINE = 10
_CARRIAGE_RETURN = 13
# Rows of a table of counts by document.
CONTAINED_NGRAMS, ALL_NGRAMS, NUM_WINDOWS, REMOVED_WINDOWS, WITHOUT_WORDS = range(5)
_NUM_COUNTS = 5


class NgramRule(NamedTuple):
    """Which n-grams a window has, and the seed of their hashes."""

    table: WordTable
    seed: np.uint64
    min_ngram: int
    max_ngram: int


class Workspace(NamedTuple):
    """Room for one document: its token hashes, n-gram hashes, and table of windows."""

    tokens: Hashes
    ngrams: Hashes
    windows: Counts


class Written(NamedTuple):
    """What a batch leaves: texts, counts (a row each, a column a document), removed spans."""

    text: Bytes
    text_offsets: Offsets
    counts: Counts
    spans: Counts
    span_offsets: Counts


def ngram_rule(seed: np.uint64, min_ngram: int, max_ngram: int) -> NgramRule:
    """Return the rule with this process's table of word breaks."""
    return NgramRule(word_table(), seed, min_ngram, max_ngram)


@njit(cache=True, nogil=True)
def workspace(offsets: Offsets, most_windows: int) -> Workspace:
    """Return room for the largest document; pages that no token reaches take no memory."""
    most_tokens = largest_document(offsets)
    return Workspace(
        np.empty(most_tokens, np.uint64),
        np.empty(most_tokens, np.uint64),
        np.empty((most_windows, WINDOW_COLUMNS), np.int64),
    )


@njit(cache=True, nogil=True)
def room_to_write(offsets: Offsets, all_windows: int) -> Written:
    """Return room for what any outcome of the batch leaves."""
    num_documents = len(offsets) - 1
    return Written(
        np.empty(offsets[num_documents] - offsets[0], np.uint8),
        np.zeros(num_documents + 1, np.int64),
        np.zeros((_NUM_COUNTS, num_documents), np.int64),
        np.empty((all_windows, 2), np.int64),
        np.zeros(num_documents + 1, np.int64),
    )


@njit(cache=True, nogil=True)
def trimmed(written: Written) -> Written:
    """Return what was written without the room that is left."""
    return Written(
        written.text[: written.text_offsets[-1]],
        written.text_offsets,
        written.counts,
        written.spans[: written.span_offsets[-1]],
        written.span_offsets,
    )


@njit(cache=True, nogil=True)
def _newline_in(data: Bytes, start: int, end: int) -> int:
    """Return where the newline of the segment data[start:end] is, or -1: no word has one."""
    if data[start] == NEWLINE:
        return start
    if data[start] == _CARRIAGE_RETURN and end - start == 2:
        return start + 1
    return -1


@njit(cache=True, nogil=True)
def ngrams_in(num_tokens: int, min_ngram: int, max_ngram: int) -> int:
    """Return how many n-grams a window of `num_tokens` has."""
    if num_tokens >= max_ngram:
        return num_tokens - max_ngram + 1
    return 1 if num_tokens >= min_ngram else 0


@njit(cache=True, nogil=True)
def count_window_ngrams(
    data: Bytes, offsets: Offsets, table: WordTable, min_ngram: int, max_ngram: int
) -> Counts:
    """Return the n-grams of each document, without their hashes; `data` as for cut_document."""
    counts = np.zeros(len(offsets) - 1, np.int64)
    ends = np.empty(ENDS_AT_A_TIME, np.int64)
    for document in range(len(counts)):
        tokens = 0
        position, end = offsets[document], offsets[document + 1]
        while position < end:
            for stop in ends[: segment_ends(data, position, end, table, ends)]:
                if _newline_in(data, position, stop) >= 0:
                    counts[document] += ngrams_in(tokens, min_ngram, max_ngram)
                    tokens = 0
                elif not is_white(data, position, stop, table):
                    tokens += 1
                position = stop
        counts[document] += ngrams_in(tokens, min_ngram, max_ngram)
    return counts


@njit(cache=True, nogil=True)
def _close_window(
    end: int, num_tokens: int, rule: NgramRule, leading: np.uint64, work: Workspace, window: int
) -> None:
    windows = work.windows
    num_ngrams = windows[window - 1, NGRAMS_END] if window else 0
    if num_tokens >= rule.min_ngram:
        length = min(num_tokens, rule.max_ngram)
        num_ngrams = hash_runs(work.tokens, num_tokens, length, leading, work.ngrams, num_ngrams)
    windows[window, END] = end
    windows[window, TOKENS] = num_tokens
    windows[window, NGRAMS_END] = num_ngrams


@njit(cache=True, nogil=True)
def cut_document(data: Bytes, start: int, end: int, rule: NgramRule, work: Workspace) -> int:
    """Fill n-grams and the first columns of windows for one document; return its windows.

    `data` comes from `udfs.text.byte_masks.readable_blocks`.
    """
    leading, table, tokens = leading_factor(rule.max_ngram), rule.table, work.tokens
    window = 0
    num_tokens = 0
    window_start = start
    position = start
    ends = np.empty(ENDS_AT_A_TIME, np.int64)
    while position < end:
        for stop in ends[: segment_ends(data, position, end, table, ends)]:
            newline = _newline_in(data, position, stop)
            if newline > window_start or (newline == window_start and newline > start):
                _close_window(newline, num_tokens, rule, leading, work, window)
                window += 1
                num_tokens = 0
                window_start = newline
            elif newline < 0 and not is_white(data, position, stop, table):
                tokens[num_tokens] = token_hash(data, position, stop, rule.seed)
                num_tokens += 1
            position = stop
    if end > start:
        _close_window(end, num_tokens, rule, leading, work, window)
        window += 1
    return window


@njit(cache=True, nogil=True)
def write_document(
    data: Bytes, offsets: Offsets, document: int, windows: Counts, removed: bool, written: Written
) -> None:
    """Append the kept windows to the texts, the others to the spans, nothing of a removed document.

    The documents come in turn; the number of windows is in the counts of the document.
    """
    counts = written.counts
    start = position = offsets[document]
    length, num_spans = written.text_offsets[document], written.span_offsets[document]
    tokens = 0
    for window in range(counts[NUM_WINDOWS, document]):
        end = windows[window, END]
        if windows[window, KEPT] == 0:
            written.spans[num_spans, 0] = position - start
            written.spans[num_spans, 1] = end - start
            num_spans += 1
        elif not removed:
            length = append(data, position, end, written.text, length)
            tokens += windows[window, TOKENS]
        position = end
    counts[REMOVED_WINDOWS, document] = num_spans - written.span_offsets[document]
    counts[WITHOUT_WORDS, document] = tokens == 0
    written.text_offsets[document + 1] = length
    written.span_offsets[document + 1] = num_spans


@njit(cache=True, nogil=True)
def largest_document(offsets: Offsets) -> int:
    """Return the bytes of the largest document."""
    largest = 0
    for document in range(len(offsets) - 1):
        largest = max(largest, offsets[document + 1] - offsets[document])
    return largest


@njit(cache=True, nogil=True)
def window_bounds(data: Bytes, offsets: Offsets) -> tuple[int, int]:
    """Return bounds on the windows of the batch and of its richest document; data as above."""
    total = 0
    largest = 0
    for document in range(len(offsets) - 1):
        windows = 1 + count_byte(data, offsets[document], offsets[document + 1], NEWLINE)
        total += windows
        largest = max(largest, windows)
    return total, largest
