"""Compiled loops over n-grams: character n-grams of a word, word n-grams of a block, their rows."""

import numpy as np
from numba import njit

from udfs.fasttext.arrays import BUCKETS, DICTIONARY_WORDS, MAX_NGRAM, MIN_NGRAM
from udfs.fasttext.file import find
from udfs.fasttext.vectors import LANES, add_eight, add_eight_of_four
from udfs.fasttext.word_hashes import DELETED, FNV32_BASIS, hash32, library_hash

WORD_NGRAM_FACTOR = np.uint64(116049371)
# The library keeps the hash of a word as a signed 32-bit number.
HIGH32, SIGN32 = np.uint64(0xFFFFFFFF00000000), np.uint64(0x80000000)
LESS_THAN, GREATER_THAN = np.uint8(60), np.uint8(62)
END_OF_SENTENCE = np.frombuffer(b"</s>", np.uint8)


@njit(cache=True, nogil=True)
def add_row(totals, place, rows, row):
    """Add rows[row] to totals[place]."""
    width = totals.shape[1]
    in_lanes = width - width % LANES
    for column in range(0, in_lanes, LANES):
        add_eight(totals, place, rows, row, column)
    for column in range(in_lanes, width):
        totals[place, column] += rows[row, column]


@njit(cache=True, nogil=True)
def add_rows(total, rows, places, found):
    """Add the rows places[:found] to total[0], one after the other.

    Four at a time: the running total goes through memory once for all of them.
    """
    width = total.shape[1]
    in_lanes, in_fours = width - width % LANES, found - found % 4
    for at in range(0, in_fours, 4):
        a, b, c, d = places[at], places[at + 1], places[at + 2], places[at + 3]
        for column in range(0, in_lanes, LANES):
            add_eight_of_four(total, 0, rows, (a, b, c, d), column)
        for column in range(in_lanes, width):
            three = ((total[0, column] + rows[a, column]) + rows[b, column]) + rows[c, column]
            total[0, column] = three + rows[d, column]
    for at in range(in_fours, found):
        add_row(total, 0, rows, places[at])


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
def _bucket_row(bucket, n_words, kept_bits, bucket_rows):
    """Return the input row of an n-gram bucket, -1 where pruning dropped it.

    Pruning keeps few of the 2 million buckets: one bit each stays in the second-level cache.
    """
    if kept_bits.size == 0:
        return n_words + bucket
    if kept_bits[bucket >> 3] >> np.uint8(bucket & 7) & np.uint8(1) == 0:
        return np.int64(-1)
    return np.int64(bucket_rows[bucket])


# Inlined: each call with a tuple would count references of all its arrays.
@njit(cache=True, nogil=True, inline="always")
def _spell(word, length, start, model, places, found):
    """Store the rows of the n-grams that begin at word[start]; return (rows, next character)."""
    minn, maxn = model.shape[MIN_NGRAM], model.shape[MAX_NGRAM]
    bucket, n_words = np.uint32(model.shape[BUCKETS]), model.shape[DICTIONARY_WORDS]
    kept_bits, bucket_rows = model.kept_bits, model.bucket_rows
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
def add_spelled_word(words, index, model, workspace, totals, place):
    """Add a word's own row and those of its character n-grams to totals[place]; how many."""
    places, word = workspace.spelled, workspace.word
    stop = words.stops[index]
    start = stop - words.spans[index]
    # Finding many rows before adding them lets the processor wait for many of them at once.
    places[0] = find(model.keys, model.ids, words.hashes64[index])
    found, added, position, length = np.int64(places[0] >= 0), 0, 0, 0
    if start < stop:
        length = _copy_word(words.data, start, stop, model.byte_class, word)
    while True:
        while position < length and found + model.shape[MAX_NGRAM] <= places.size:
            found, position = _spell(word, length, position, model, places, found)
        workspace.part[:] = 0
        add_rows(workspace.part, model.rows, places, found)
        add_row(totals, place, workspace.part, 0)
        added += found
        if position >= length:
            return added
        found = 0


@njit(cache=True, nogil=True)
def add_word_ngrams(words, number, seen, model, workspace):
    """Add the rows of the word n-grams that end in this block to the block's total; how many.

    workspace.chains[k] began k words back; `seen` words of the text came before this block.
    """
    no_bytes_deleted = np.zeros(256, np.uint8)
    end32 = library_hash(END_OF_SENTENCE, 0, END_OF_SENTENCE.size, no_bytes_deleted)
    data, stops, spans, _, _ = words
    chains, places, byte_class = workspace.chains, workspace.places, model.byte_class
    bucket, n_words = np.uint64(model.shape[BUCKETS]), model.shape[DICTIONARY_WORDS]
    kept_bits, bucket_rows, longest = model.kept_bits, model.bucket_rows, chains.size
    found = 0
    for index in range(number):
        hashed = end32
        if spans[index] > 0:
            start = stops[index] - spans[index]
            hashed = library_hash(data, start, stops[index], byte_class)
        signed = hashed | HIGH32 if hashed & SIGN32 else hashed
        for back in range(min(seen, longest) - 1, -1, -1):
            chain = chains[back] * WORD_NGRAM_FACTOR + signed
            row = _bucket_row(np.int64(chain % bucket), n_words, kept_bits, bucket_rows)
            places[found] = row
            found += np.int64(row >= 0)
            if back + 1 < longest:
                chains[back + 1] = chain
        chains[0] = signed
        seen += 1
    add_rows(workspace.total, model.rows, places, found)
    return found
