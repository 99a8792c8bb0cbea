"""The words of texts by their three definitions (spec 2.1), as spans or as counts."""

from collections import Counter
from functools import cache, lru_cache
from itertools import count

import numpy as np
import numpy.typing as npt
from numba import njit

from udfs.text.byte_masks import readable_blocks
from udfs.text.columns import Bytes, Offsets, read_only
from udfs.text.segments import ENDS_AT_A_TIME, is_white, segment_ends
from udfs.text.unicode import SPACE, WORD, character_properties
from udfs.text.word_breaks import (
    ALPHANUMERIC,
    entry_at,
    word_table,
)
from udfs.text.word_kernels import (
    ALPHABETIC,
    FASTTEXT_WORDS,
    LONGEST_STOP_WORD,
    NON_ALPHABETIC_WORDS,
    SPLIT_CHARACTERS,
    SPLIT_WORDS,
    STARTS_WORD,
    STOP_WORDS,
    count_fasttext_words,
    count_words,
)
from udfs.text.word_kernels import SPACE as WHITE_SPACE

__all__ = [
    "FASTTEXT_WORDS", "NON_ALPHABETIC_WORDS", "SPLIT_CHARACTERS", "SPLIT_WORDS", "STOP_WORDS",
    "WORD_KINDS", "fasttext_word_counts", "word_counts", "word_spans",
]  # fmt: skip

WORD_KINDS = ("not_space", "alphanumeric")
_FEWEST_SLOT_BITS = 8

StopWordTable = tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64], np.uint64, np.uint64, int]


def word_spans(
    data: Bytes, offsets: Offsets, kind: str = "not_space"
) -> tuple[Offsets, Offsets, Offsets]:
    """Return (starts, ends, word_offsets) of the UAX-29 segments that are words of `kind`.

    Word k is data[starts[k]:ends[k]]; text i = data[offsets[i]:offsets[i + 1]] has the words
    word_offsets[i] to word_offsets[i + 1]. "not_space" are all segments but those of White_Space
    characters alone (punctuation counts; BFF), "alphanumeric" are those whose first character is
    str.isalnum (W_uniseg). Raises ValueError for another kind.
    """
    if kind not in WORD_KINDS:
        raise ValueError(f"kind: {kind!r} is unknown; allowed are {', '.join(WORD_KINDS)}")
    return _word_spans(  # type: ignore[no-any-return]
        readable_blocks(data), read_only(offsets), kind == "alphanumeric", word_table()
    )


@njit(cache=True, nogil=True)
def _is_word(data, start, stop, alphanumeric, table):
    if alphanumeric:
        entry, _ = entry_at(data, start, table)
        return entry & ALPHANUMERIC != 0
    return not is_white(data, start, stop, table)


@njit(cache=True, nogil=True)
def _word_spans(data, offsets, alphanumeric, table):
    num_texts = offsets.size - 1
    starts = np.empty((offsets[num_texts] - offsets[0]) // 4 + ENDS_AT_A_TIME, np.int64)
    ends = np.empty(starts.size, np.int64)
    word_offsets = np.zeros(num_texts + 1, np.int64)
    found = np.empty(ENDS_AT_A_TIME, np.int64)
    count = 0
    for text in range(num_texts):
        position, end = offsets[text], offsets[text + 1]
        while position < end:
            if count + ENDS_AT_A_TIME > starts.size:
                starts = np.concatenate((starts, np.empty(starts.size, np.int64)))
                ends = np.concatenate((ends, np.empty(ends.size, np.int64)))
            for stop in found[: segment_ends(data, position, end, table, found)]:
                if _is_word(data, position, stop, alphanumeric, table):
                    starts[count], ends[count] = position, stop
                    count += 1
                position = stop
        word_offsets[text + 1] = count
    return starts[:count], ends[:count], word_offsets


@cache
def _split_table() -> npt.NDArray[np.uint8]:
    """Return what word_counts must know of each code point below code_points.TABLE_SIZE."""
    properties = character_properties()
    table = np.zeros(properties.size, np.uint8)
    alphabetic = [character.isalpha() for character in map(chr, range(properties.size))]
    table[alphabetic] |= ALPHABETIC
    table[properties & WORD != 0] |= STARTS_WORD
    table[ord("_")] = 0
    table[properties & SPACE != 0] |= WHITE_SPACE
    table.flags.writeable = False
    return table


@lru_cache(maxsize=16)
def _stop_word_table(stop_words: tuple[str, ...]) -> StopWordTable:
    """Return what `count_words` looks stop words up in: a hash table without collisions."""
    for word in stop_words:
        if not (word.isascii() and word.islower() and len(word) <= LONGEST_STOP_WORD):
            raise ValueError(
                f"stop_words: {word!r} cannot be looked for; write lower-case ASCII words of at "
                f"most {LONGEST_STOP_WORD} letters"
            )
    listed = Counter(int.from_bytes(word.encode(), "little") for word in stop_words)
    packed = np.array(list(listed), np.uint64)
    random = np.random.default_rng(0)
    for tries in count():
        bits = _FEWEST_SLOT_BITS + tries // 64
        multiplier = random.integers(0, 2**64, dtype=np.uint64) | np.uint64(1)
        places = (packed * multiplier) >> np.uint64(64 - bits)
        if len(set(places.tolist())) == len(packed):
            break
    # No word in UTF-8 has such bytes.
    slots, weights = np.full(1 << bits, ~np.uint64(0)), np.zeros(1 << bits, np.int64)
    slots[places], weights[places] = packed, list(listed.values())
    longest = max(map(len, stop_words), default=0)
    return read_only(slots), read_only(weights), multiplier, np.uint64(64 - bits), longest


def word_counts(
    data: Bytes, offsets: Offsets, stop_words: tuple[str, ...]
) -> npt.NDArray[np.int64]:
    """Return one row per text: the counts behind steps 10, 11, 15, 16, 18 and 26 (spec 2.1).

    FASTTEXT_WORDS: tokens between fastText's separators that start alphanumeric; SPLIT_WORDS:
    str.split() tokens; SPLIT_CHARACTERS: their code points; NON_ALPHABETIC_WORDS: those without
    a str.isalpha character; STOP_WORDS: those that are in `stop_words` when lower-cased. Raises
    ValueError for a stop word that is not lower-case ASCII of at most 8 letters.
    """
    return count_words(  # type: ignore[no-any-return]
        readable_blocks(data), read_only(offsets), _split_table(), _stop_word_table(stop_words)
    )


def fasttext_word_counts(data: Bytes, offsets: Offsets) -> npt.NDArray[np.int64]:
    """Return the column FASTTEXT_WORDS of `word_counts` alone."""
    return count_fasttext_words(  # type: ignore[no-any-return]
        readable_blocks(data), read_only(offsets), _split_table()
    )
