"""Windows of a document: the pieces between newlines, with the hashes of their token n-grams.

Tokens are UAX-29 segments that are not white space; a newline belongs to the window that follows
it (spec 3.1, 3.1.3).
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from udfs.text.byte_masks import append, count_byte
from udfs.text.columns import Bytes, Offsets
from udfs.text.hashing import Hashes, hash_runs, leading_factor, token_hash
from udfs.text.segments import ENDS_AT_A_TIME, is_white, segment_ends
from udfs.text.word_breaks import WordTable

Counts = npt.NDArray[np.int64]

# Columns of a table of windows.
END, TOKENS, NGRAMS_END, CONTAINED, KEPT = range(5)
WINDOW_COLUMNS = 5
NEWLINE = 10
_CARRIAGE_RETURN = 13


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
    end: int,
    tokens: Hashes,
    num_tokens: int,
    min_ngram: int,
    max_ngram: int,
    leading: np.uint64,
    ngrams: Hashes,
    windows: Counts,
    window: int,
) -> None:
    num_ngrams = windows[window - 1, NGRAMS_END] if window else 0
    if num_tokens >= min_ngram:
        length = min(num_tokens, max_ngram)
        num_ngrams = hash_runs(tokens, num_tokens, length, leading, ngrams, num_ngrams)
    windows[window, END] = end
    windows[window, TOKENS] = num_tokens
    windows[window, NGRAMS_END] = num_ngrams


@njit(cache=True, nogil=True)
def cut_document(
    data: Bytes,
    start: int,
    end: int,
    table: WordTable,
    seed: np.uint64,
    min_ngram: int,
    max_ngram: int,
    tokens: Hashes,
    ngrams: Hashes,
    windows: Counts,
) -> int:
    """Fill `ngrams` and the first columns of `windows` for one document; return its windows.

    `data` comes from `udfs.text.byte_masks.readable_blocks`.
    """
    leading = leading_factor(max_ngram)
    window = 0
    num_tokens = 0
    window_start = start
    position = start
    ends = np.empty(ENDS_AT_A_TIME, np.int64)
    while position < end:
        for stop in ends[: segment_ends(data, position, end, table, ends)]:
            newline = _newline_in(data, position, stop)
            if newline > window_start or (newline == window_start and newline > start):
                _close_window(
                    newline, tokens, num_tokens, min_ngram, max_ngram, leading, ngrams, windows,
                    window,
                )  # fmt: skip
                window += 1
                num_tokens = 0
                window_start = newline
            elif newline < 0 and not is_white(data, position, stop, table):
                tokens[num_tokens] = token_hash(data, position, stop, seed)
                num_tokens += 1
            position = stop
    if end > start:
        _close_window(
            end, tokens, num_tokens, min_ngram, max_ngram, leading, ngrams, windows, window
        )
        window += 1
    return window


@njit(cache=True, nogil=True)
def write_document(
    data: Bytes,
    start: int,
    windows: Counts,
    num_windows: int,
    removed: bool,
    text: Bytes,
    length: int,
    spans: Counts,
    num_spans: int,
) -> tuple[int, int, int]:
    """Append the kept windows to `text`, the others to `spans`, nothing of a removed document.

    Returns the new length of `text`, the new number of spans, and the tokens written.
    """
    tokens = 0
    position = start
    for window in range(num_windows):
        end = windows[window, END]
        if windows[window, KEPT] == 0:
            spans[num_spans, 0] = position - start
            spans[num_spans, 1] = end - start
            num_spans += 1
        elif not removed:
            length = append(data, position, end, text, length)
            tokens += windows[window, TOKENS]
        position = end
    return length, num_spans, tokens


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
