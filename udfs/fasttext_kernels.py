"""Compiled loops of fastText inference: words of a whole batch to summed input rows.

Imported on first use only, since its signatures compile on import (from cache afterwards).
"""

import numpy as np
from numba import njit, types

# fastText's 32-bit FNV-1a, over sign-extended bytes, names n-gram buckets.
FNV32_BASIS, FNV32_PRIME = np.uint64(2166136261), np.uint64(16777619)
FNV64_BASIS, FNV64_PRIME = np.uint64(14695981039346656037), np.uint64(1099511628211)
WORD_NGRAM_FACTOR = np.uint64(116049371)
LOW32, HIGH32 = np.uint64(0xFFFFFFFF), np.uint64(0xFFFFFFFF00000000)
SIGN32, SIGN8_EXTENSION = np.uint64(0x80000000), np.uint64(0xFFFFFF00)
LESS_THAN, GREATER_THAN = np.uint8(60), np.uint8(62)
END_OF_SENTENCE = np.frombuffer(b"</s>", np.uint8)
LABEL_PREFIX = np.frombuffer(b"__label__", np.uint8)

# Classes of bytes in `byte_class`.
ORDINARY, SEPARATOR, DELETED, MAYBE_SEPARATOR = 0, 1, 2, 3
# Longer words are rarely seen twice and would only push others out of the cache.
LONGEST_CACHED_WORD_BYTES = 48

_read_bytes = types.Array(types.uint8, 1, "C", readonly=True)
_int64s, _int32s = types.Array(types.int64, 1, "C"), types.Array(types.int32, 1, "C")
_uint64s = types.Array(types.uint64, 1, "C")
_float32s = types.Array(types.float32, 2, "C")
# A mapped matrix starts wherever the dictionary before it ends.
_rows = types.Array(types.float32, 2, "C", readonly=True, aligned=False)


@njit(cache=True, nogil=True)
def _hash32(hash32, byte):
    wide = np.uint64(byte)
    if byte >= 128:
        wide |= SIGN8_EXTENSION
    return ((hash32 ^ wide) * FNV32_PRIME) & LOW32


@njit(cache=True, nogil=True)
def _hash64(hash64, byte):
    return (hash64 ^ np.uint64(byte)) * FNV64_PRIME


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
    position, entry, label = np.int64(0), np.int32(0), 0
    while position < raw.size:
        start, hash64 = position, FNV64_BASIS
        while raw[position] != 0:
            hash64 = _hash64(hash64, raw[position])
            position += 1
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
def _separator_width(data, position, end):
    """Bytes of the line separator U+0085, U+2028 or U+2029 at `position`; 0 for another one."""
    if data[position] == 0xC2:
        return 2 if position + 1 < end and data[position + 1] == 0x85 else 0
    if position + 2 < end and data[position + 1] == 0x80:
        return 3 if data[position + 2] == 0xA8 or data[position + 2] == 0xA9 else 0
    return 0


@njit(cache=True, nogil=True)
def _next_word(data, position, end, byte_class):
    """Return (start, stop, kept bytes, 32-bit hash, 64-bit hash); no kept bytes: no more words."""
    while position < end:
        kind = byte_class[data[position]]
        if kind == ORDINARY:
            break
        step = 1
        if kind == MAYBE_SEPARATOR:
            step = _separator_width(data, position, end)
            if step == 0:
                break
        position += step
    start, length = position, 0
    hash32, hash64 = FNV32_BASIS, FNV64_BASIS
    while position < end:
        byte = data[position]
        kind = byte_class[byte]
        if kind != ORDINARY:
            if kind == SEPARATOR:
                break
            if kind == DELETED:
                position += 1
                continue
            if _separator_width(data, position, end) > 0:
                break
        hash32 = _hash32(hash32, byte)
        hash64 = _hash64(hash64, byte)
        length += 1
        position += 1
    return start, position, length, hash32, hash64


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
    # Indices, not row views: those cost two atomic reference counts each. Blocks of a constant
    # width become plain vector additions; a run-time width does not.
    width = totals.shape[1]
    blocked = width - width % 8
    for start in range(0, blocked, 8):
        for index in range(8):
            totals[place, start + index] += rows[row, start + index]
    for index in range(blocked, width):
        totals[place, index] += rows[row, index]


@njit(cache=True, nogil=True)
def _bucket_row(bucket, n_words, bucket_rows):
    """Return the input row of an n-gram bucket, -1 where pruning dropped it."""
    if bucket_rows.size == 0:
        return n_words + bucket
    return np.int64(bucket_rows[bucket])


