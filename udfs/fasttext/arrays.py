"""Arrays that travel together through the kernels; numba takes the tuples as they are."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]
U16 = npt.NDArray[np.uint16]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

# Places in `Model.shape`.
BUCKETS, MIN_NGRAM, MAX_NGRAM, WORD_NGRAMS, DICTIONARY_WORDS = range(5)


class Texts(NamedTuple):
    """The texts data[starts[i]:ends[i]]; 64 bytes behind each of them can be read."""

    data: U8
    starts: I64
    ends: I64


class Index(NamedTuple):
    """Where the input rows of a model are: tables that always lie in memory."""

    keys: U64
    ids: I32
    kept_bits: U8
    bucket_rows: I32
    shape: I64


class Sums(NamedTuple):
    """For each text the sum of its input rows, (texts, width), and how many they are."""

    sums: F64
    counts: I64


class Model(NamedTuple):
    """What inference reads of a model; nothing of it changes."""

    # Class of each of the 256 bytes: see `udfs.fasttext.word_hashes`.
    byte_class: U8
    # Open-addressing table of the dictionary: hash of a word -> its input row, -1 where empty.
    keys: U64
    ids: I32
    # (words + buckets that are left, width): the words' rows first, then the buckets'.
    rows: F32
    # One bit for each bucket that pruning left, and its row; both empty for a model not pruned.
    kept_bits: U8
    bucket_rows: I32
    # (buckets, shortest and longest character n-gram, word n-grams, words of the dictionary).
    shape: I64


class Words(NamedTuple):
    """A block of words: word i is data[stops[i] - spans[i]:stops[i]]."""

    data: U8
    stops: I64
    spans: I64
    # Not 0 where some of its bytes are deleted.
    holes: I64
    hashes64: U64


class WordCache(NamedTuple):
    """The sums of words met before, as rows; behind them the spare rows of a block, last zeros."""

    # Hash and row of a word, eight slots to a cache line.
    table: U64
    # Slot (plus 1) that leads to each row.
    owners: I32
    # One bit for each word that was met once.
    sightings: U8
    # (next row to hand out, bits set in `sightings`).
    state: I64
    # How many input rows were added into each row, and their sum.
    counts: U16
    sums: F32


class Workspace(NamedTuple):
    """Memory that a call reuses for all its texts."""

    # `<word>`, as its character n-grams are cut.
    word: U8
    # Rows of the n-grams of one word; rows of the words of a block; words that the cache lacks.
    spelled: I64
    places: I64
    missing: I64
    # Hash of the last k + 1 words, as the library chains them into word n-grams.
    chains: U64
    # (1, width): the sum of a word's n-grams, and that of a block.
    part: F32
    total: F32


class Tree(NamedTuple):
    """The Huffman tree of a `hs` output layer; nodes below the number of labels are labels."""

    left: I32
    right: I32


def huffman_tree(label_counts: npt.NDArray[np.int64]) -> Tree:
    """Return the library's Huffman tree, which follows from the labels' counts and their order."""
    n_labels = len(label_counts)
    weights = [*label_counts.tolist(), *([10**15] * (n_labels - 1))]
    left = np.full(2 * n_labels - 1, -1, np.int32)
    right = left.copy()
    leaf, inner = n_labels - 1, n_labels
    for node in range(n_labels, 2 * n_labels - 1):
        smallest = []
        for _ in range(2):
            if leaf >= 0 and weights[leaf] < weights[inner]:
                smallest.append(leaf)
                leaf -= 1
            else:
                smallest.append(inner)
                inner += 1
        left[node], right[node] = smallest
        weights[node] = weights[smallest[0]] + weights[smallest[1]]
    return Tree(left, right)
