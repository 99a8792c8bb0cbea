"""Compiled loops of fastText inference: words of a whole batch to summed input rows.

Imported on first use only, since its signatures compile on import (from cache afterwards).
"""

# Kernels take plain arrays and numbers; numba, not mypy, types them.
import numpy as np
from numba import njit, types

from udfs.fasttext.file import find
from udfs.fasttext.vectors import LANES, add_eight, add_eight_of_four
from udfs.fasttext.word_cache import cached_row, claim_row, is_new
from udfs.fasttext.word_hashes import (
    BLOCK_WORDS,
    DELETED,
    FNV32_BASIS,
    hash32,
    hash_spelled,
    hash_words,
    library_hash,
    split_block,
)

WORD_NGRAM_FACTOR = np.uint64(116049371)
# The library keeps the hash of a word as a signed 32-bit number.
HIGH32, SIGN32 = np.uint64(0xFFFFFFFF00000000), np.uint64(0x80000000)
LESS_THAN, GREATER_THAN = np.uint8(60), np.uint8(62)
END_OF_SENTENCE = np.frombuffer(b"</s>", np.uint8)
LABEL_PREFIX = np.frombuffer(b"__label__", np.uint8)

# Longer words are rarely seen twice and would only push others out of the cache.
LONGEST_CACHED_WORD_BYTES = 200

_read_bytes = types.Array(types.uint8, 1, "C", readonly=True)
_int64s, _int32s = types.Array(types.int64, 1, "C"), types.Array(types.int32, 1, "C")
_uint64s, _uint16s = types.Array(types.uint64, 1, "C"), types.Array(types.uint16, 1, "C")
_uint8s = types.Array(types.uint8, 1, "C")
_float32s = types.Array(types.float32, 2, "C")
_float64s = types.Array(types.float64, 2, "C")
# A mapped matrix starts wherever the dictionary before it ends.
_rows = types.Array(types.float32, 2, "C", readonly=True, aligned=False)


@njit(cache=True, nogil=True)
def _copy_word(data, start, stop, byte_class, word):
    """Write `<`, the word without deleted bytes, and `>` to `word`; return the length."""
    word[0] = LESS_THAN
    length = 1
    for position in range(start, stop):
        if byte_class[data[position]] != DELETED:
            word[length] = data[position]
            length += 1
    word[length] = GREATER_THAN
    return length + 1


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
def _add(totals, place, rows, row):
    width = totals.shape[1]
    in_lanes = width - width % LANES
    for column in range(0, in_lanes, LANES):
        add_eight(totals, place, rows, row, column)
    for column in range(in_lanes, width):
        totals[place, column] += rows[row, column]


@njit(cache=True, nogil=True)
def _add_all(total, rows, places, found):
    """Add the rows places[:found] to total[0], one after the other.

    Four at a time: the running total goes through memory once for all of them.
    """
    width = total.shape[1]
    in_lanes, in_fours = width - width % LANES, found - found % 4
    for at in range(0, in_fours, 4):
        a, b, c, d = places[at], places[at + 1], places[at + 2], places[at + 3]
        for column in range(0, in_lanes, LANES):
            add_eight_of_four(total, 0, rows, a, b, c, d, column)
        for column in range(in_lanes, width):
            three = ((total[0, column] + rows[a, column]) + rows[b, column]) + rows[c, column]
            total[0, column] = three + rows[d, column]
    for at in range(in_fours, found):
        _add(total, 0, rows, places[at])


@njit(cache=True, nogil=True)
def _bucket_row(bucket, n_words, kept_bits, bucket_rows):
    """Return the input row of an n-gram bucket, -1 where pruning dropped it.

    Pruning keeps few of the 2 million buckets: one bit each stays in the second-level cache.
    """
    if kept_bits.size == 0:
        return n_words + bucket
    if kept_bits[bucket >> 3] >> np.uint8(bucket & 7) & np.uint8(1) == 0:
        return np.int64(-1)
    return np.int64(bucket_rows[bucket])


@njit(cache=True, nogil=True)
def _spell(word, length, start, shape, kept_bits, bucket_rows, places, found):
    """Store the rows of the n-grams that begin at word[start]; return (rows, next character)."""
    bucket, minn, maxn, n_words = np.uint32(shape[0]), shape[1], shape[2], shape[4]
    state, stop, size, following = FNV32_BASIS, start, 1, length
    while stop < length and size <= maxn:
        state = hash32(state, word[stop])
        stop += 1
        while stop < length and word[stop] & 0xC0 == 0x80:
            state = hash32(state, word[stop])
            stop += 1
        if size == 1:
            following = stop
        if size >= minn and not (size == 1 and (start == 0 or stop == length)):
            index = np.int64(np.uint32(state) % bucket)
            row = _bucket_row(index, n_words, kept_bits, bucket_rows)
            places[found] = row
            found += np.int64(row >= 0)
        size += 1
    return found, following


