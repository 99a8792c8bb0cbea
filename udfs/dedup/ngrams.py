"""Paragraph and document dedup by n-grams: BFF's `old-both` (spec 3.1.3) over one Bloom filter.

A document is cut at newlines into windows, a newline belonging to the window that follows it. A
window goes when more than `threshold` of its n-grams were seen before, in earlier documents or in
earlier windows of its own document; the n-grams of the other windows are inserted. A document goes
when more than `threshold` of all its n-grams were seen.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from udfs.checks import FRACTION, at_least, check, check_order, one_of
from udfs.dedup.bloom import (
    BloomFilter,
    block_start,
    contains,
    empty_filter,
    filter_size_bytes,
    insert,
)
from udfs.dedup.windows import (
    ALL_NGRAMS,
    CONTAINED,
    CONTAINED_NGRAMS,
    KEPT,
    NGRAMS_END,
    NUM_WINDOWS,
    REMOVED_WINDOWS,
    WITHOUT_WORDS,
    Counts,
    NgramRule,
    Workspace,
    Written,
    count_window_ngrams,
    cut_document,
    ngram_rule,
    room_to_write,
    trimmed,
    window_bounds,
    workspace,
    write_document,
)
from udfs.quirks import QUIRKS, follows_reference
from udfs.text.byte_masks import readable_blocks
from udfs.text.columns import Bytes, Offsets, read_only, string_column, utf8_buffers
from udfs.text.hashing import Hashes
from udfs.text.word_breaks import word_table


@dataclass(frozen=True, kw_only=True)
class NgramDedupSettings:
    """Parameters of `old-both`; the defaults are those of DCLM-BASELINE (spec 3.1).

    `threshold` is a share of n-grams that must be exceeded. Under quirks "dclm-2024" the n-grams of
    windows that a removed document would have kept stay in the filter (spec 12, no. 8); under
    "none" they do not. Raises ValueError for values outside of what each comment allows.
    """

    # Tokens of the shortest window that is tested, as one n-gram (1 <= min <= max).
    min_ngram: int = 13
    # Tokens of an n-gram of longer windows.
    max_ngram: int = 13
    # A paragraph or document of which a larger share of n-grams was seen before goes.
    threshold: float = 0.8
    # Chance that the Bloom filter takes a new n-gram for a seen one.
    false_positive_rate: float = 0.01
    # The recipe's `quirks`; set that one alone.
    quirks: str = "dclm-2024"
    # Largest Bloom filter that one shard may allocate.
    max_memory_bytes: int = 4 * 1024**3

    def __post_init__(self) -> None:
        """Check every value."""
        check(self, min_ngram=at_least(1).but("DCLM used 13"), quirks=one_of(QUIRKS))
        check_order(self, "min_ngram", "max_ngram")
        check(self, threshold=FRACTION.but("DCLM used 0.8"), max_memory_bytes=at_least(1))
        filter_size_bytes(0, self.false_positive_rate)


@dataclass(frozen=True, kw_only=True)
class DedupResult:
    """What became of each document of a batch; every column has one row per document.

    `removed_spans` holds the removed windows as byte positions in the input text. `dropped` marks
    documents without a word left: too many n-grams seen (contained / total > threshold), or
    nothing but white space from the start.
    """

    text: pa.LargeStringArray
    contained: Counts
    total: Counts
    windows: Counts
    removed_windows: Counts
    removed_size_bytes: Counts
    dropped: npt.NDArray[np.bool_]
    removed_spans: pa.LargeListArray


def count_ngrams(texts: pa.Array | pa.ChunkedArray, settings: NgramDedupSettings) -> Counts:
    """Return how many n-grams each document has: the number that sizes a shard's filter."""
    data, offsets = utf8_buffers(texts)
    return np.asarray(
        count_window_ngrams(
            readable_blocks(data),
            read_only(offsets),
            word_table(),
            settings.min_ngram,
            settings.max_ngram,
        )
    )


