"""Compiled loops of fastText inference: words of a whole batch to summed input rows.

Imported on first use only, since its signatures compile on import (from cache afterwards).
"""

# Kernels take plain arrays and numbers; numba, not mypy, types them.
# mypy: disable-error-code="no-untyped-def,no-untyped-call,assignment"

import numpy as np
from numba import njit, types

from udfs.fasttext_words import (
    DELETED,
    FNV32_BASIS,
    hash32,
    hash_spelled,
    hash_words,
    library_hash,
    split_block,
)
from udfs.vector_rows import LANES, add_eight, add_eight_of_four, or_of_equal

WORD_NGRAM_FACTOR = np.uint64(116049371)
# The library keeps the hash of a word as a signed 32-bit number.
HIGH32, SIGN32 = np.uint64(0xFFFFFFFF00000000), np.uint64(0x80000000)
LESS_THAN, GREATER_THAN = np.uint8(60), np.uint8(62)
END_OF_SENTENCE = np.frombuffer(b"</s>", np.uint8)
LABEL_PREFIX = np.frombuffer(b"__label__", np.uint8)

# Longer words are rarely seen twice and would only push others out of the cache.
LONGEST_CACHED_WORD_BYTES = 48
# An entry of the cache's table: the hash without its low bits, which are the row plus 1.
CACHE_ROW_BITS = 20
CACHE_ROW_MASK = np.uint64((1 << CACHE_ROW_BITS) - 1)
# Slots that a word may lie in: a cache line of them.
CACHE_WAYS = LANES
# Words looked up together: few enough to stay in the first-level cache.
BLOCK_WORDS = 512

_read_bytes = types.Array(types.uint8, 1, "C", readonly=True)
_int64s, _int32s = types.Array(types.int64, 1, "C"), types.Array(types.int32, 1, "C")
_uint64s, _uint16s = types.Array(types.uint64, 1, "C"), types.Array(types.uint16, 1, "C")
_uint8s = types.Array(types.uint8, 1, "C")
_float32s = types.Array(types.float32, 2, "C")
_float64s = types.Array(types.float64, 2, "C")
# A mapped matrix starts wherever the dictionary before it ends.
_rows = types.Array(types.float32, 2, "C", readonly=True, aligned=False)


@njit(cache=True, nogil=True)
def _slot(hash64, mask):
    return np.int64((hash64 ^ (hash64 >> np.uint64(29))) & mask)


@njit(types.int64(_read_bytes, types.int64, types.int64), cache=True, nogil=True)
def dictionary_end(raw, position, entries):
    """Return where the dictionary that begins at `position` ends, or -1 when the file is short."""
    for _ in range(entries):
        while position < raw.size and raw[position] != 0:
            position += 1
        position += 10
    return position if position <= raw.size else -1


@njit(types.void(_read_bytes, _uint64s, _int32s, _int64s, _int64s), cache=True, nogil=True)
def index_dictionary(raw, keys, ids, label_starts, label_counts):
    """Fill the open-addressing table word hash -> word id, and where each label's text begins."""
    mask = np.uint64(keys.size - 1)
    ordinary = np.zeros(256, np.uint8)
    position, entry, label = np.int64(0), np.int32(0), 0
    while position < raw.size:
        start = position
        while raw[position] != 0:
            position += 1
        hash64 = hash_spelled(raw, start, position, ordinary)
        count = np.int64(0)
        for byte in range(8):
            count |= np.int64(raw[position + 1 + byte]) << (8 * byte)
        if raw[position + 9] == 1:
            label_starts[label] = start
            label_counts[label] = count
            label += 1
        else:
            slot = _slot(hash64, mask)
            while ids[slot] >= 0:
                slot = np.int64(np.uint64(slot + 1) & mask)
            keys[slot] = hash64
            ids[slot] = entry
        entry += np.int32(1)
        position += 10


@njit(cache=True, nogil=True)
def _find(keys, ids, hash64):
    mask = np.uint64(keys.size - 1)
    slot = _slot(hash64, mask)
    while ids[slot] >= 0:
        if keys[slot] == hash64:
            return np.int64(ids[slot])
        slot = np.int64(np.uint64(slot + 1) & mask)
    return np.int64(-1)


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
        row = _find(keys, ids, hashes64[index])
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
    places[0] = _find(keys, ids, hash64)
    found, added, position = np.int64(places[0] >= 0), 0, 0
    length = _copy_word(data, start, stop, byte_class, word) if start < stop else 0
    while True:
        while position < length and found + shape[2] <= places.size:
            found, position = _spell(
                word, length, position, shape, kept_bits, bucket_rows, places, found
            )
        part[:] = 0
        _add_all(part, rows, places, found)
        for column in range(part.shape[1]):
            totals[place, column] += part[0, column]
        added += found
        if position >= length:
            return added
        found = 0