@njit(cache=True, nogil=True)
def _end_line(data, byte_class, words, last, stops, spans, hashes64, end64):
    """Take out labels and stop at the end-of-sentence token; return (words, whether it ended).

    The library reads a literal "</s>" as the end of the line too. The token is added with span
    0 where the line ends.
    """
    kept = 0
    for index in range(words):
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
def _add_known_words(words, hashes64, keys, ids, rows, places, total):
    found = 0
    for index in range(words):
        row = find(keys, ids, hashes64[index])
        places[found] = row
        found += np.int64(row >= 0)
    _add_all(total, rows, places, found)
    return found


@njit(cache=True, nogil=True)
def _add_spelled_word(
    data, start, stop, byte_class, hash64, keys, ids, rows, kept_bits, bucket_rows, shape, word,
    places, part, totals, place,
):  # fmt: skip
    """Add a word's own row and those of its character n-grams to totals[place]; how many."""
    # Finding many rows before adding them lets the processor wait for many of them at once.
    places[0] = find(keys, ids, hash64)
    found, added, position = np.int64(places[0] >= 0), 0, 0
    length = _copy_word(data, start, stop, byte_class, word) if start < stop else 0
    while True:
        while position < length and found + shape[2] <= places.size:
            found, position = _spell(
                word, length, position, shape, kept_bits, bucket_rows, places, found
            )
        part[:] = 0
        _add_all(part, rows, places, found)
        _add(totals, place, part, 0)
        added += found
        if position >= length:
            return added
        found = 0


@njit(cache=True, nogil=True)
def _add_rows(places, found, cache_counts, cache_sums, total):
    added = 0
    for index in range(found):
        added += cache_counts[places[index]]
    _add_all(total, cache_sums, places, found)
    return added


@njit(cache=True, nogil=True)
def _find_rows(words, hashes64, cache_table, places, missing):
    """Store the row of each word of a block, and the numbers of those without one; how many."""
    missed = 0
    for index in range(words):
        row = cached_row(cache_table, hashes64[index])
        places[index], missing[missed] = row, index
        missed += np.int64(row < 0)
    return missed


@njit(cache=True, nogil=True)
def _spell_missing(
    data, byte_class, missing, missed, stops, spans, hashes64, keys, ids, rows, kept_bits,
    bucket_rows, shape, first_spare, cache_counts, cache_sums, word, spelled, part, places, sums,
    document,
):  # fmt: skip
    """Spell words that the cache lacks into spare rows, add long ones to sums[document].

    Returns how many rows the long ones had.
    """
    added = 0
    for number in range(missed):
        index = missing[number]
        stop = stops[index]
        start = stop - spans[index]
        if spans[index] > LONGEST_CACHED_WORD_BYTES:
            # A page without spaces is one word with thousands of rows: too many for float32.
            added += _add_spelled_word(
                data, start, stop, byte_class, hashes64[index], keys, ids, rows, kept_bits,
                bucket_rows, shape, word, spelled, part, sums, document,
            )  # fmt: skip
            # The last row is nothing.
            places[index] = cache_counts.size - 1
            continue
        row = first_spare + number
        for column in range(cache_sums.shape[1]):
            cache_sums[row, column] = 0
        cache_counts[row] = _add_spelled_word(
            data, start, stop, byte_class, hashes64[index], keys, ids, rows, kept_bits,
            bucket_rows, shape, word, spelled, part, cache_sums, row,
        )  # fmt: skip
        places[index] = row
    return added


@njit(cache=True, nogil=True)
def _keep_spelled(
    missing, missed, spans, hashes64, cache_table, cache_owners, cache_sightings, cache_state,
    cache_counts, cache_sums, places,
):  # fmt: skip
    """Take words that were met before into the cache."""
    for number in range(missed):
        index = missing[number]
        hash64, spare = hashes64[index], places[index]
        if (
            spans[index] > LONGEST_CACHED_WORD_BYTES
            or is_new(cache_sightings, cache_state, hash64)
            or cached_row(cache_table, hash64) >= 0
        ):
            continue
        row = claim_row(cache_table, cache_owners, cache_state, hash64)
        cache_counts[row] = cache_counts[spare]
        for column in range(cache_sums.shape[1]):
            cache_sums[row, column] = cache_sums[spare, column]


@njit(cache=True, nogil=True)
def _add_word_ngrams(
    data, byte_class, words, stops, spans, seen, chains, shape, kept_bits, bucket_rows, rows,
    places, total,
):  # fmt: skip
    """Add the rows of the word n-grams that end in this block; chains[k] began k words back."""
    no_bytes_deleted = np.zeros(256, np.uint8)
    end32 = library_hash(END_OF_SENTENCE, 0, END_OF_SENTENCE.size, no_bytes_deleted)
    bucket = np.uint64(shape[0])
    longest = chains.size
    found = 0
    for index in range(words):
        hashed = end32
        if spans[index] > 0:
            start = stops[index] - spans[index]
            hashed = library_hash(data, start, stops[index], byte_class)
        signed = hashed | HIGH32 if hashed & SIGN32 else hashed
        for back in range(min(seen, longest) - 1, -1, -1):
            chain = chains[back] * WORD_NGRAM_FACTOR + signed
            row = _bucket_row(np.int64(chain % bucket), shape[4], kept_bits, bucket_rows)
            places[found] = row
            found += np.int64(row >= 0)
            if back + 1 < longest:
                chains[back + 1] = chain
        chains[0] = signed
        seen += 1
    _add_all(total, rows, places, found)
    return found