def shard_memory_bytes(num_ngrams: int, settings: NgramDedupSettings) -> int:
    """Return the size of the filter for a shard of `num_ngrams` n-grams.

    Raises ValueError, with the number of shards that would do, when it passes max_memory_bytes.
    """
    size_bytes = filter_size_bytes(num_ngrams, settings.false_positive_rate)
    if size_bytes > settings.max_memory_bytes:
        factor = -(-size_bytes // settings.max_memory_bytes)
        raise ValueError(
            f"max_memory_bytes = {settings.max_memory_bytes}: the filter of this shard needs "
            f"{size_bytes} bytes for {num_ngrams} n-grams at false_positive_rate = "
            f"{settings.false_positive_rate}; use {factor} times as many shards, raise "
            "max_memory_bytes to what the task has, or use the global method"
        )
    return size_bytes


class ShardDeduplicator:
    """One shard's filter; the result depends on the order of documents, not on the batches."""

    def __init__(self, num_ngrams: int, settings: NgramDedupSettings, seed: int = 0) -> None:
        """Allocate the filter for at most `num_ngrams` n-grams; `seed` chooses the hash function.

        Raises ValueError when it would take more than `settings.max_memory_bytes`.
        """
        shard_memory_bytes(num_ngrams, settings)
        self._settings = settings
        self._filter = empty_filter(num_ngrams, settings.false_positive_rate)
        self._seed = np.uint64(seed % 2**64)

    @property
    def filter_size_bytes(self) -> int:
        """Return the memory of the filter."""
        return self._filter.size_bytes

    def deduplicate(self, texts: pa.Array | pa.ChunkedArray) -> DedupResult:
        """Test and insert the documents of a batch, which follow those of earlier calls."""
        data, offsets = utf8_buffers(texts)
        settings = self._settings
        written = _deduplicate(
            readable_blocks(data),
            read_only(offsets),
            ngram_rule(self._seed, settings.min_ngram, settings.max_ngram),
            self._filter,
            settings.threshold,
            follows_reference(settings.quirks),
        )
        return dedup_result(offsets, written)


def dedup_result(offsets: Offsets, written: Written) -> DedupResult:
    """Turn what a kernel wrote into columns; `offsets` are those of the input text."""
    counts = written.counts
    return DedupResult(
        text=string_column(written.text, written.text_offsets),
        contained=counts[CONTAINED_NGRAMS],
        total=counts[ALL_NGRAMS],
        windows=counts[NUM_WINDOWS],
        removed_windows=counts[REMOVED_WINDOWS],
        removed_size_bytes=np.diff(offsets) - np.diff(written.text_offsets),
        dropped=counts[WITHOUT_WORDS].astype(np.bool_),
        removed_spans=_span_column(written.spans, written.span_offsets),
    )


def _span_column(spans: Counts, offsets: Counts) -> pa.LargeListArray:
    pairs = pa.StructArray.from_arrays(
        [np.ascontiguousarray(spans[:, 0]), np.ascontiguousarray(spans[:, 1])], ["start", "end"]
    )
    return pa.LargeListArray.from_arrays(offsets, pairs)


@njit(cache=True, nogil=True)
def _touch(seen: BloomFilter, ngrams: Hashes, num_ngrams: int) -> np.uint64:
    """Load the blocks of all n-grams; independent loads overlap, those of the tests do not."""
    words, loaded = seen.words, np.uint64(0)
    for index in range(num_ngrams):
        loaded |= words[block_start(words, ngrams[index])]
    return loaded


@njit(cache=True, nogil=True)
def _set_contains(table: Hashes, item: np.uint64) -> bool:
    slot = np.int64(item) & (len(table) - 1)
    while table[slot] != np.uint64(0):
        if table[slot] == item:
            return True
        slot = (slot + 1) & (len(table) - 1)
    return False


@njit(cache=True, nogil=True)
def _set_insert(table: Hashes, item: np.uint64) -> None:
    slot = np.int64(item) & (len(table) - 1)
    while table[slot] != np.uint64(0) and table[slot] != item:
        slot = (slot + 1) & (len(table) - 1)
    table[slot] = item


@njit(cache=True, nogil=True)
def _decide_windows(
    work: Workspace,
    num_windows: int,
    seen: BloomFilter,
    threshold: float,
    insert_at_once: bool,
    own: Hashes,
) -> int:
    """Set the seen n-grams of each window and whether it is kept; return the sum of the former.

    The n-grams of kept windows go into the filter, or into the document's `own` set.
    """
    ngrams, windows = work.ngrams, work.windows
    words, num_hashes = seen.words, seen.num_hashes
    all_contained = 0
    first = 0
    for window in range(num_windows):
        last = windows[window, NGRAMS_END]
        contained = 0
        for index in range(first, last):
            item = ngrams[index]
            if contains(words, num_hashes, item) or (
                not insert_at_once and _set_contains(own, item)
            ):
                contained += 1
        kept = last == first or contained / (last - first) <= threshold
        if kept:
            for index in range(first, last):
                if insert_at_once:
                    insert(words, num_hashes, ngrams[index])
                else:
                    _set_insert(own, ngrams[index])
        windows[window, CONTAINED] = contained
        windows[window, KEPT] = kept
        all_contained += contained
        first = last
    return all_contained


@njit(cache=True, nogil=True)
def _insert_kept(work: Workspace, num_windows: int, seen: BloomFilter) -> None:
    first = 0
    for window in range(num_windows):
        last = work.windows[window, NGRAMS_END]
        if work.windows[window, KEPT]:
            for index in range(first, last):
                insert(seen.words, seen.num_hashes, work.ngrams[index])
        first = last


@njit(cache=True, nogil=True)
def _deduplicate(
    data: Bytes,
    offsets: Offsets,
    rule: NgramRule,
    seen: BloomFilter,
    threshold: float,
    insert_at_once: bool,
) -> Written:
    """Run old-both over a batch."""
    all_windows, most_windows = window_bounds(data, offsets)
    work, written = workspace(offsets, most_windows), room_to_write(offsets, all_windows)
    counts = written.counts
    own = np.zeros(1, np.uint64)
    for document in range(len(offsets) - 1):
        num_windows = cut_document(data, offsets[document], offsets[document + 1], rule, work)
        total = work.windows[num_windows - 1, NGRAMS_END] if num_windows else 0
        if not insert_at_once:
            own = np.zeros(1 << int(np.ceil(np.log2(2 * total + 2))), np.uint64)
        # The result must be used, or the compiler drops the loads.
        touched = np.int64(_touch(seen, work.ngrams, total) & np.uint64(0))
        contained = _decide_windows(work, num_windows, seen, threshold, insert_at_once, own)
        removed = total > 0 and contained / total > threshold
        if not insert_at_once and not removed:
            _insert_kept(work, num_windows, seen)
        counts[CONTAINED_NGRAMS, document] = contained + touched
        counts[ALL_NGRAMS, document] = total
        counts[NUM_WINDOWS, document] = num_windows
        write_document(data, offsets, document, work.windows, removed, written)
    return trimmed(written)  # type: ignore[no-any-return]
