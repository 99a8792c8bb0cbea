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

from udfs.bloom import Words as FilterWords
from udfs.bloom import block_start, contains, empty_filter, filter_size_bytes, insert
from udfs.columns import Bytes, Offsets, string_column, utf8_buffers
from udfs.hashing import Hashes, hash_runs, leading_factor, token_hash
from udfs.quirks import follows_reference

Counts = npt.NDArray[np.int64]

_NEWLINE = 10


@dataclass(frozen=True, kw_only=True)
class NgramDedupSettings:
    """Parameters of `old-both`; the defaults are those of DCLM-BASELINE (spec 3.1).

    `threshold` is a share of n-grams that must be exceeded. Under quirks "dclm-2024" the n-grams of
    windows that a removed document would have kept stay in the filter (spec 12, no. 8); under
    "none" they do not. Raises ValueError for values outside of what each comment allows.
    """

    # Tokens of the shortest window that is tested, as one n-gram (1 <= min <= max).
    min_ngram: int = 13
    max_ngram: int = 13
    threshold: float = 0.8
    false_positive_rate: float = 0.01
    quirks: str = "dclm-2024"
    # Largest Bloom filter that one shard may allocate.
    max_memory_bytes: int = 4 * 1024**3

    def __post_init__(self) -> None:
        """Check every value."""
        if not 1 <= self.min_ngram <= self.max_ngram:
            raise ValueError(
                f"min_ngram = {self.min_ngram}, max_ngram = {self.max_ngram}: must satisfy "
                "1 <= min_ngram <= max_ngram; DCLM used 13 and 13"
            )
        if not 0.0 <= self.threshold <= 1.0:
            raise ValueError(
                f"threshold = {self.threshold}: must be a share from 0 to 1; DCLM used 0.8"
            )
        follows_reference(self.quirks)
        if self.max_memory_bytes <= 0:
            raise ValueError(
                f"max_memory_bytes = {self.max_memory_bytes}: must be positive, such as 4294967296"
            )
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
    starts, ends, word_offsets = _tokens(data, offsets)
    return np.asarray(
        _count_ngrams(data, starts, ends, word_offsets, settings.min_ngram, settings.max_ngram)
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
        starts, ends, word_offsets = _tokens(data, offsets)
        settings = self._settings
        text, text_offsets, counts, spans, span_offsets = _deduplicate(
            data,
            offsets,
            starts,
            ends,
            word_offsets,
            self._filter.words,
            self._filter.num_hashes,
            self._seed,
            settings.min_ngram,
            settings.max_ngram,
            settings.threshold,
            follows_reference(settings.quirks),
        )
        return DedupResult(
            text=string_column(text, text_offsets),
            contained=counts[0],
            total=counts[1],
            windows=counts[2],
            removed_windows=counts[3],
            removed_size_bytes=np.diff(offsets) - np.diff(text_offsets),
            dropped=counts[4].astype(np.bool_),
            removed_spans=_span_column(spans, span_offsets),
        )


def _tokens(data: Bytes, offsets: Offsets) -> tuple[Offsets, Offsets, Offsets]:
    """Return starts and ends of the UAX-29 segments that are not white space, and where each
    document's begin.
    """
    from udfs.words import word_spans

    return word_spans(data, offsets)


def _span_column(spans: Counts, offsets: Counts) -> pa.LargeListArray:
    pairs = pa.StructArray.from_arrays(
        [np.ascontiguousarray(spans[:, 0]), np.ascontiguousarray(spans[:, 1])], ["start", "end"]
    )
    return pa.LargeListArray.from_arrays(offsets, pairs)


@njit(cache=True, nogil=True)
def _ngrams_in(num_tokens: int, min_ngram: int, max_ngram: int) -> int:
    """Return how many n-grams a window of `num_tokens` has."""
    if num_tokens >= max_ngram:
        return num_tokens - max_ngram + 1
    return 1 if num_tokens >= min_ngram else 0


@njit(cache=True, nogil=True)
def _newline_between(data: Bytes, start: int, end: int) -> bool:
    for position in range(start, end):  # noqa: SIM110
        if data[position] == _NEWLINE:
            return True
    return False


@njit(cache=True, nogil=True)
def _count_ngrams(
    data: Bytes,
    starts: Offsets,
    ends: Offsets,
    word_offsets: Offsets,
    min_ngram: int,
    max_ngram: int,
) -> Counts:
    counts = np.zeros(len(word_offsets) - 1, np.int64)
    for document in range(len(counts)):
        tokens = 0
        for word in range(word_offsets[document], word_offsets[document + 1]):
            if tokens and _newline_between(data, ends[word - 1], starts[word]):
                counts[document] += _ngrams_in(tokens, min_ngram, max_ngram)
                tokens = 0
            tokens += 1
        counts[document] += _ngrams_in(tokens, min_ngram, max_ngram)
    return counts


@njit(cache=True, nogil=True)
def _cut_windows(
    data: Bytes,
    start: int,
    end: int,
    starts: Offsets,
    ends: Offsets,
    first_word: int,
    last_word: int,
    seed: np.uint64,
    min_ngram: int,
    max_ngram: int,
    tokens: Hashes,
    ngrams: Hashes,
    windows: Counts,
) -> int:
    """Cut one document; return its number of windows.

    Row i of `windows` gets the end byte of window i, its tokens, and the end of its hashes in
    `ngrams`.
    """
    leading = leading_factor(max_ngram)
    num_windows = 0
    word = first_word
    num_ngrams = 0
    position = start
    while position < end:
        position += 1
        while position < end and data[position] != _NEWLINE:
            position += 1
        num_tokens = 0
        while word < last_word and starts[word] < position:
            tokens[num_tokens] = token_hash(data, starts[word], ends[word], seed)
            num_tokens += 1
            word += 1
        if num_tokens >= max_ngram:
            num_ngrams = hash_runs(tokens, num_tokens, max_ngram, leading, ngrams, num_ngrams)
        elif num_tokens >= min_ngram:
            # A single n-gram: its first token never leaves, so no leading factor is needed.
            num_ngrams = hash_runs(tokens, num_tokens, num_tokens, leading, ngrams, num_ngrams)
        windows[num_windows, 0] = position
        windows[num_windows, 1] = num_tokens
        windows[num_windows, 2] = num_ngrams
        num_windows += 1
    return num_windows


@njit(cache=True, nogil=True)
def _touch(words: FilterWords, ngrams: Hashes, num_ngrams: int) -> np.uint64:
    """Load the blocks of all n-grams; independent loads overlap, those of the tests do not."""
    seen = np.uint64(0)
    for index in range(num_ngrams):
        seen |= words[block_start(words, ngrams[index])]
    return seen


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
    ngrams: Hashes,
    windows: Counts,
    num_windows: int,
    words: FilterWords,
    num_hashes: int,
    threshold: float,
    insert_at_once: bool,
    own: Hashes,
) -> int:
    """Set windows[:, 3] to the seen n-grams and [:, 4] to kept (1) or not; return their sum.

    The n-grams of kept windows go into the filter, or into the document's `own` set.
    """
    all_contained = 0
    first = 0
    for window in range(num_windows):
        last = windows[window, 2]
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
        windows[window, 3] = contained
        windows[window, 4] = kept
        all_contained += contained
        first = last
    return all_contained


