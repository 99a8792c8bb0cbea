"""N-gram dedup without a filter: occurrences out, counts of seen n-grams in, text out.

The n-grams of all documents meet in a shuffle; the first window of each, in the declared order,
owns it. An occurrence outside of the owner is seen. Windows and documents are then judged as
`old-both` judges them (spec 3.1.3), except that a window's n-grams count although the window goes.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from udfs.checks import FRACTION, at_least, check, check_order
from udfs.dedup.ngrams import DedupResult, dedup_result
from udfs.dedup.windows import (
    ALL_NGRAMS,
    CONTAINED,
    CONTAINED_NGRAMS,
    KEPT,
    NGRAMS_END,
    NUM_WINDOWS,
    Counts,
    NgramRule,
    Written,
    cut_document,
    ngram_rule,
    room_to_write,
    trimmed,
    window_bounds,
    workspace,
    write_document,
)
from udfs.text.byte_masks import readable_blocks
from udfs.text.columns import Bytes, Offsets, read_only, utf8_buffers

Numbers = npt.NDArray[np.int32]

# Changes whenever the same text would give other n-gram hashes.
NGRAM_VERSION = 1
_SEED = np.uint64(0x5DEECE66D)


@dataclass(frozen=True, kw_only=True)
class GlobalNgramSettings:
    """Parameters of global n-gram dedup; raises ValueError for values that cannot be used.

    With `sample_one_in` = k only n-grams whose hash is a multiple of k are compared: a k-th of the
    shuffle, and a share measured with standard error sqrt(p (1 - p) (k - 1) / n) over n n-grams.
    """

    # Tokens of the shortest window that is tested, as one n-gram.
    min_ngram: int = 13
    # Tokens of an n-gram of longer windows.
    max_ngram: int = 13
    # A paragraph or document of which a larger share of n-grams stands before it goes.
    threshold: float = 0.8
    # Of how many n-grams one is compared, chosen by its hash; 1: all.
    sample_one_in: int = 1

    def __post_init__(self) -> None:
        """Check every value."""
        check(self, min_ngram=at_least(1).but("DCLM used 13"))
        check_order(self, "min_ngram", "max_ngram")
        check(self, threshold=FRACTION.but("DCLM used 0.8"), sample_one_in=at_least(1))


def ngram_occurrences(
    texts: pa.Array | pa.ChunkedArray, settings: GlobalNgramSettings
) -> tuple[Counts, Counts, Numbers]:
    """Return (n-gram hash, row of the text, number of the window) of every sampled n-gram."""
    data, offsets = utf8_buffers(texts)
    return _occurrences(  # type: ignore[no-any-return]
        readable_blocks(data),
        read_only(offsets),
        ngram_rule(_SEED, settings.min_ngram, settings.max_ngram),
        settings.sample_one_in,
    )


def remove_seen(
    texts: pa.Array | pa.ChunkedArray,
    seen_offsets: Offsets,
    seen_windows: Numbers,
    seen_counts: Counts,
    settings: GlobalNgramSettings,
) -> DedupResult:
    """Judge the windows and documents of a batch.

    The windows of text i that hold seen n-grams are seen_windows[seen_offsets[i]:...], with
    seen_counts of them each. Counts in the result are of sampled n-grams.
    """
    data, offsets = utf8_buffers(texts)
    written = _remove_seen(
        readable_blocks(data),
        read_only(offsets),
        ngram_rule(_SEED, settings.min_ngram, settings.max_ngram),
        _Seen(read_only(seen_offsets), read_only(seen_windows), read_only(seen_counts)),
        settings.sample_one_in,
        settings.threshold,
    )
    return dedup_result(offsets, written)


class _Seen(NamedTuple):
    """Windows with seen n-grams of each document, and how many each has."""

    offsets: Offsets
    windows: Numbers
    counts: Counts


@njit(cache=True, nogil=True)
def _occurrences(
    data: Bytes, offsets: Offsets, rule: NgramRule, sample_one_in: int
) -> tuple[Counts, Counts, Numbers]:
    _, most_windows = window_bounds(data, offsets)
    work = workspace(offsets, most_windows)
    # Every n-gram has a byte of its own; unused pages are never touched.
    size = offsets[-1] - offsets[0]
    hashes = np.empty(size, np.int64)
    rows = np.empty(size, np.int64)
    numbers = np.empty(size, np.int32)
    count = 0
    for document in range(len(offsets) - 1):
        num_windows = cut_document(data, offsets[document], offsets[document + 1], rule, work)
        first = 0
        for window in range(num_windows):
            for index in range(first, work.windows[window, NGRAMS_END]):
                if work.ngrams[index] % np.uint64(sample_one_in) == np.uint64(0):
                    hashes[count] = np.int64(work.ngrams[index])
                    rows[count] = document
                    numbers[count] = window
                    count += 1
            first = work.windows[window, NGRAMS_END]
    return hashes[:count].copy(), rows[:count].copy(), numbers[:count].copy()


@njit(cache=True, nogil=True)
def _remove_seen(
    data: Bytes,
    offsets: Offsets,
    rule: NgramRule,
    known: _Seen,
    sample_one_in: int,
    threshold: float,
) -> Written:
    all_windows, most_windows = window_bounds(data, offsets)
    work, written = workspace(offsets, most_windows), room_to_write(offsets, all_windows)
    windows, counts = work.windows, written.counts
    for document in range(len(offsets) - 1):
        num_windows = cut_document(data, offsets[document], offsets[document + 1], rule, work)
        windows[:num_windows, CONTAINED] = 0
        for index in range(known.offsets[document], known.offsets[document + 1]):
            windows[known.windows[index], CONTAINED] = known.counts[index]
        contained = total = first = 0
        for window in range(num_windows):
            sampled = 0
            for index in range(first, windows[window, NGRAMS_END]):
                sampled += work.ngrams[index] % np.uint64(sample_one_in) == np.uint64(0)
            first = windows[window, NGRAMS_END]
            seen = windows[window, CONTAINED]
            windows[window, KEPT] = sampled == 0 or seen / sampled <= threshold
            contained += seen
            total += sampled
        counts[CONTAINED_NGRAMS, document] = contained
        counts[ALL_NGRAMS, document] = total
        counts[NUM_WINDOWS, document] = num_windows
        removed = total > 0 and contained / total > threshold
        write_document(data, offsets, document, windows, removed, written)
    return trimmed(written)  # type: ignore[no-any-return]
