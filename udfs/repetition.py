"""Repetition within a text (step 17, spec 2.6): lines, paragraphs and word n-grams seen twice.

Segments and n-grams are compared by 64-bit hashes: a text of a million words meets a false
repetition with a probability below one in ten million.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from udfs.code_points import character_properties
from udfs.columns import Bytes, Offsets
from udfs.hashing import mix, token_hash
from udfs.lines import strip
from udfs.quirks import follows_reference
from udfs.read_only import read_only
from udfs.word_breaks import RUN, byte_kinds, next_break, word_table
from udfs.words import is_alphanumeric_word

# The fractions in the order in which the reference tests them, the columns of the result.
FRACTIONS = (
    "repeated_lines",
    "repeated_paragraphs",
    "repeated_line_characters",
    "repeated_paragraph_characters",
    *(f"top_{n}_gram" for n in (2, 3, 4)),
    *(f"repeated_{n}_grams" for n in (5, 6, 7, 8, 9, 10)),
)
_LARGEST_TOP_NGRAM, _LARGEST_NGRAM = 4, 10
_NEWLINE, _BLANK = 10, 32
_BASE = np.uint64(0x9E3779B97F4A7C15)
_SEED = np.uint64(0)


def repetition_fractions(
    data: Bytes, offsets: Offsets, quirks: str = "dclm-2024"
) -> npt.NDArray[np.float64]:
    """Return one row per text, one column per entry of FRACTIONS.

    Under "dclm-2024" the first occurrence of a repeated line, paragraph or n-gram (5 to 10 words)
    counts as repeated too; under "none" only the later ones do. Texts without any line have 1.0
    in the first two columns, so that every threshold below 1 drops them; fewer words than n make
    a fraction of 0. Raises ValueError for unknown `quirks`.
    """
    first_counts = follows_reference(quirks)
    return _repetition_fractions(  # type: ignore[no-any-return]
        read_only(data), read_only(offsets), word_table(), character_properties(), first_counts
    )


@njit(cache=True, nogil=True)
def code_points(data, start, end):  # type: ignore[no-untyped-def]
    """Return the number of characters of data[start:end]."""
    count = 0
    for position in range(start, end):
        count += data[position] & 0xC0 != 0x80
    return count


@njit(cache=True, nogil=True)
def largest_step(offsets):  # type: ignore[no-untyped-def]
    """Return the largest difference of neighbours."""
    largest = 0
    for index in range(offsets.size - 1):
        largest = max(largest, offsets[index + 1] - offsets[index])
    return largest


@njit(cache=True, nogil=True)
def table_size(items):  # type: ignore[no-untyped-def]
    """Return the slots of a hash table for `items`, a power of two."""
    size = 16
    while size < 2 * items:
        size *= 2
    return size


@njit(cache=True, nogil=True)
def count_hash(item, keys, counts, size):  # type: ignore[no-untyped-def]
    """Count `item` in the table of `size` slots; return its slot."""
    slot = np.int64(item & np.uint64(size - 1))
    while counts[slot] and keys[slot] != item:
        slot = (slot + 1) & (size - 1)
    keys[slot] = item
    counts[slot] += 1
    return slot


@njit(cache=True, nogil=True)
def _find_segments(data, start, end, newlines, properties, hashes, lengths):  # type: ignore[no-untyped-def]
    """Store hash and length of every segment between runs of `newlines`; return their number."""
    count, position = 0, start
    while position <= end:
        stop = position
        while stop < end and not (
            data[stop] == _NEWLINE
            and (newlines == 1 or (stop + 1 < end and data[stop + 1] == _NEWLINE))
        ):
            stop += 1
        first, last = strip(data, position, stop, properties)
        if first < last:
            hashes[count] = token_hash(data, first, last, _SEED)
            lengths[count] = code_points(data, first, last)
            count += 1
        position = stop + newlines
    return count


@njit(cache=True, nogil=True)
def _repeated_segments(hashes, lengths, count, keys, counts, slots, first_counts):  # type: ignore[no-untyped-def]
    """Return (fraction of the segments, fraction of their characters) that are repetitions."""
    if count == 0:
        return 1.0, 1.0
    size = table_size(count)
    counts[:size] = 0
    repeated, characters, all_characters = 0, 0, 0
    for index in range(count):
        slots[index] = count_hash(hashes[index], keys, counts, size)
        all_characters += lengths[index]
        if counts[slots[index]] > 1 and not first_counts:
            repeated += 1
            characters += lengths[index]
    if first_counts:
        for index in range(count):
            if counts[slots[index]] > 1:
                repeated += 1
                characters += lengths[index]
    if count == 1:
        return 0.0, 0.0
    return repeated / count, characters / all_characters


@njit(cache=True, nogil=True)
def _count_ngrams(hashes, places, num_places, keys, counts, slots, seen):  # type: ignore[no-untyped-def]
    """Count the n-grams at `places`; seen[i] tells whether that at places[i] came before."""
    size = table_size(num_places)
    counts[:size] = 0
    for index in range(num_places):
        slot = count_hash(mix(hashes[places[index]]), keys, counts, size)
        slots[index] = slot
        seen[index] = counts[slot] > 1


@njit(cache=True, nogil=True)
def _top_ngram_characters(n, cumulated, places, num_places, counts, slots):  # type: ignore[no-untyped-def]
    """Return count x length of the n-gram that is most frequent, and longest of those."""
    top, longest = 1, 0
    for index in range(num_places):
        count = counts[slots[index]]
        length = cumulated[places[index] + n] - cumulated[places[index]]
        if count > top or (count == top and length > longest):
            top, longest = count, length
    return top * longest if top > 1 else 0


@njit(cache=True, nogil=True)
def _covered_characters(n, cumulated, places, num_places, counts, slots, seen, first_counts):  # type: ignore[no-untyped-def]
    """Return the characters of the words in any repeated n-gram, each word once."""
    covered, free_from = 0, 0
    for index in range(num_places):
        if seen[index] or (first_counts and counts[slots[index]] > 1):
            place = places[index]
            covered += cumulated[place + n] - cumulated[max(place, free_from)]
            free_from = place + n
    return covered


@njit(cache=True, nogil=True)
def _next_places(places, num_places, counts, slots, last):  # type: ignore[no-untyped-def]
    """Keep the places up to `last` whose n-gram repeats and is followed by one that does.

    Only there can an n-gram of one word more repeat.
    """
    kept = 0
    for index in range(num_places - 1):
        if (
            counts[slots[index]] > 1
            and places[index + 1] == places[index] + 1
            and counts[slots[index + 1]] > 1
            and places[index] <= last
        ):
            places[kept] = places[index]
            kept += 1
    return kept


@njit(cache=True, nogil=True)
def _repeated_ngrams(words, cumulated, num_words, work, keys, counts, first_counts, fractions):  # type: ignore[no-untyped-def]
    """Write the fractions of n = 2 to 10 of one text."""
    hashes, places, slots, seen = work
    if num_words < 2 or cumulated[num_words] == 0:
        return
    hashes[:num_words] = words[:num_words]
    num_places = num_words - 1
    for place in range(num_places):
        places[place] = place
    for n in range(2, _LARGEST_NGRAM + 1):
        for index in range(num_places):
            place = places[index]
            hashes[place] = hashes[place] * _BASE + words[place + n - 1]
        _count_ngrams(hashes, places, num_places, keys, counts, slots, seen)
        if n <= _LARGEST_TOP_NGRAM:
            characters = _top_ngram_characters(n, cumulated, places, num_places, counts, slots)
        else:
            characters = _covered_characters(
                n, cumulated, places, num_places, counts, slots, seen, first_counts
            )
        fractions[n - 2] = characters / cumulated[num_words]
        num_places = _next_places(places, num_places, counts, slots, num_words - n - 1)
        if num_places < 2:
            return


@njit(cache=True, nogil=True)
def _find_words(data, position, end, kinds, table, hashes, cumulated):  # type: ignore[no-untyped-def]
    """Store the hashes of the words and the code points up to each; return their number."""
    count = 0
    cumulated[0] = 0
    while position < end:
        start, kind = position, kinds[data[position]]
        position += 1
        if kind != RUN and data[start] < 0x80 and position < end and data[position] < 0x80:
            continue
        state, chunk = np.uint64(0), np.uint64(data[start])
        if kind == RUN:
            while position < end and kinds[data[position]] == RUN:
                state, chunk = _feed(state, chunk, position - start, data[position])
                position += 1
        plain = position
        if kind != RUN or (position < end and data[position] > _BLANK):
            # What stands before the last letter has no say any more.
            position = next_break(data, plain - 1, end, kinds, table)
        if not is_alphanumeric_word(data, start, kinds, table):
            continue
        length = plain - start
        for rest in range(plain, position):
            state, chunk = _feed(state, chunk, rest - start, data[rest])
            length += data[rest] & 0xC0 != 0x80
        hashes[count] = mix(mix(state ^ chunk) + np.uint64(position - start))
        cumulated[count + 1] = cumulated[count] + length
        count += 1
    return count


@njit(cache=True, nogil=True)
def _feed(state, chunk, index, byte):  # type: ignore[no-untyped-def]
    """Return (state, chunk) of a hash after the byte of that index; chunks have 8 bytes."""
    if index & 7 == 0:
        return mix(state ^ chunk), np.uint64(byte)
    return state, chunk << np.uint64(8) | np.uint64(byte)


@njit(cache=True, nogil=True)
def _repetition_fractions(data, offsets, table, properties, first_counts):  # type: ignore[no-untyped-def]
    num_texts = offsets.size - 1
    fractions = np.zeros((num_texts, 13), np.float64)
    kinds = byte_kinds(table)
    # A line and its newline take two bytes, two words without a character between three ("a²").
    most = largest_step(offsets) * 2 // 3 + 2
    hashes, lengths = np.empty(most, np.uint64), np.empty(most + 1, np.int64)
    words, places = np.empty(most, np.uint64), np.empty(most, np.int64)
    slots, seen = np.empty(most, np.int64), np.empty(most, np.bool_)
    keys, counts = np.empty(table_size(most), np.uint64), np.empty(table_size(most), np.int32)
    for text in range(num_texts):
        start, end = offsets[text], offsets[text + 1]
        for kind in range(2):
            count = _find_segments(data, start, end, kind + 1, properties, hashes, lengths)
            fractions[text, kind], fractions[text, kind + 2] = _repeated_segments(
                hashes, lengths, count, keys, counts, slots, first_counts
            )
        count = _find_words(data, start, end, kinds, table, words, lengths)
        _repeated_ngrams(
            words, lengths, count, (hashes, places, slots, seen), keys, counts,
            first_counts, fractions[text, 4:],
        )  # fmt: skip
    return fractions
