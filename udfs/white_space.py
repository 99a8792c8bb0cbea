"""White space around texts, as Python sees it, and texts without letters: compiled loops.

Imported on first use only, since its signatures compile on import (from cache afterwards).
"""

# Kernels take plain arrays and numbers; numba, not mypy, types them.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"

import numpy as np
from numba import njit, types

_read_bytes = types.Array(types.uint8, 1, "C", readonly=True)
_int64s = types.Array(types.int64, 1, "C")


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
