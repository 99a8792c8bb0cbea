"""Unicode facts of the running Python as flat tables, and UTF-8 stepping for compiled kernels.

The reference judges characters with `str` methods and `re`; the tables are asked from those, so
kernels agree with the Python they run under, whatever its Unicode version.
"""

import re
from functools import cache

import numpy as np
import numpy.typing as npt

# Kernels take plain arrays and numbers; numba, not mypy, types them.
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


# Bits of a property byte; each names the Python expression that it stands for.
WORD = 1  # re: \w
SPACE = 2  # str.isspace, re: \s
DECIMAL = 4  # re: \d
DIGIT = 8  # str.isdigit
UPPER = 16  # str.isupper

# Planes 4 to 16 hold no letter, digit or white space in any version of Unicode so far.
TABLE_SIZE = 0x40000

Properties = npt.NDArray[np.uint8]


@cache
def character_properties() -> Properties:
    """Return the read-only property byte of every code point below TABLE_SIZE."""
    table = np.zeros(TABLE_SIZE, np.uint8)
    characters = "".join(map(chr, range(TABLE_SIZE)))
    for bit, pattern in ((WORD, r"\w"), (SPACE, r"\s"), (DECIMAL, r"\d")):
        for found in re.finditer(pattern + "+", characters):
            table[found.start() : found.end()] |= bit
    for bit, test in ((DIGIT, str.isdigit), (UPPER, str.isupper)):
        table[[test(character) for character in characters]] |= bit
    table.flags.writeable = False
    return table


@cache
def case_variants(character: str) -> tuple[str, ...]:
    """Return every character that `re` takes for `character` when case is ignored."""
    candidates = {character, character.lower(), character.upper(), character.swapcase()}
    candidates |= set("İıſKÅΩẞς")
    candidates |= {c.upper() for c in candidates} | {c.lower() for c in candidates}
    pattern = re.compile(re.escape(character), re.IGNORECASE)
    return tuple(sorted(c for c in candidates if len(c) == 1 and pattern.fullmatch(c)))


@njit(cache=True, nogil=True)
def code_point_at(data, position):
    """Return (code point, bytes) of the UTF-8 character that starts at `position`."""
    lead = np.int64(data[position])
    if lead < 0x80:
        return lead, 1
    if lead < 0xE0:
        return (lead & 0x1F) << 6 | (data[position + 1] & 0x3F), 2
    second = np.int64(data[position + 1] & 0x3F)
    if lead < 0xF0:
        return (lead & 0x0F) << 12 | second << 6 | (data[position + 2] & 0x3F), 3
    third = np.int64(data[position + 2] & 0x3F)
    return (lead & 0x07) << 18 | second << 12 | third << 6 | (data[position + 3] & 0x3F), 4


@njit(cache=True, nogil=True)
def start_of_character_before(data, position):
    """Return where the UTF-8 character that ends just before `position` starts."""
    position -= 1
    while data[position] & 0xC0 == 0x80:
        position -= 1
    return position


@njit(cache=True, nogil=True)
def properties_at(data, position, end, properties):
    """Return the property byte of the character at `position`, 0 at or after `end`."""
    if position >= end:
        return np.uint8(0)
    code_point, _ = code_point_at(data, position)
    return properties[code_point] if code_point < properties.size else np.uint8(0)


@njit(cache=True, nogil=True)
def properties_before(data, position, start, properties):
    """Return the property byte of the character before `position`, 0 at `start`."""
    if position <= start:
        return np.uint8(0)
    return properties_at(data, start_of_character_before(data, position), position, properties)


@njit(cache=True, nogil=True)
def code_points(data, start, end):
    """Return the number of characters of data[start:end]."""
    count = 0
    for position in range(start, end):
        count += data[position] & 0xC0 != 0x80
    return count
