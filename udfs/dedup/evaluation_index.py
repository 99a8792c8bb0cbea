"""An index of evaluation items by their parts: word sequences, and where their n-grams stand.

Words are runs of letters, digits and marks, in lower case: punctuation, quotation marks, mark-up
symbols, HTML tags and entities separate them, so a text that is marked up otherwise has the same
words.
"""

import io
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from udfs.dedup.shingles import Folding, lower_case_table
from udfs.text.columns import Offsets, read_only, utf8_buffers
from udfs.text.hashing import Hashes, mix
from udfs.text.word_places import SEPARATOR, word_places

QUESTION, ANSWER, CHOICES, PASSAGE = range(4)
PARTS = ("question", "answer", "choices", "passage")
# Words of an n-gram: short enough that words put between lines leave some whole.
NGRAM_WORDS = 5
# N-grams of more questions, answers and choices than this are instructions or templates, and say
# nothing of an item; the same passage may have more questions.
MAX_PARTS_OF_NGRAM, MAX_PASSAGES_OF_NGRAM = 10, 100
# Of the n-grams of passages one in so many is held: they are long, and only reported.
PASSAGE_ONE_IN = 4
# Hashes of n-grams, where in its text each begins (in words), and the number of the text.
Grams = tuple[Hashes, npt.NDArray[np.int32], npt.NDArray[np.int32]]
_BITS = 25
_BASE = np.uint64(0xD6E8FEB86659FD93)


@dataclass(frozen=True, kw_only=True)
class Item:
    """A row of an evaluation set in parts; those that it does not have are empty."""

    task: str
    number: int
    question: str
    answer: str = ""
    choices: str = ""
    passage: str = ""

    def text(self, part: int) -> str:
        """Return the text of one of PARTS."""
        return str(getattr(self, PARTS[part]))


@dataclass(frozen=True, kw_only=True)
class EvaluationIndex:
    """A loaded index. Part p belongs to item `part_items[p]` and is its `part_kinds[p]`-th part.

    The words of part p are word_hashes[part_offsets[p]:part_offsets[p + 1]]. N-gram g, hash
    grams[g] in ascending order, stands at the places posting_offsets[g]:posting_offsets[g + 1] of
    `posting_parts` and `posting_places`, and weighs `weights[g]`: 1 if it is rare in the pool, 0 if
    it is everywhere. `held[p]` counts the n-grams of part p in the index, `held_words[p]` the words
    in them; word i has `word_letters[i]` code points, at most 255.
    """

    tasks: tuple[str, ...]
    item_tasks: npt.NDArray[np.int32]
    item_numbers: npt.NDArray[np.int32]
    part_items: npt.NDArray[np.int32]
    part_kinds: npt.NDArray[np.int8]
    part_offsets: Offsets
    word_hashes: Hashes
    word_letters: npt.NDArray[np.uint8]
    held: npt.NDArray[np.int32]
    held_words: npt.NDArray[np.int32]
    grams: Hashes
    posting_offsets: Offsets
    posting_parts: npt.NDArray[np.int32]
    posting_places: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]
    bits: npt.NDArray[np.uint8]

    def words_of(self, part: int) -> Hashes:
        """Return the hashes of the words of a part."""
        return self.word_hashes[self.part_offsets[part] : self.part_offsets[part + 1]]

    def letters_of(self, part: int) -> npt.NDArray[np.uint8]:
        """Return how many code points each word of a part has."""
        return self.word_letters[self.part_offsets[part] : self.part_offsets[part + 1]]

    def parts_of(self, item: int) -> range:
        """Return the parts of an item, which stand together."""
        first, last = np.searchsorted(self.part_items, [item, item + 1])
        return range(int(first), int(last))


@cache
def word_table() -> Folding:
    """Return, per code point, its lower-case form, or the mark of what separates words."""
    table = lower_case_table().copy()
    for point in range(len(table)):
        if unicodedata.category(chr(point))[0] not in "LNM":
            table[point] = SEPARATOR
    table.flags.writeable = False
    return table


def words(
    texts: pa.Array | pa.ChunkedArray, *, has_markup: bool = True
) -> tuple[Hashes, Offsets, Offsets, Offsets]:
    """Return (hashes, offsets, starts, ends): the words of text i are hashes[offsets[i]:...].

    `starts` and `ends` are the bytes of each word within its own text. Where a text `has_markup`,
    HTML tags and entities in it are no words.
    """
    data, offsets = utf8_buffers(texts)
    return word_places(read_only(data), read_only(offsets), word_table(), has_markup)  # type: ignore[no-any-return]


