"""The words of pages without parsing them: bytes between tags, scripts and styles left out.

What a parser would hide, such as menus, is there, and entities are blanks: enough to tell a
language by, not enough for a text.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

# Kernels take plain arrays and numbers; numba, not mypy, types them.
from numba import njit

_LESS, _GREATER, _AND, _SEMICOLON, _SLASH, _BANG, _DASH = 60, 62, 38, 59, 47, 33, 45
_LONGEST_ENTITY_BYTES = 10
# Elements whose content nobody reads; none of their names begins another.
_HIDDEN = np.frombuffer(b"script\0style\0svg\0template\0head\0", np.uint8)


def visible_bytes(pages: Sequence[bytes], max_text_bytes: int) -> pa.Array:
    """Return of each page, HTML in UTF-8, the first `max_text_bytes` of its words at most."""
    words = np.empty(len(pages) * max_text_bytes, np.uint8)
    offsets = np.zeros(len(pages) + 1, np.int64)
    for place, page in enumerate(pages):
        data = np.frombuffer(page, np.uint8)
        offsets[place + 1] = _page_words(data, words, offsets[place], max_text_bytes, _HIDDEN)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(words)]
    return pa.Array.from_buffers(pa.large_string(), len(pages), buffers)


@njit(cache=True, nogil=True)
def _page_words(data, words, first, limit, hidden):
    """Write the words of a page from `first` on; return where they end."""
    position, end = 0, data.size
    written, last = first, first + limit
    blank = True
    while position < end and written < last:
        byte = data[position]
        if byte == _LESS:
            position, byte = _after_tag(data, position, end, hidden), 32
        elif byte == _AND:
            position, byte = _after_entity(data, position, end), 32
        else:
            position += 1
        if byte <= 32:
            if not blank:
                words[written] = 32
                written += 1
            blank = True
        else:
            words[written] = byte
            written += 1
            blank = False
    return _whole_characters(words, first, written)


@njit(cache=True, nogil=True)
def _whole_characters(words, first, written):
    """Step back before a character of which the limit has left a part."""
    start = written
    while start > first and words[start - 1] & 0xC0 == 0x80:
        start -= 1
    if start == first or words[start - 1] < 0xC0:
        return written
    lead = words[start - 1]
    size = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
    return written if written - (start - 1) == size else start - 1


@njit(cache=True, nogil=True)
def _after_entity(data, position, end):
    stop = min(end, position + _LONGEST_ENTITY_BYTES)
    for place in range(position + 1, stop):
        if data[place] == _SEMICOLON:
            return place + 1
    return position + 1


@njit(cache=True, nogil=True)
def _after_tag(data, position, end, hidden):
    """Return where the tag at `position` ends, or the element whose content is hidden."""
    if position + 3 < end and data[position + 1] == _BANG and data[position + 2] == _DASH:
        return _after_comment(data, position + 3, end)
    place = position + 1
    while place < end and data[place] != _GREATER:
        place += 1
    name = _hidden_name(data, position + 1, end, hidden)
    if name < 0 or (place < end and data[place - 1] == _SLASH):
        return min(end, place + 1)
    return _after_element(data, place, end, hidden, name)


@njit(cache=True, nogil=True)
def _after_comment(data, position, end):
    while position + 2 < end:
        if data[position + 2] == _GREATER and data[position] == data[position + 1] == _DASH:
            return position + 3
        position += 1
    return end


@njit(cache=True, nogil=True)
def _hidden_name(data, position, end, hidden):
    """Return where in `hidden` the name stands that begins at `position`, -1 for none."""
    name = 0
    while name < hidden.size:
        length = 0
        while hidden[name + length] != 0:
            length += 1
        if _is_name(data, position, end, hidden, name, length):
            return name
        name += length + 1
    return -1


@njit(cache=True, nogil=True)
def _is_name(data, position, end, hidden, name, length):
    if position + length >= end:
        return False
    for place in range(length):
        if data[position + place] | 0x20 != hidden[name + place]:
            return False
    after = data[position + length] | 0x20
    return not (97 <= after <= 122 or 48 <= after <= 57)


@njit(cache=True, nogil=True)
def _after_element(data, position, end, hidden, name):
    """Return where the end tag of the element ends; the end of the page where there is none."""
    length = 0
    while hidden[name + length] != 0:
        length += 1
    while position + 1 < end:
        is_end_tag = data[position] == _LESS and data[position + 1] == _SLASH
        if is_end_tag and _is_name(data, position + 2, end, hidden, name, length):
            while position < end and data[position] != _GREATER:
                position += 1
            return min(end, position + 1)
        position += 1
    return end