@njit(cache=True, nogil=True)
def _add_subwords(word, length, minn, maxn, bucket, n_words, bucket_rows, rows, totals, place):
    """Add the rows of the character n-grams of `<word>` to `totals[place]`; return how many."""
    added = 0
    for start in range(length):
        if word[start] & 0xC0 == 0x80:
            continue
        hash32, stop, size = FNV32_BASIS, start, 1
        while stop < length and size <= maxn:
            hash32 = _hash32(hash32, word[stop])
            stop += 1
            while stop < length and word[stop] & 0xC0 == 0x80:
                hash32 = _hash32(hash32, word[stop])
                stop += 1
            if size >= minn and not (size == 1 and (start == 0 or stop == length)):
                index = np.int64(np.uint32(hash32) % np.uint32(bucket))
                row = _bucket_row(index, n_words, bucket_rows)
                if row >= 0:
                    _add(totals, place, rows, row)
                    added += 1
            size += 1
    return added


@njit(
    types.void(
        _read_bytes, _int64s, _int64s, _read_bytes, _uint64s, _int32s, _rows, _int32s, _int64s,
        _uint64s, _int32s, _float32s, _float32s, _int32s,
    ),
    cache=True, nogil=True,
)  # fmt: skip
def sum_rows(
    data, starts, ends, byte_class, keys, ids, rows, bucket_rows, shape,
    cache_keys, cache_counts, cache_sums, sums, counts,
):  # fmt: skip
    """Add up the input rows of every document data[starts[i]:ends[i]] into sums[i], counts[i].

    `shape` is (bucket, minn, maxn, word n-grams, words). The cache maps the 64-bit hash of a
    word, in one slot, to the sum of its row and its character n-grams' rows.
    """
    bucket, minn, maxn, order, n_words = shape[0], shape[1], shape[2], shape[3], shape[4]
    eos32, eos64 = FNV32_BASIS, FNV64_BASIS
    for byte in END_OF_SENTENCE:
        eos32, eos64 = _hash32(eos32, byte), _hash64(eos64, byte)
    cache_mask = np.uint64(cache_keys.size - 1)
    longest = 0
    for document in range(starts.size):
        longest = max(longest, ends[document] - starts[document])
    word = np.empty(longest + 2 if maxn > 0 else 2, np.uint8)
    chains = np.zeros(max(order - 1, 1), np.uint64)
    for document in range(starts.size):
        position, end, seen, count = starts[document], ends[document], 0, 0
        done = False
        while not done:
            start, position, length, hash32, hash64 = _next_word(data, position, end, byte_class)
            if length == 0 or (length == 4 and hash64 == eos64):
                # The library ends the line here, at a literal "</s>" as well.
                hash32, hash64, done = eos32, eos64, True
            elif data[start] == LABEL_PREFIX[0] and _is_label(data, start, position, byte_class):
                continue
            if maxn <= 0 or done:
                row = _find(keys, ids, hash64)
                if row >= 0:
                    _add(sums, document, rows, row)
                    count += 1
            elif length > LONGEST_CACHED_WORD_BYTES:
                row = _find(keys, ids, hash64)
                if row >= 0:
                    _add(sums, document, rows, row)
                    count += 1
                size = _copy_word(data, start, position, byte_class, word)
                count += _add_subwords(
                    word, size, minn, maxn, bucket, n_words, bucket_rows, rows, sums, document
                )
            else:
                slot = _slot(hash64, cache_mask)
                if cache_keys[slot] != hash64:
                    cache_keys[slot] = hash64
                    cache_sums[slot, :] = 0
                    row = _find(keys, ids, hash64)
                    if row >= 0:
                        _add(cache_sums, slot, rows, row)
                    size = _copy_word(data, start, position, byte_class, word)
                    cache_counts[slot] = np.int32(row >= 0) + _add_subwords(
                        word, size, minn, maxn, bucket, n_words, bucket_rows, rows, cache_sums, slot
                    )
                _add(sums, document, cache_sums, slot)
                count += cache_counts[slot]
            if order > 1:
                # The library keeps the word hash as a signed 32-bit number.
                signed = hash32 | HIGH32 if hash32 & SIGN32 else hash32
                for back in range(1, min(seen, order - 1) + 1):
                    place = (seen - back) % (order - 1)
                    chains[place] = chains[place] * WORD_NGRAM_FACTOR + signed
                    index = np.int64(chains[place] % np.uint64(bucket))
                    row = _bucket_row(index, n_words, bucket_rows)
                    if row >= 0:
                        _add(sums, document, rows, row)
                        count += 1
                chains[seen % (order - 1)] = signed
                seen += 1
        counts[document] = count


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
            width = 1 if punctuation else _white_space_width(data, position, end)
            found[document] = width == 0
            position += width
    return found