@njit(cache=True, nogil=True)
def _insert_kept(
    ngrams: Hashes, windows: Counts, num_windows: int, words: FilterWords, num_hashes: int
) -> None:
    first = 0
    for window in range(num_windows):
        last = windows[window, 2]
        if windows[window, 4]:
            for index in range(first, last):
                insert(words, num_hashes, ngrams[index])
        first = last


@njit(cache=True, nogil=True)
def _largest_step(offsets: Offsets) -> int:
    largest = 0
    for index in range(len(offsets) - 1):
        largest = max(largest, offsets[index + 1] - offsets[index])
    return largest


@njit(cache=True, nogil=True)
def _window_counts(data: Bytes, offsets: Offsets) -> tuple[int, int]:
    """Return bounds on the windows of the batch and of its richest document."""
    total = 0
    largest = 0
    for document in range(len(offsets) - 1):
        windows = 1
        for position in range(offsets[document], offsets[document + 1]):
            windows += data[position] == _NEWLINE
        total += windows
        largest = max(largest, windows)
    return total, largest


@njit(cache=True, nogil=True)
def _deduplicate(
    data: Bytes,
    offsets: Offsets,
    starts: Offsets,
    ends: Offsets,
    word_offsets: Offsets,
    words: FilterWords,
    num_hashes: int,
    seed: np.uint64,
    min_ngram: int,
    max_ngram: int,
    threshold: float,
    insert_at_once: bool,
) -> tuple[Bytes, Offsets, Counts, Counts, Counts]:
    """Run old-both over a batch: (text, text offsets, counts, removed spans, span offsets)."""
    num_documents = len(offsets) - 1
    most_words = _largest_step(word_offsets)
    all_windows, most_windows = _window_counts(data, offsets)
    tokens = np.empty(most_words, np.uint64)
    ngrams = np.empty(most_words, np.uint64)
    windows = np.empty((most_windows, 5), np.int64)
    text = np.empty(offsets[num_documents] - offsets[0], np.uint8)
    text_offsets = np.zeros(num_documents + 1, np.int64)
    counts = np.zeros((5, num_documents), np.int64)
    spans = np.empty((all_windows, 2), np.int64)
    span_offsets = np.zeros(num_documents + 1, np.int64)
    own = np.zeros(1, np.uint64)
    length = 0
    num_spans = 0
    for document in range(num_documents):
        start = offsets[document]
        num_windows = _cut_windows(
            data, start, offsets[document + 1], starts, ends,
            word_offsets[document], word_offsets[document + 1],
            seed, min_ngram, max_ngram, tokens, ngrams, windows,
        )  # fmt: skip
        total = windows[num_windows - 1, 2] if num_windows else 0
        if not insert_at_once:
            own = np.zeros(1 << int(np.ceil(np.log2(2 * total + 2))), np.uint64)
        # The result must be used, or the compiler drops the loads.
        counts[4, document] = np.int64(_touch(words, ngrams, total) & np.uint64(0))
        contained = _decide_windows(
            ngrams, windows, num_windows, words, num_hashes, threshold, insert_at_once, own
        )
        removed = total > 0 and contained / total > threshold
        if not insert_at_once and not removed:
            _insert_kept(ngrams, windows, num_windows, words, num_hashes)
        kept_tokens = 0
        position = start
        for window in range(num_windows):
            end = windows[window, 0]
            if windows[window, 4] == 0:
                spans[num_spans, 0] = position - start
                spans[num_spans, 1] = end - start
                num_spans += 1
            elif not removed:
                text[length : length + end - position] = data[position:end]
                length += end - position
                kept_tokens += windows[window, 1]
            position = end
        text_offsets[document + 1] = length
        span_offsets[document + 1] = num_spans
        counts[0, document] = contained
        counts[1, document] = total
        counts[2, document] = num_windows
        counts[3, document] = num_spans - span_offsets[document]
        counts[4, document] = kept_tokens == 0
    return text[:length], text_offsets, counts, spans[:num_spans], span_offsets