@njit(cache=True, nogil=True)
def _cached_row(table, hash64):
    """Return the row of a word that the cache holds, else -1."""
    first = _slot(hash64, np.uint64(table.size - CACHE_WAYS))
    # Without a branch on where it is: a wrong guess would wait for memory.
    return np.int64(or_of_equal(table, first, hash64, CACHE_ROW_BITS) & CACHE_ROW_MASK) - 1


@njit(cache=True, nogil=True)
def _is_new(sightings, cache_state, hash64):
    """Say whether a word is met for the first time, as far as is remembered, and remember it.

    Half of all words are never met again; they are not worth a row.
    """
    place = np.int64((hash64 >> np.uint64(20)) & np.uint64(8 * sightings.size - 1))
    bit = np.uint8(1 << (place & 7))
    if sightings[place >> 3] & bit:
        return False
    if cache_state[1] == 2 * sightings.size:
        # A quarter of the bits is set: one word in four would pass for known.
        sightings[:] = 0
        cache_state[1] = 0
    sightings[place >> 3] |= bit
    cache_state[1] += 1
    return True


@njit(cache=True, nogil=True)
def _claim_row(table, owners, cache_state, hash64):
    """Return the row where a word's sum may lie from now on.

    A word may lie in any slot of a cache line. Rows are taken in the order of first use, so that
    frequent words share few pages of memory, and then again from the first on; where all slots
    are taken, the word of one gives way.
    """
    first = _slot(hash64, np.uint64(table.size - CACHE_WAYS))
    slot = first + np.int64(hash64 >> np.uint64(40)) % CACHE_WAYS
    for way in range(CACHE_WAYS):
        if table[first + way] == 0:
            slot = first + way
            break
    row = np.int64(table[slot] & CACHE_ROW_MASK) - 1
    if row < 0:
        row = cache_state[0]
        cache_state[0] = (row + 1) % owners.size
        if owners[row] > 0:
            table[owners[row] - 1] = 0
        owners[row] = slot + 1
    table[slot] = (hash64 & ~CACHE_ROW_MASK) | np.uint64(row + 1)
    return row


@njit(cache=True, nogil=True)
def _add_rows(places, found, cache_counts, cache_sums, total):
    added = 0
    for index in range(found):
        added += cache_counts[places[index]]
    _add_all(total, cache_sums, places, found)
    return added


@njit(cache=True, nogil=True)
def _find_rows(words, spans, hashes64, cache_table, places, missing):
    """Store the rows of a block's cached words, and the numbers of the others; how many of each.

    Finding all rows before adding them lets the processor wait for many of them at once.
    """
    found, missed = 0, 0
    for index in range(words):
        row = _cached_row(cache_table, hashes64[index])
        places[found], missing[missed] = row, index
        found += np.int64(row >= 0)
        missed += np.int64(row < 0)
    return found, missed