def build(items: Sequence[Item]) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of an index of `items`, by the names of `EvaluationIndex`."""
    tasks = list(dict.fromkeys(item.task for item in items))
    parts = [
        (number, kind)
        for number, item in enumerate(items)
        for kind in range(len(PARTS))
        if item.text(kind).strip()
    ]
    column = pa.array([items[number].text(kind) for number, kind in parts], pa.large_string())
    hashes, offsets, starts, ends = words(column)
    kinds = np.array([kind for _, kind in parts], np.int8)
    (grams, places, owners), in_passages = _grams_of(hashes, offsets, kinds)
    order = np.argsort(grams, kind="stable")
    distinct, counts = np.unique(grams[order], return_counts=True)
    most = np.where(np.isin(distinct, in_passages), MAX_PASSAGES_OF_NGRAM, MAX_PARTS_OF_NGRAM)
    wanted = counts <= most
    chosen = order[np.repeat(wanted, counts)]
    posting_parts, posting_places = owners[chosen], places[chosen]
    return {
        "tasks": np.array(tasks),
        "item_tasks": np.array([tasks.index(item.task) for item in items], np.int32),
        "item_numbers": np.array([item.number for item in items], np.int32),
        "part_items": np.array([number for number, _ in parts], np.int32),
        "part_kinds": kinds,
        "part_offsets": offsets,
        "word_hashes": hashes,
        "word_letters": _letters(column, offsets, starts, ends),
        "held": np.bincount(posting_parts, minlength=len(parts)).astype(np.int32),
        "held_words": _held_words(offsets, posting_parts, posting_places),
        "grams": distinct[wanted],
        "posting_offsets": np.concatenate(([0], np.cumsum(counts[wanted]))).astype(np.int64),
        "posting_parts": posting_parts,
        "posting_places": posting_places,
        "weights": np.ones(int(wanted.sum()), np.float32),
    }


def _letters(
    column: pa.Array, offsets: Offsets, starts: Offsets, ends: Offsets
) -> npt.NDArray[np.uint8]:
    """Return how many code points each word of the texts of a column has, at most 255."""
    data, text_offsets = utf8_buffers(column)
    before = np.concatenate(([0], np.cumsum((data & 0xC0) != 0x80)))
    first = np.repeat(text_offsets[:-1], np.diff(offsets))
    letters = before[first + ends] - before[first + starts]
    return np.minimum(letters, 255).astype(np.uint8)  # type: ignore[no-any-return]


def _held_words(
    offsets: Offsets, parts: npt.NDArray[np.int32], places: npt.NDArray[np.int32]
) -> npt.NDArray[np.int32]:
    """Return how many words of each part are in n-grams that begin at `places` of `parts`."""
    held = np.zeros(int(offsets[-1]) + 1, np.int64)
    for step in range(NGRAM_WORDS):
        held[offsets[parts] + places + step] = 1
    before = np.concatenate(([0], np.cumsum(held)))
    return (before[offsets[1:]] - before[offsets[:-1]]).astype(np.int32)


def _grams_of(
    hashes: Hashes, offsets: Offsets, kinds: npt.NDArray[np.int8]
) -> tuple[Grams, Hashes]:
    """Return the n-grams of parts that the index holds, and which of them stand in passages.

    What a question or its answer has in common with a passage is no sign of the question.
    """
    grams, places, owners = ngrams(hashes, offsets)
    of_passage = kinds[owners] == PASSAGE
    in_passages = np.unique(grams[of_passage])
    sampled = grams % np.uint64(PASSAGE_ONE_IN) == 0
    kept = np.where(of_passage, sampled, ~np.isin(grams, in_passages))
    return (grams[kept], places[kept], owners[kept]), in_passages


def ngrams(hashes: Hashes, offsets: Offsets) -> Grams:
    """Return (hash, first word, text) of all n-grams of texts of words."""
    return _ngrams(read_only(hashes), read_only(offsets), NGRAM_WORDS)  # type: ignore[no-any-return]


def serialized(arrays: dict[str, npt.NDArray[Any]]) -> bytes:
    """Return the bytes of an index file, the same for the same arrays."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


@cache
def load(path: Path) -> EvaluationIndex:
    """Read an index file; a worker holds it for its next tasks."""
    with np.load(path, allow_pickle=False) as stored:
        return index_of_arrays(dict(stored))


def index_of_arrays(arrays: dict[str, npt.NDArray[Any]]) -> EvaluationIndex:
    """Return the index of the arrays that `build` made."""
    rest = {name: read_only(array) for name, array in arrays.items() if name != "tasks"}
    tasks = tuple(str(name) for name in arrays["tasks"])
    return EvaluationIndex(tasks=tasks, bits=_filter_bits(rest["grams"]), **rest)


def _filter_bits(grams: Hashes) -> npt.NDArray[np.uint8]:
    """Return a bit for each n-gram at its upper bits: most n-grams of a page miss there."""
    bits = np.zeros(1 << (_BITS - 3), np.uint8)
    places = (grams >> np.uint64(64 - _BITS)).astype(np.int64)
    np.bitwise_or.at(bits, places >> 3, (1 << (places & 7)).astype(np.uint8))
    return read_only(bits)


@njit(cache=True, nogil=True)
def gram_hash(hashes, first, length):
    """Return the hash of `length` words from `first` on."""
    state = np.uint64(length)
    for place in range(first, first + length):
        state = state * _BASE + hashes[place]
    return mix(state)


@njit(cache=True, nogil=True)
def _ngrams(hashes, offsets, length):
    grams = np.empty(len(hashes), np.uint64)
    places = np.empty(len(hashes), np.int32)
    owners = np.empty(len(hashes), np.int32)
    count = 0
    for text in range(len(offsets) - 1):
        for first in range(offsets[text], offsets[text + 1] - length + 1):
            grams[count] = gram_hash(hashes, first, length)
            places[count] = first - offsets[text]
            owners[count] = text
            count += 1
    return grams[:count].copy(), places[:count].copy(), owners[:count].copy()


@njit(cache=True, nogil=True)
def find_gram(wanted, grams, bits):
    """Return the number of an n-gram in the index, -1 if it is not there."""
    place = np.int64(wanted >> np.uint64(64 - _BITS))
    if not (bits[place >> 3] >> np.uint8(place & 7)) & 1:
        return -1
    low, high = 0, len(grams)
    while low < high:
        middle = (low + high) // 2
        if grams[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low if low < len(grams) and grams[low] == wanted else -1
