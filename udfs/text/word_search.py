"""A word in the bytes of a page, in any case of its ASCII letters: 64 bytes at a time."""

import numpy as np
from numba import njit

from udfs.text.byte_masks import BLOCK, ONE, first_bits, in_folded_range, lowest, readable_blocks
from udfs.text.columns import Bytes, read_only


def searchable(content: bytes) -> Bytes:
    """Return the bytes as `find_word` reads them."""
    return read_only(readable_blocks(np.frombuffer(content, np.uint8)))


def word(text: bytes) -> Bytes:
    """Return a word of lower-case ASCII letters and signs, at least three, to look for."""
    return read_only(np.frombuffer(text, np.uint8))


@njit(cache=True, nogil=True)
def find_word(data, start, end, wanted):
    """Return where the word `wanted` is first in data[start:end], -1 for nowhere."""
    last = end - wanted.size
    for block in range(start, last + 1, BLOCK):
        # Three letters are rare enough to read on.
        found = in_folded_range(data, block, wanted[0], 1)
        found &= in_folded_range(data, block + 1, wanted[1], 1)
        found &= in_folded_range(data, block + 2, wanted[2], 1) & first_bits(last + 1 - block)
        while found != 0:
            position = block + lowest(found)
            found &= found - ONE
            if _is_word(data, position, wanted):
                return position
    return -1


@njit(cache=True, nogil=True)
def _is_word(data, position, wanted):
    for index in range(wanted.size):
        byte = data[position + index]
        if byte != wanted[index] and not (65 <= byte <= 90 and byte + 32 == wanted[index]):
            return False
    return True
