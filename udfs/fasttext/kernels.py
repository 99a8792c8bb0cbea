"""Compiled loops of fastText inference: words of a whole batch to summed input rows.

Imported on first use only, since its signatures compile on import (from cache afterwards).
"""

import numpy as np
from numba import njit, types

from udfs.fasttext.arrays import (
    MAX_NGRAM,
    WORD_NGRAMS,
    Index,
    Model,
    Sums,
    Texts,
    Tree,
    WordCache,
    Words,
    Workspace,
)
from udfs.fasttext.file import find
from udfs.fasttext.ngram_kernels import (
    END_OF_SENTENCE,
    add_row,
    add_rows,
    add_spelled_word,
    add_word_ngrams,
)
from udfs.fasttext.word_cache import cached_row, claim_row, is_new
from udfs.fasttext.word_hashes import BLOCK_WORDS, DELETED, hash_spelled, hash_words, split_block

LABEL_PREFIX = np.frombuffer(b"__label__", np.uint8)
# Longer words are rarely seen twice and would only push others out of the cache.
LONGEST_CACHED_WORD_BYTES = 200

_read_bytes = types.Array(types.uint8, 1, "C", readonly=True)
_uint8s, _uint16s = types.Array(types.uint8, 1, "C"), types.Array(types.uint16, 1, "C")
_int64s, _int32s = types.Array(types.int64, 1, "C"), types.Array(types.int32, 1, "C")
_uint64s, _float64s = types.Array(types.uint64, 1, "C"), types.Array(types.float64, 1, "C")
_float32_rows = types.Array(types.float32, 2, "C")
_float64_rows = types.Array(types.float64, 2, "C")
# A mapped matrix starts wherever the dictionary before it ends.
_mapped_rows = types.Array(types.float32, 2, "C", readonly=True, aligned=False)
_texts = types.NamedTuple((_read_bytes, _int64s, _int64s), Texts)
_index = types.NamedTuple((_uint64s, _int32s, _uint8s, _int32s, _int64s), Index)
_cache = types.NamedTuple((_uint64s, _int32s, _uint8s, _int64s, _uint16s, _float32_rows), WordCache)
_sums = types.NamedTuple((_float64_rows, _int64s), Sums)
_tree = types.NamedUniTuple(_int32s, 2, Tree)


@njit(cache=True, nogil=True)
def _is_label(data, start, stop, byte_class):
    matched = 0
    for position in range(start, stop):
        if byte_class[data[position]] == DELETED:
            continue
        if data[position] != LABEL_PREFIX[matched]:
            return False
        matched += 1
        if matched == LABEL_PREFIX.size:
            return True
    return False


@njit(cache=True, nogil=True)
def _end_line(words, number, last, byte_class, end64):
    """Take out labels and stop at the end-of-sentence token; return (words, whether it ended).

    The library reads a literal "</s>" as the end of the line too. The token is added with span
    0 where the line ends.
    """
    data, stops, spans, _, hashes64 = words
    kept = 0
    for index in range(number):
        if hashes64[index] == end64:
            last = True
            break
        start = stops[index] - spans[index]
        if data[start] == LABEL_PREFIX[0] and _is_label(data, start, stops[index], byte_class):
            continue
        if kept < index:
            stops[kept], spans[kept] = stops[index], spans[index]
            hashes64[kept] = hashes64[index]
        kept += 1
    if last:
        spans[kept] = 0
        hashes64[kept] = end64
        kept += 1
    return kept, last


@njit(cache=True, nogil=True)
def _add_known_words(words, number, model, workspace):
    places, hashes64, keys, ids = workspace.places, words.hashes64, model.keys, model.ids
    found = 0
    for index in range(number):
        row = find(keys, ids, hashes64[index])
        places[found] = row
        found += np.int64(row >= 0)
    add_rows(workspace.total, model.rows, places, found)
    return found


@njit(cache=True, nogil=True)
def _add_cached_rows(number, cache, workspace):
    places, counts = workspace.places, cache.counts
    added = 0
    for index in range(number):
        added += counts[places[index]]
    add_rows(workspace.total, cache.sums, places, number)
    return added


@njit(cache=True, nogil=True)
def _find_rows(words, number, cache, workspace):
    """Store the row of each word of a block, and the numbers of those without one; how many."""
    hashes64, table = words.hashes64, cache.table
    places, missing = workspace.places, workspace.missing
    missed = 0
    for index in range(number):
        row = cached_row(table, hashes64[index])
        places[index], missing[missed] = row, index
        missed += np.int64(row < 0)
    return missed


@njit(cache=True, nogil=True)
def _spell_missing(words, missed, model, cache, workspace, document_sum):
    """Spell words that the cache lacks into spare rows, add long ones to document_sum[0].

    Returns how many rows the long ones had.
    """
    places = workspace.places
    added = 0
    for number in range(missed):
        index = workspace.missing[number]
        if words.spans[index] > LONGEST_CACHED_WORD_BYTES:
            # A page without spaces is one word with thousands of rows: too many for float32.
            added += add_spelled_word(words, index, model, workspace, document_sum, 0)
            # The last row is nothing.
            places[index] = cache.counts.size - 1
            continue
        row = cache.owners.size + number
        for column in range(cache.sums.shape[1]):
            cache.sums[row, column] = 0
        cache.counts[row] = add_spelled_word(words, index, model, workspace, cache.sums, row)
        places[index] = row
    return added


