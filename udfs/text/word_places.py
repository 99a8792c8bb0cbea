"""Hashes of the words of texts, and the bytes where each begins and ends."""

import numpy as np
import numpy.typing as npt
from numba import njit

from udfs.text.columns import Bytes, Offsets
from udfs.text.hashing import Hashes, mix
from udfs.text.unicode import code_point_at

# In a table of code points: no part of a word.
SEPARATOR = -1
# Longer ones are no tag or entity.
_TAG_SIZE_BYTES, _ENTITY_SIZE_BYTES = 300, 10
_AMPERSAND, _HASH, _SEMICOLON = ord("&"), ord("#"), ord(";")
_LESS, _GREATER, _SLASH, _EXCLAMATION = ord("<"), ord(">"), ord("/"), ord("!")
_NEW_LINE = ord("\n")
_PRIME = np.uint64(0x100000001B3)


@njit(cache=True, nogil=True)
def word_places(
    data: Bytes, text_offsets: Offsets, table: npt.NDArray[np.int32], has_markup: bool
) -> tuple[Hashes, Offsets, Offsets, Offsets]:
    """Return (hashes, offsets, starts, ends): the words of text i are hashes[offsets[i]:...].

    Text i is data[text_offsets[i]:text_offsets[i + 1]], UTF-8. `table` has for each code point what
    stands for it in a word, or SEPARATOR; later code points stand for themselves. `starts` and
    `ends` are bytes within the text. Where a text `has_markup`, tags and entities separate words.
    """
    size = text_offsets[len(text_offsets) - 1] - text_offsets[0]
    hashes = np.empty(size, np.uint64)
    starts, ends = np.empty(size, np.int64), np.empty(size, np.int64)
    offsets = np.zeros(len(text_offsets), np.int64)
    count = 0
    for text in range(len(text_offsets) - 1):
        first, end = text_offsets[text], text_offsets[text + 1]
        position, inside, state = first, False, _PRIME
        while position < end:
            before = position
            entry, position = _entry_at(data, position, end, table, has_markup)
            if entry != SEPARATOR:
                if not inside:
                    state, starts[count], inside = _PRIME, before - first, True
                state = (state ^ np.uint64(entry)) * _PRIME
            elif inside:
                hashes[count], ends[count] = mix(state), before - first
                count, inside = count + 1, False
        if inside:
            hashes[count], ends[count] = mix(state), end - first
            count += 1
        offsets[text + 1] = count
    return hashes[:count].copy(), offsets, starts[:count].copy(), ends[:count].copy()


@njit(cache=True, nogil=True)
def _entry_at(data, position, end, table, has_markup):
    """Return what the table has of the code point at `position`, and where the next one is."""
    if data[position] < 0x80:
        if has_markup and (data[position] == _LESS or data[position] == _AMPERSAND):
            markup_end = _markup_end(data, position, end)
            if markup_end > 0:
                return np.int64(SEPARATOR), markup_end
        return np.int64(table[data[position]]), position + 1
    point, width = code_point_at(data, position)
    entry = np.int64(table[point]) if point < len(table) else np.int64(point)
    return entry, position + width


@njit(cache=True, nogil=True)
def _markup_end(data, position, end):
    """Return where the tag or entity that begins at `position` ends, -1 if none does.

    A tag is on one line and has no other within.
    """
    if data[position] == _AMPERSAND:
        for place in range(position + 1, min(end, position + _ENTITY_SIZE_BYTES)):
            if data[place] == _SEMICOLON and place > position + 1:
                return place + 1
            if not (_is_letter(data[place]) or _is_digit(data[place]) or data[place] == _HASH):
                return -1
        return -1
    following = data[position + 1] if position + 1 < end else np.uint8(0)
    if not (_is_letter(following) or following in (_SLASH, _EXCLAMATION)):
        return -1
    for place in range(position + 1, min(end, position + _TAG_SIZE_BYTES)):
        if data[place] == _GREATER:
            return place + 1
        if data[place] == _LESS or data[place] == _NEW_LINE:
            return -1
    return -1


@njit(cache=True, nogil=True)
def _is_letter(byte):
    return 0x61 <= (byte | 0x20) <= 0x7A


@njit(cache=True, nogil=True)
def _is_digit(byte):
    return 0x30 <= byte <= 0x39
