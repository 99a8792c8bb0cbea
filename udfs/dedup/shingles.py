"""Word n-gram shingles of a text as 64-bit hashes, and the Jaccard similarity of their sets.

Normalisation (spec 3.2): lower-case, delete ASCII punctuation, split at white space. Words are of
Unicode code points; in scripts that put no space between words (Han, Kana, Thai, Lao, Khmer,
Myanmar) every character is a word, where the reference's BPE tokens play that role. A text of fewer
words than the n-gram is one shingle; a text without words has none.
"""

import string
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from udfs.text.columns import Bytes, Offsets, read_only, utf8_buffers
from udfs.text.hashing import Hashes, hash_runs, leading_factor, mix
from udfs.text.unicode import SPACE, character_properties, code_point_at

Folding = npt.NDArray[np.int32]

# Changes whenever the same text would give other shingles.
SHINGLE_VERSION = 1

_SPACE, _DELETED = -1, -2
# Set in the entry of a character that is a word by itself.
_ALONE = 1 << 22
_TABLE_SIZE = 0x20000
_LAST_IDEOGRAPH = 0x3FFFF
_ALONE_RANGES = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x2E80, 0x2FDF), (0x3041, 0x30FF),
    (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xA9E0, 0xA9FE), (0xAA60, 0xAA7F),
    (0xF900, 0xFAFF), (0x1AFF0, 0x1B16F),
)  # fmt: skip
_PRIME = np.uint64(0x100000001B3)


@cache
def lower_case_table() -> Folding:
    """Return the (first) code point that str.lower makes of each below the table's size."""
    lower = (chr(point).lower()[0] for point in range(_TABLE_SIZE))
    return read_only(np.fromiter(map(ord, lower), np.int32, _TABLE_SIZE))


@cache
def folding_table() -> Folding:
    """Return, per code point, its lower-case form or the mark of white space or deletion."""
    table = lower_case_table().copy()
    for first, last in _ALONE_RANGES:
        table[first : last + 1] |= _ALONE
    table[character_properties()[:_TABLE_SIZE] & SPACE != 0] = _SPACE
    table[[ord(character) for character in string.punctuation]] = _DELETED
    table.flags.writeable = False
    return table


def shingle_hashes(texts: pa.Array | pa.ChunkedArray, ngram: int) -> tuple[Hashes, Offsets]:
    """Return (hashes, offsets): the shingles of text i, in order, are hashes[offsets[i]:...]."""
    data, offsets = utf8_buffers(texts)
    return _shingle_batch(read_only(data), read_only(offsets), folding_table(), ngram)  # type: ignore[no-any-return]


def jaccard(
    left: pa.Array | pa.ChunkedArray, right: pa.Array | pa.ChunkedArray, ngram: int
) -> npt.NDArray[np.float64]:
    """Return the Jaccard similarity of the shingle sets of left[i] and right[i] for every row.

    0 where either text has no words.
    """
    left_hashes, left_offsets = shingle_hashes(left, ngram)
    right_hashes, right_offsets = shingle_hashes(right, ngram)
    return _jaccard_rows(left_hashes, left_offsets, right_hashes, right_offsets)  # type: ignore[no-any-return]


@njit(cache=True, nogil=True)
def _hash_words(data: Bytes, start: int, end: int, table: Folding, words: Hashes) -> int:
    count = 0
    state = np.uint64(0)
    inside = False
    while start < end:
        if data[start] < 0x80:
            entry = np.int64(table[data[start]])
            start += 1
        else:
            point, width = code_point_at(data, start)
            start += width
            if point < _TABLE_SIZE:
                entry = np.int64(table[point])
            else:
                entry = point | _ALONE if point <= _LAST_IDEOGRAPH else point
        if entry == _DELETED:
            continue
        alone = entry != _SPACE and entry & _ALONE != 0
        if inside and (alone or entry == _SPACE):
            words[count] = mix(state)
            count += 1
            inside = False
        if alone:
            words[count] = mix((_PRIME ^ np.uint64(entry)) * _PRIME)
            count += 1
        elif entry != _SPACE:
            if not inside:
                state = _PRIME
                inside = True
            state = (state ^ np.uint64(entry)) * _PRIME
    if inside:
        words[count] = mix(state)
        count += 1
    return count


@njit(cache=True, nogil=True)
def shingle_document(
    data: Bytes,
    start: int,
    end: int,
    table: Folding,
    ngram: int,
    leading: np.uint64,
    words: Hashes,
    shingles: Hashes,
    first: int,
) -> int:
    """Write the shingles of data[start:end] to shingles[first:]; return the end of them.

    `leading` is leading_factor(ngram); `words` is scratch space of one entry per byte.
    """
    num_words = _hash_words(data, start, end, table, words)
    if num_words == 0:
        return first
    return hash_runs(words, num_words, min(ngram, num_words), leading, shingles, first)  # type: ignore[no-any-return]


@njit(cache=True, nogil=True)
def _shingle_batch(
    data: Bytes, offsets: Offsets, table: Folding, ngram: int
) -> tuple[Hashes, Offsets]:
    num_documents = len(offsets) - 1
    # Pages of these arrays that no word reaches are never touched, so they take no memory.
    size = offsets[num_documents] - offsets[0]
    words = np.empty(size, np.uint64)
    shingles = np.empty(size, np.uint64)
    shingle_offsets = np.zeros(num_documents + 1, np.int64)
    leading = leading_factor(ngram)
    last = 0
    for document in range(num_documents):
        last = shingle_document(
            data, offsets[document], offsets[document + 1], table, ngram, leading,
            words, shingles, last,
        )  # fmt: skip
        shingle_offsets[document + 1] = last
    return shingles[:last].copy(), shingle_offsets


@njit(cache=True, nogil=True)
def _jaccard_rows(
    left: Hashes, left_offsets: Offsets, right: Hashes, right_offsets: Offsets
) -> npt.NDArray[np.float64]:
    result = np.zeros(len(left_offsets) - 1, np.float64)
    for row in range(len(result)):
        a = np.sort(left[left_offsets[row] : left_offsets[row + 1]])
        b = np.sort(right[right_offsets[row] : right_offsets[row + 1]])
        i = j = both = either = 0
        while i < len(a) or j < len(b):
            either += 1
            if j == len(b) or (i < len(a) and a[i] < b[j]):
                value = a[i]
            else:
                value = b[j]
                both += i < len(a) and a[i] == value
            while i < len(a) and a[i] == value:
                i += 1
            while j < len(b) and b[j] == value:
                j += 1
        if either:
            result[row] = both / either
    return result