@njit(cache=True, nogil=True)
def _keep_spelled(words, missed, cache, workspace):
    """Take words that were met before into the cache."""
    for number in range(missed):
        index = workspace.missing[number]
        hash64, spare = words.hashes64[index], workspace.places[index]
        if (
            words.spans[index] > LONGEST_CACHED_WORD_BYTES
            or is_new(cache.sightings, cache.state, hash64)
            or cached_row(cache.table, hash64) >= 0
        ):
            continue
        row = claim_row(cache.table, cache.owners, cache.state, hash64)
        cache.counts[row] = cache.counts[spare]
        for column in range(cache.sums.shape[1]):
            cache.sums[row, column] = cache.sums[spare, column]


@njit(cache=True, nogil=True)
def _add_spelled_block(words, number, model, cache, workspace, document_sum):
    """Add a block's words with their character n-grams to the block's total; how many rows.

    In the order of the words, whatever the cache holds: sums of the same numbers in another
    order would differ in their last bits. Rows change hands at the end, as any may be one that
    is still to be added.
    """
    missed = _find_rows(words, number, cache, workspace)
    added = _spell_missing(words, missed, model, cache, workspace, document_sum)
    added += _add_cached_rows(number, cache, workspace)
    _keep_spelled(words, missed, cache, workspace)
    return added


@njit(cache=True, nogil=True)
def _new_words(data):
    return Words(
        data,
        np.empty(BLOCK_WORDS, np.int64),
        np.empty(BLOCK_WORDS + 1, np.int64),
        np.empty(BLOCK_WORDS, np.int64),
        np.empty(BLOCK_WORDS + 1, np.uint64),
    )


@njit(cache=True, nogil=True)
def _new_workspace(texts, model):
    longest = 0
    for document in range(texts.starts.size):
        longest = max(longest, texts.ends[document] - texts.starts[document])
    spells, word_ngrams = model.shape[MAX_NGRAM] > 0, model.shape[WORD_NGRAMS]
    return Workspace(
        np.empty(longest + 2 if spells else 0, np.uint8),
        np.empty(BLOCK_WORDS + model.shape[MAX_NGRAM], np.int64),
        np.empty((BLOCK_WORDS + 1) * max(word_ngrams, 1), np.int64),
        np.empty(BLOCK_WORDS + 2, np.int64),
        np.zeros(max(word_ngrams - 1, 1), np.uint64),
        np.empty((1, model.rows.shape[1]), np.float32),
        np.empty((1, model.rows.shape[1]), np.float32),
    )


# Alone, an array may be writable or aligned and still fit its type; within a tuple it may not.
@njit(types.void(_texts, _read_bytes, _index, _mapped_rows, _cache, _sums), cache=True, nogil=True)
def sum_rows(texts, byte_class, index, rows, cache, found):
    """Add up the input rows of every text i into found.sums[i], and count them.

    The cache has a word from the second time on that it is met.
    """
    model = Model(
        byte_class, index.keys, index.ids, rows, index.kept_bits, index.bucket_rows, index.shape
    )
    sums, counts = found
    words, workspace = _new_words(texts.data), _new_workspace(texts, model)
    end64 = hash_spelled(END_OF_SENTENCE, 0, END_OF_SENTENCE.size, np.zeros(256, np.uint8))
    for document in range(texts.starts.size):
        position, end = texts.starts[document], texts.ends[document]
        document_sum = sums[document : document + 1]
        seen, ended = 0, False
        while not ended:
            number, position = split_block(words, position, end, model.byte_class)
            hash_words(words, number, model.byte_class)
            number, ended = _end_line(words, number, position >= end, model.byte_class, end64)
            # Single precision within a block, double across: the sum of a long page stays exact.
            workspace.total[:] = 0
            if model.shape[MAX_NGRAM] > 0:
                added = _add_spelled_block(words, number, model, cache, workspace, document_sum)
            else:
                added = _add_known_words(words, number, model, workspace)
            if model.shape[WORD_NGRAMS] > 1:
                added += add_word_ngrams(words, number, seen, model, workspace)
            seen += number
            counts[document] += added
            add_row(sums, document, workspace.total, 0)


@njit(types.void(_float32_rows, _float32_rows, _tree, _float64s, _int32s), cache=True, nogil=True)
def walk_tree(hidden, nodes, tree, scores, labels):
    """Find the label with the greatest log probability in the Huffman tree (loss `hs`).

    The search is the library's own: depth first, left before right, cut where the score is
    already below the best, log(p + 1e-5) for each step.
    """
    n_labels = (tree.left.size + 1) // 2
    stack = np.empty(2 * n_labels, np.int32)
    stack_scores = np.empty(2 * n_labels, np.float64)
    for document in range(hidden.shape[0]):
        stack[0], stack_scores[0], depth = 2 * n_labels - 2, 0.0, 1
        best, label = -np.inf, np.int32(-1)
        while depth > 0:
            depth -= 1
            node, score = stack[depth], stack_scores[depth]
            if score < best:
                continue
            if node < n_labels:
                best, label = score, node
                continue
            logit = np.float32(0.0)
            for index in range(hidden.shape[1]):
                logit += nodes[node - n_labels, index] * hidden[document, index]
            right_share = np.float32(1.0 / (1.0 + np.exp(-np.float64(logit))))
            stack[depth] = tree.right[node]
            stack_scores[depth] = score + np.log(right_share + 1e-5)
            stack[depth + 1] = tree.left[node]
            stack_scores[depth + 1] = score + np.log(1.0 - right_share + 1e-5)
            depth += 2
        scores[document], labels[document] = best, label