@njit(
    types.void(
        _read_bytes, _int64s, _int64s, _read_bytes, _uint64s, _int32s, _rows, _read_bytes, _int32s,
        _int64s, _uint64s, _int32s, _uint8s, _int64s, _uint16s, _float32s, _float64s, _int64s,
    ),
    cache=True, nogil=True,
)  # fmt: skip
def sum_rows(
    data, starts, ends, byte_class, keys, ids, rows, kept_bits, bucket_rows, shape,
    cache_table, cache_owners, cache_sightings, cache_state, cache_counts, cache_sums, sums, counts,
):  # fmt: skip
    """Add up the input rows of every document data[starts[i]:ends[i]] into sums[i], counts[i].

    `shape` is (bucket, minn, maxn, word n-grams, words). The cache maps the 64-bit hash of a
    word to the sum of its row and its character n-grams' rows, from the second time on that the
    word is met. Behind its rows are spare ones for the words of a block, and a last one of zeros.
    """
    stops, spans = np.empty(BLOCK_WORDS, np.int64), np.empty(BLOCK_WORDS + 1, np.int64)
    holes, hashes64 = np.empty(BLOCK_WORDS, np.int64), np.empty(BLOCK_WORDS + 1, np.uint64)
    end64 = hash_spelled(END_OF_SENTENCE, 0, END_OF_SENTENCE.size, np.zeros(256, np.uint8))
    places = np.empty((BLOCK_WORDS + 1) * max(shape[3], 1), np.int64)
    missing = np.empty(BLOCK_WORDS + 2, np.int64)
    spelled = np.empty(BLOCK_WORDS + shape[2], np.int64)
    longest = 0
    for document in range(starts.size):
        longest = max(longest, ends[document] - starts[document])
    word = np.empty(longest + 2 if shape[2] > 0 else 0, np.uint8)
    chains = np.zeros(max(shape[3] - 1, 1), np.uint64)
    # Single precision within a block, double across: the sum of a long page stays exact.
    total = np.empty((1, rows.shape[1]), np.float32)
    part = np.empty((1, rows.shape[1]), np.float32)
    for document in range(starts.size):
        position, end, seen, ended = starts[document], ends[document], 0, False
        while not ended:
            words, position = split_block(data, position, end, byte_class, stops, spans, holes)
            hash_words(data, byte_class, words, stops, spans, holes, hashes64)
            words, ended = _end_line(
                data, byte_class, words, position >= end, stops, spans, hashes64, end64
            )
            total[:] = 0
            if shape[2] > 0:
                # In the order of the words, whatever the cache holds: sums of the same numbers in
                # another order would differ in their last bits. Rows change hands at the end, as
                # any may be one that is still to be added.
                missed = _find_rows(words, hashes64, cache_table, places, missing)
                added = _spell_missing(
                    data, byte_class, missing, missed, stops, spans, hashes64, keys, ids, rows,
                    kept_bits, bucket_rows, shape, cache_owners.size, cache_counts, cache_sums,
                    word, spelled, part, places, sums, document,
                )  # fmt: skip
                added += _add_rows(places, words, cache_counts, cache_sums, total)
                _keep_spelled(
                    missing, missed, spans, hashes64, cache_table, cache_owners, cache_sightings,
                    cache_state, cache_counts, cache_sums, places,
                )  # fmt: skip
            else:
                added = _add_known_words(words, hashes64, keys, ids, rows, places, total)
            if shape[3] > 1:
                added += _add_word_ngrams(
                    data, byte_class, words, stops, spans, seen, chains, shape, kept_bits,
                    bucket_rows, rows, places, total,
                )  # fmt: skip
            seen += words
            counts[document] += added
            _add(sums, document, total, 0)


@njit(
    types.void(_float32s, _float32s, _int32s, _int32s, types.int64,
               types.Array(types.float64, 1, "C"), _int32s),
    cache=True, nogil=True,
)  # fmt: skip
def walk_tree(hidden, nodes, left, right, n_labels, scores, labels):
    """Find the label with the greatest log probability in the Huffman tree (loss `hs`).

    The search is the library's own: depth first, left before right, cut where the score is
    already below the best, log(p + 1e-5) for each step.
    """
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
            stack[depth] = right[node]
            stack_scores[depth] = score + np.log(right_share + 1e-5)
            stack[depth + 1] = left[node]
            stack_scores[depth + 1] = score + np.log(1.0 - right_share + 1e-5)
            depth += 2
        scores[document], labels[document] = best, label
