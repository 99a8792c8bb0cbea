"""Step 6: take URLs and IPv4 addresses out of texts (spec 2.4).

The reference does it with two regular expressions. Every match of the first holds a dot followed
by a top-level domain, every match of the second a dot between digits, so the kernels look at
dots only, and work out from each what the expression would have matched around it.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from udfs.quirks import follows_reference
from udfs.text.byte_masks import (
    BLOCK,
    ONE,
    append,
    first_bits,
    in_range,
    lowest,
    next_byte,
    readable_blocks,
)
from udfs.text.columns import Bytes, Offsets, read_only
from udfs.text.tries import Trie, build_trie, starts_with_word
from udfs.text.unicode import (
    SPACE,
    WORD,
    case_variants,
    character_properties,
    properties_at,
    properties_before,
    start_of_character_before,
)

# Bits of the class of an ASCII byte.
_HOST = 1  # may stand before the top-level domain
_TAIL = 2  # may stand after it
_NUMERAL = 4

_LETTERS_AND_DIGITS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_MAX_SPACES_BEFORE = 10
_MAX_HOST_LENGTH = 256
_DOT, _SLASH, _COLON, _DIGIT_0 = ord("."), ord("/"), ord(":"), ord("0")


def _byte_classes() -> npt.NDArray[np.uint8]:
    classes = np.zeros(256, np.uint8)
    classes[list(_LETTERS_AND_DIGITS + b"-@:%._+~#=")] |= _HOST
    classes[list(_LETTERS_AND_DIGITS + b"-()@:%_+.~#?&/=")] |= _TAIL
    classes[list(b"0123456789")] |= _NUMERAL
    classes.flags.writeable = False
    return classes


_CLASSES = _byte_classes()


class _Gate(NamedTuple):
    """Which texts lose their URLs: all, or those that begin with an opening."""

    is_shut: bool
    # Top-level domains in any case.
    openings: Trie


class _Patterns(NamedTuple):
    """What the kernels look for around a dot."""

    # Top-level domains as they are listed.
    suffixes: Trie
    # Byte -> bits of its class.
    classes: npt.NDArray[np.uint8]
    # Code point -> properties, as in `udfs.text.unicode`.
    properties: npt.NDArray[np.uint8]


def remove_urls(
    data: Bytes,
    offsets: Offsets,
    top_level_domains: tuple[str, ...],
    quirks: str = "dclm-2024",
) -> tuple[Bytes, Offsets]:
    """Return the texts without URLs, IPv4 addresses and the white space before them.

    Under "dclm-2024" only texts that begin with the letters of a top-level domain lose their
    URLs (all lose their IPv4 addresses); under "none" every text does. A text that consisted of
    URLs only is empty afterwards. Raises ValueError for unknown `quirks`.
    """
    # The reference's intention was a search for any top-level domain before the real pattern:
    # where that finds nothing the pattern finds nothing, so intent means no gate at all.
    gated = follows_reference(quirks)
    suffixes, openings = _tries(top_level_domains)
    new_data = np.empty(max(int(offsets[-1] - offsets[0]), BLOCK), np.uint8)
    new_offsets = np.zeros(len(offsets), np.int64)
    gate, patterns = _Gate(gated, openings), _Patterns(suffixes, _CLASSES, character_properties())
    blocks, offsets = readable_blocks(data), read_only(offsets)
    size = _remove_urls(blocks, offsets, new_data, new_offsets, gate, patterns)
    return new_data[:size], new_offsets


@lru_cache(maxsize=4)
def _tries(top_level_domains: tuple[str, ...]) -> tuple[Trie, Trie]:
    # URLs are matched in lower case as listed, openings of texts in any case.
    return build_trie(top_level_domains), build_trie(top_level_domains, case_variants)


@njit(cache=True, nogil=True)
def _remove_urls(data, offsets, new_data, new_offsets, gate, patterns):
    _, classes, properties = patterns
    filled = 0
    for document in range(offsets.size - 1):
        start, end = offsets[document], offsets[document + 1]
        base = filled
        copied = start
        if not gate.is_shut or starts_with_word(data, start, end, gate.openings):
            position = next_byte(data, start, end, _DOT)
            while position < end:
                match_start, match_end = _url_around(data, start, end, position, patterns)
                if match_end >= 0:
                    filled = append(data, copied, match_start, new_data, filled)
                    copied = match_end
                position = next_byte(data, max(position + 1, match_end), end, _DOT)
        filled = append(data, copied, end, new_data, filled)
        filled = _remove_addresses(new_data, base, filled, classes, properties)
        new_offsets[document + 1] = filled
    return filled


@njit(cache=True, nogil=True)
def _url_around(data, start, end, dot, patterns):
    """Return (start, end) of the match whose first usable dot is at `dot`; end -1 if none."""
    suffixes, classes, properties = patterns
    if dot == start or not classes[data[dot - 1]] & _HOST:
        return -1, -1
    domain_end = _domain_end(data, start, end, dot + 1, suffixes, properties)
    if domain_end < 0:
        return -1, -1
    host = dot - 1
    while host > start and dot - host < _MAX_HOST_LENGTH and classes[data[host - 1]] & _HOST:
        host -= 1
    match_start = host
    if host > start and not classes[data[host - 1]] & _HOST:
        match_start = _scheme_start(data, start, host)
    match_start = _spaces_start(data, start, match_start, properties)
    # The expression is greedy: the last usable dot decides where the domain ends.
    later = dot + 1
    while later < end and later - host <= _MAX_HOST_LENGTH and classes[data[later]] & _HOST:
        if data[later] == _DOT:
            later_end = _domain_end(data, start, end, later + 1, suffixes, properties)
            domain_end = later_end if later_end >= 0 else domain_end
        later += 1
    return match_start, _tail_end(data, domain_end, end, classes)


@njit(cache=True, nogil=True)
def _domain_end(data, start, end, position, suffixes, properties):
    """Return the end of the longest top-level domain at `position` before a word boundary."""
    columns, children, word_at = suffixes
    best = -1
    node = 0
    while position < end:
        node = children[node, columns[data[position]]]
        if node == 0:
            break
        position += 1
        if word_at[node] >= 0:
            before = properties_before(data, position, start, properties) & WORD
            if before != properties_at(data, position, end, properties) & WORD:
                best = position
    return best


@njit(cache=True, nogil=True)
def _scheme_start(data, start, position):
    """Return where the scheme that ends at `position` starts, `position` if there is none."""
    if position - start < 6 or data[position - 1] != _SLASH or data[position - 2] != _SLASH:
        return position
    if data[position - 3] != _COLON:
        return position
    last = position - 4
    if data[last] == 115 and last - 4 >= start:  # "s" of https
        if _is_http(data, last - 4):
            return last - 4
    elif data[last] == 112:  # "p" of http or ftp
        if last - 3 >= start and _is_http(data, last - 3):
            return last - 3
        if data[last - 1] == 116 and data[last - 2] == 102:
            return last - 2
    return position


@njit(cache=True, nogil=True)
def _is_http(data, position):
    return (
        data[position] == 104
        and data[position + 1] == 116
        and data[position + 2] == 116
        and data[position + 3] == 112
    )


@njit(cache=True, nogil=True)
def _spaces_start(data, start, position, properties):
    for _ in range(_MAX_SPACES_BEFORE):
        if not properties_before(data, position, start, properties) & SPACE:
            break
        position = start_of_character_before(data, position)
    return position


@njit(cache=True, nogil=True)
def _tail_end(data, position, end, classes):
    while position < end and classes[data[position]] & _TAIL:
        position += 1
    return position


@njit(cache=True, nogil=True)
def _remove_addresses(data, start, end, classes, properties):
    """Remove IPv4 addresses of the text data[start:end] in place; return its new end."""
    filled = copied = start
    position = _next_decimal_dot(data, start, end)
    while position < end:
        match_start, last_octet = _address_around(data, start, end, position, classes, properties)
        behind = position + 1
        if last_octet >= 0:
            filled = append(data, copied, match_start, data, filled)
            copied = behind = _tail_end(data, last_octet, end, classes)
        position = _next_decimal_dot(data, behind, end)
    if filled == copied:
        return end
    return append(data, copied, end, data, filled)


@njit(cache=True, nogil=True)
def _next_decimal_dot(data, position, end):
    """Return where the next dot after `position` stands between two digits, `end` for nowhere."""
    while position + 2 < end:
        digits = in_range(data, position, _DIGIT_0, 10) & first_bits(end - position)
        dots = in_range(data, position, _DOT, 1) & (digits << ONE) & (digits >> ONE)
        if dots != 0:
            return position + lowest(dots)
        position += BLOCK - 2
    return end


@njit(cache=True, nogil=True)
def _address_around(data, start, end, dot, classes, properties):
    """Return (match start, start of the last octet) of an address with its first dot at `dot`."""
    first = dot
    while first > start and dot - first < 4 and classes[data[first - 1]] & _NUMERAL:
        first -= 1
    if not _is_octet(data, first, dot):
        return -1, -1
    position = dot
    for _ in range(2):
        octet = position + 1
        position = octet
        while position < end and position - octet < 4 and classes[data[position]] & _NUMERAL:
            position += 1
        if not _is_octet(data, octet, position) or position == end or data[position] != _DOT:
            return -1, -1
    last_octet = position + 1
    if last_octet == end or not classes[data[last_octet]] & _NUMERAL:
        return -1, -1
    match_start = _scheme_start(data, start, first)
    if properties_before(data, match_start, start, properties) & WORD:
        # "xhttp://1.2.3.4": no boundary before the scheme, but one before the first octet.
        match_start = first
    if properties_before(data, match_start, start, properties) & WORD:
        return -1, -1
    return _spaces_start(data, start, match_start, properties), last_octet


@njit(cache=True, nogil=True)
def _is_octet(data, start, end):
    length = end - start
    return 0 < length < 3 or (length == 3 and data[start] <= 50)  # at most "2"
