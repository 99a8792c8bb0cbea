"""Where pages share n-grams with evaluation items, and how rare these are in the pool."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from udfs.checks import FRACTION, at_least, check
from udfs.dedup.evaluation_index import (
    CHOICES,
    NGRAM_WORDS,
    PASSAGE,
    EvaluationIndex,
    find_gram,
    gram_hash,
    words,
)
from udfs.text.columns import Offsets
from udfs.text.hashing import Hashes

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class MatchSettings:
    """When a page counts as holding an item."""

    # Share of the words of question and answer that the page has in n-grams of 5, each counted by
    # the rarity of these.
    min_score: float = 0.4
    # Share of the words of the question alone.
    min_question: float = 0.4
    # Rare n-grams that a page must have of an item: 5 of them are 9 words.
    min_rare_ngrams: float = 5.0
    # Or letters of rare words in a row.
    min_rare_letters: float = 36.0
    # Items of fewer words, with their answer, are compared word by word.
    min_words: int = 13
    # Such items with fewer words in both question and answer are not looked for.
    min_short_words: int = 5
    # Words between the question and the answer of such an item.
    answer_within: int = 20
    # Share of a passage, or of choices, from which it is reported.
    min_reported: float = 0.3

    def __post_init__(self) -> None:
        """Check every value."""
        check(self, min_score=FRACTION, min_question=FRACTION, min_reported=FRACTION)
        check(self, min_rare_ngrams=at_least(1), min_rare_letters=at_least(1))
        check(self, min_short_words=at_least(NGRAM_WORDS), min_words=at_least(1))
        check(self, answer_within=at_least(0))


def document_frequencies(texts: pa.Array | pa.ChunkedArray, index: EvaluationIndex) -> Counter[int]:
    """Return in how many of the texts each n-gram of the index stands that is in any."""
    hashes, offsets, _, _ = words(texts)
    positions, grams = _find(hashes, offsets, NGRAM_WORDS, index.grams, index.bits)
    rows = np.searchsorted(offsets, positions, side="right") - 1
    pairs = np.unique(np.stack((rows, grams)), axis=1)
    found, counts = np.unique(pairs[1], return_counts=True)
    return Counter(dict(zip(found.tolist(), counts.tolist(), strict=True)))


def rarity(documents: npt.NDArray[np.int64], pool: int) -> npt.NDArray[np.float32]:
    """Return the weight of n-grams that so many of `pool` documents have.

    1 up to 20 documents or one in 100,000, 0 from a hundred times as many on.
    """
    rare = max(20.0, pool / 100_000)
    decades = np.log10(np.maximum(documents, 1) / rare)
    return np.clip(1.0 - decades / 2.0, 0.0, 1.0).astype(np.float32)


@dataclass(frozen=True)
class Page:
    """The words of one text: hashes, and the bytes where they begin and end."""

    hashes: Hashes
    starts: Offsets
    ends: Offsets


@dataclass(frozen=True)
class Pages:
    """The words of a batch of texts, text i from offsets[i] on."""

    hashes: Hashes
    offsets: Offsets
    starts: Offsets
    ends: Offsets

    def page(self, row: int) -> Page:
        """Return the words of one text."""
        first, last = self.offsets[row], self.offsets[row + 1]
        return Page(self.hashes[first:last], self.starts[first:last], self.ends[first:last])


@dataclass(frozen=True)
class Hits:
    """N-grams that a page shares with the parts of one item, in the order of the page."""

    positions: Numbers
    parts: Numbers
    places: Numbers
    weights: npt.NDArray[np.float64]

    @property
    def names(self) -> Numbers:
        """A number for each n-gram of a part."""
        return self.parts * (1 << 32) + self.places

    def at(self, chosen: npt.NDArray[Any]) -> "Hits":
        """Return those that a mask or places choose."""
        return Hits(*(values[chosen] for values in vars(self).values()))

    def of(self, part: int) -> "Hits":
        """Return the hits of one part."""
        return self.at(self.parts == part)


def candidates(
    pages: Pages, index: EvaluationIndex, settings: MatchSettings
) -> Iterator[tuple[int, int, Hits]]:
    """Yield (text, item, hits) where a part has so many hits that it may matter."""
    positions, grams = _find(pages.hashes, pages.offsets, NGRAM_WORDS, index.grams, index.bits)
    counts = index.posting_offsets[grams + 1] - index.posting_offsets[grams]
    first = np.repeat(index.posting_offsets[grams] - np.cumsum(counts) + counts, counts)
    posting = first + np.arange(len(first))
    parts = index.posting_parts[posting].astype(np.int64)
    rows = np.searchsorted(pages.offsets, np.repeat(positions, counts), side="right") - 1
    # Distinct places of each part on each page.
    keys = rows * len(index.part_items) + parts
    places = index.posting_places[posting].astype(np.int64)
    distinct = np.unique(np.stack((keys, places)), axis=1)[0]
    keyed, found = np.unique(distinct, return_counts=True)
    may = found >= _needed(keyed % len(index.part_items), index, settings)
    items = index.part_items[keyed % len(index.part_items)].astype(np.int64)
    wanted = np.unique((keyed // len(index.part_items) * len(index.item_tasks) + items)[may])
    item_keys = rows * len(index.item_tasks) + index.part_items[parts]
    order = np.argsort(item_keys, kind="stable")
    lows, highs = (np.searchsorted(item_keys[order], wanted, side) for side in ("left", "right"))
    weights = np.repeat(index.weights[grams], counts).astype(np.float64)
    relative = np.repeat(positions, counts) - pages.offsets[rows]
    for key, low, high in zip(wanted.tolist(), lows, highs, strict=True):
        chosen = order[low:high]
        hits = Hits(relative[chosen], parts[chosen], places[chosen], weights[chosen])
        yield key // len(index.item_tasks), key % len(index.item_tasks), hits


def best_stretch(
    positions: Numbers, names: Numbers, weights: npt.NDArray[np.float64], width: int
) -> tuple[int, int]:
    """Return (low, high) of the hits of the stretch of `width` words with most weight.

    Each name (n-gram of a part) counts once.
    """
    inside: dict[int, int] = defaultdict(int)
    best, total, low = (-1.0, 0, 0), 0.0, 0
    for high in range(len(positions)):
        name = int(names[high])
        total += weights[high] if inside[name] == 0 else 0.0
        inside[name] += 1
        while positions[high] - positions[low] > width:
            gone = int(names[low])
            inside[gone] -= 1
            total -= weights[low] if inside[gone] == 0 else 0.0
            low += 1
        if total > best[0] + 1e-9:
            best = (total, low, high + 1)
    return best[1], best[2]


def word_weights(hits: Hits, num_words: int) -> npt.NDArray[np.float64]:
    """Return of each word of a part how rare the n-grams are in which the page has it, 0 if none.

    What stands in another order, such as words of a question among the options of another one, does
    not count: words between may shift the rest by half of the part and 12 words.
    """
    weights = np.zeros(num_words)
    shift = hits.positions - hits.places
    if len(shift):
        width = num_words // 2 + 12
        lows = np.sort(shift)
        most = np.argmax(np.searchsorted(lows, lows + width, side="right") - np.arange(len(lows)))
        ordered = (shift >= lows[most]) & (shift <= lows[most] + width)
        for step in range(NGRAM_WORDS):
            np.maximum.at(weights, hits.places[ordered] + step, hits.weights[ordered])
    return weights


def _needed(parts: Numbers, index: EvaluationIndex, settings: MatchSettings) -> Numbers:
    """Return how many distinct n-grams of each part a page needs to be looked at closer.

    An item that reaches the least score reaches half of it with its question or its answer.
    """
    kinds = index.part_kinds[parts]
    reported = (kinds == PASSAGE) | (kinds == CHOICES)
    share = np.where(reported, settings.min_reported, settings.min_score / 2)
    needed: Numbers = np.maximum(1, np.floor(share * index.held[parts])).astype(np.int64)
    return needed


@njit(cache=True, nogil=True)
def _find(hashes, offsets, length, grams, bits):
    """Return (position, n-gram) of the n-grams of texts that the index has."""
    positions = np.empty(len(hashes), np.int64)
    found = np.empty(len(hashes), np.int64)
    count = 0
    for text in range(len(offsets) - 1):
        for first in range(offsets[text], offsets[text + 1] - length + 1):
            number = find_gram(gram_hash(hashes, first, length), grams, bits)
            if number >= 0:
                positions[count] = first
                found[count] = number
                count += 1
    return positions[:count].copy(), found[:count].copy()