@njit(cache=True, nogil=True)
def _add_missing_words(
    data, byte_class, missing, missed, stops, spans, hashes64, keys, ids, rows, kept_bits,
    bucket_rows, shape, cache_table, cache_owners, cache_sightings, cache_state, cache_counts,
    cache_sums, word, places, part, total, sums, document,
):  # fmt: skip
    """Add words that the cache did not hold to `total`, and long ones to sums[document]."""
    added = 0
    for number in range(missed):
        index = missing[number]
        hash64, stop = hashes64[index], stops[index]
        start = stop - spans[index]
        if spans[index] > LONGEST_CACHED_WORD_BYTES:
            # A page without spaces is one word with thousands of rows: too many for float32.
            added += _add_spelled_word(
                data, start, stop, byte_class, hash64, keys, ids, rows, kept_bits, bucket_rows,
                shape, word, places, part, sums, document,
            )  # fmt: skip
            continue
        # The block may have held the word before.
        row = _cached_row(cache_table, hash64)
        if row < 0:
            row = cache_counts.size - 1
            if not _is_new(cache_sightings, cache_state, hash64):
                row = _claim_row(cache_table, cache_owners, cache_state, hash64)
            for column in range(cache_sums.shape[1]):
                cache_sums[row, column] = 0
            cache_counts[row] = _add_spelled_word(
                data, start, stop, byte_class, hash64, keys, ids, rows, kept_bits, bucket_rows,
                shape, word, places, part, cache_sums, row,
            )  # fmt: skip
        added += cache_counts[row]
        _add(total, 0, cache_sums, row)
    return added


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
    word is met; its last row is for words that are not kept.
    """
    stops, spans = np.empty(BLOCK_WORDS, np.int64), np.empty(BLOCK_WORDS + 1, np.int64)
    holes, hashes64 = np.empty(BLOCK_WORDS, np.int64), np.empty(BLOCK_WORDS + 1, np.uint64)
    end64 = hash_spelled(END_OF_SENTENCE, 0, END_OF_SENTENCE.size, np.zeros(256, np.uint8))
    places = np.empty((BLOCK_WORDS + 1) * max(shape[3], 1) + shape[2], np.int64)
    missing = np.empty(BLOCK_WORDS + 1, np.int64)
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
            words, position = split_block(
                data, position, end, byte_class, stops, spans, holes
            )
            hash_words(data, byte_class, words, stops, spans, holes, hashes64)
            words, ended = _end_line(
                data, byte_class, words, position >= end, stops, spans, hashes64, end64
            )
            total[:] = 0
            if shape[2] > 0:
                found, missed = _find_rows(words, spans, hashes64, cache_table, places, missing)
                added = _add_rows(places, found, cache_counts, cache_sums, total)
                added += _add_missing_words(
                    data, byte_class, missing, missed, stops, spans, hashes64, keys, ids, rows,
                    kept_bits, bucket_rows, shape, cache_table, cache_owners, cache_sightings,
                    cache_state, cache_counts, cache_sums, word, places, part, total, sums,
                    document,
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
            for column in range(total.shape[1]):
                sums[document, column] += total[0, column]


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


@njit(cache=True, nogil=True)
def _white_space_width(data, position, end):
    """Bytes of the white-space character (Python's `str.isspace`) at `position`, 0 for others."""
    byte = data[position]
    if byte < 0x80:
        return 1 if byte == 32 or 9 <= byte <= 13 or 28 <= byte <= 31 else 0
    if byte == 0xC2:
        return 2 if data[position + 1] == 0x85 or data[position + 1] == 0xA0 else 0
    if byte == 0xE3:
        return 3 if data[position + 1] == 0x80 and data[position + 2] == 0x80 else 0
    if byte == 0xE1:
        return 3 if data[position + 1] == 0x9A and data[position + 2] == 0x80 else 0
    if byte != 0xE2:
        return 0
    middle, last = data[position + 1], data[position + 2]
    if middle == 0x80:
        return 3 if last <= 0x8A or 0xA8 <= last <= 0xA9 or last == 0xAF else 0
    return 3 if middle == 0x81 and last == 0x9F else 0


@njit(types.void(_read_bytes, _int64s, _int64s), cache=True, nogil=True)
def strip(data, starts, ends):
    """Move starts[i] and ends[i] inwards past white space, as Python's `str.strip` does."""
    for document in range(starts.size):
        start, end = starts[document], ends[document]
        while start < end:
            width = _white_space_width(data, start, end)
            if width == 0:
                break
            start += width
        while start < end:
            last = end - 1
            while last > start and data[last] & 0xC0 == 0x80:
                last -= 1
            if _white_space_width(data, last, end) == 0:
                break
            end = last
        starts[document], ends[document] = start, end


@njit(types.boolean[::1](_read_bytes, _int64s, _int64s), cache=True, nogil=True)
def has_letters(data, starts, ends):
    """Tell which documents hold anything but ASCII punctuation and white space."""
    found = np.zeros(starts.size, np.bool_)
    for document in range(starts.size):
        position, end = starts[document], ends[document]
        while position < end and not found[document]:
            byte = data[position]
            punctuation = 33 <= byte <= 126 and not (
                48 <= byte <= 57 or 65 <= byte <= 90 or 97 <= byte <= 122
            )
            found[document] = not (punctuation or byte == 32 or 9 <= byte <= 13)
            position += 1
    return found
