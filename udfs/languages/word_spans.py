"""Where the words that a library tells stand in the texts it was asked about."""

import numpy as np
from numba import njit

from udfs.text.byte_masks import count_byte, next_byte, readable_blocks
from udfs.text.columns import Bytes, Offsets, read_only
from udfs.text.lines import strip
from udfs.text.unicode import character_properties

_NEWLINE = 10


def places_of(
    data: Bytes, lines: Offsets, words: Bytes, word_offsets: Offsets
) -> tuple[Offsets, Offsets, Offsets]:
    """Return (starts, ends, lines) of the words that are found in their lines.

    Rows of `lines` begin with (start, end) in `data` of a line. The words of line i, a newline
    behind each, are words[word_offsets[i]:word_offsets[i + 1]]. A word is looked for without white
    space around it, behind the word before; what is not found there, or is nothing but white space,
    is left out.
    """
    return _places_of(  # type: ignore[no-any-return]
        readable_blocks(data), read_only(lines), readable_blocks(words), read_only(word_offsets),
        character_properties(),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _find(data, position, end, words, first, last):
    """Return where words[first:last] begins in data[position:end], `end` where it does not."""
    size = last - first
    while position + size <= end:
        same = 0
        while same < size and data[position + same] == words[first + same]:
            same += 1
        if same == size:
            return position
        position += 1
    return end


@njit(cache=True, nogil=True)
def _places_of(data, lines, words, word_offsets, properties):
    most = count_byte(words, 0, word_offsets[-1], _NEWLINE)
    found = np.empty((3, most), np.int64)
    count = 0
    for line in range(len(lines)):
        position, end = lines[line, 0], lines[line, 1]
        word = word_offsets[line]
        while word < word_offsets[line + 1]:
            behind = next_byte(words, word, word_offsets[line + 1], _NEWLINE)
            first, last = strip(words, word, behind, properties)
            word = behind + 1
            start = _find(data, position, end, words, first, last) if first < last else end
            if start < end:
                position = start + last - first
                found[0, count], found[1, count], found[2, count] = start, position, line
                count += 1
    return found[0, :count].copy(), found[1, :count].copy(), found[2, :count].copy()
