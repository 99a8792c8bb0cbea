"""The compiled part of the URL rules, for addresses of visible ASCII characters."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from udfs.rules.banned_domains import Domains, contains_domain
from udfs.text.tries import Trie
from udfs.text.unicode import WORD

# A row that the kernel leaves to Python: other characters, or brackets (IPv6) in the location.
NEEDS_PYTHON = -2
_NO_RULE = -1
_W, _DOT, _COLON, _AT = 119, 46, 58, 64


class AddressTests(NamedTuple):
    """What addresses are tested for."""

    # Banned domains are looked up as they are written, and counted as they are meant.
    with_quirks: bool
    written: Domains
    meant: Domains
    meant_has_paths: bool
    # Byte -> whether it is deleted before strict words are looked for.
    ignored: npt.NDArray[np.bool_]
    min_soft_words: int
    strict: Trie
    hard: Trie
    soft: Trie
    # Code point -> properties, as in `udfs.text.unicode`.
    properties: npt.NDArray[np.uint8]


class AddressOutcomes(NamedTuple):
    """What the kernel says of each address."""

    # Index of the first rule that drops it, _NO_RULE or NEEDS_PYTHON.
    rules: npt.NDArray[np.int8]
    # Entries found.
    values: npt.NDArray[np.float64]
    # Whether it is banned as the list is meant, but not as the reference reads the list.
    missed: npt.NDArray[np.bool_]


@njit(cache=True, nogil=True)
def judge_urls(data, offsets, outcomes, tests):
    """Write the outcome of each address."""
    # Read once: each look into a tuple of arrays counts a reference to one.
    rules, values, missed = outcomes
    (with_quirks, written, meant, has_paths, ignored, least, strict, hard, soft, properties) = tests
    longest = 0
    for row in range(rules.size):
        longest = max(longest, offsets[row + 1] - offsets[row])
    url, scratch = np.empty(longest, np.uint8), np.empty(longest, np.uint8)
    seen = np.full(soft.word_at.size, -1, np.int64)
    for row in range(rules.size):
        length = _copy_lower(data, offsets[row], offsets[row + 1], url)
        start, end = _location(url, max(length, 0))
        if length < 0 or _has_bracket(url, start, end):
            rules[row] = NEEDS_PYTHON
            continue
        rules[row], values[row] = _NO_RULE, 1
        is_meant = _is_meant(url, length, (start, end), meant, has_paths, scratch)
        is_banned = is_meant
        if with_quirks:
            is_banned = _is_written(url, start, end, written, scratch)
            missed[row] = is_meant and not is_banned
        if is_banned:
            rules[row] = 0
        elif _has_substring(scratch, _squeeze(url, length, ignored, scratch), strict):
            rules[row] = 1
        elif _count_words(url, length, hard, properties, seen, -2) > 0:
            rules[row] = 2
        else:
            values[row] = _count_words(url, length, soft, properties, seen, row)
            if values[row] >= least:
                rules[row] = 3


@njit(cache=True, nogil=True)
def _copy_lower(data, start, end, url):
    for position in range(start, end):
        byte = data[position]
        if byte <= 32 or byte >= 127:
            return -1
        url[position - start] = byte + 32 if 65 <= byte <= 90 else byte
    return end - start


@njit(cache=True, nogil=True)
def _location(url, length):
    """Return (start, end) of the network location as urllib's urlsplit finds it."""
    start = 0
    if length and 97 <= url[0] <= 122:
        position = 1
        while position < length and (
            97 <= url[position] <= 122
            or 48 <= url[position] <= 57
            or url[position] in (43, 45, 46)  # plus, minus, dot
        ):
            position += 1
        if position < length and url[position] == 58:
            start = position + 1
    if length - start < 2 or url[start] != 47 or url[start + 1] != 47:
        return 0, 0
    start += 2
    end = start
    while end < length and url[end] not in (47, 63, 35):  # slash, question mark, hash
        end += 1
    return start, end


@njit(cache=True, nogil=True)
def _has_bracket(url, start, end):
    found = False
    for position in range(start, end):
        found |= url[position] == 91 or url[position] == 93
    return found


@njit(cache=True, nogil=True)
def _is_written(url, start, end, domains, name):
    """Return whether the location without any "www" is an entry; `name` is scratch."""
    filled = 0
    position = start
    while position < end:
        if position + 3 <= end and _is_www(url, position):
            position += 3
        else:
            name[filled] = url[position]
            filled += 1
            position += 1
    return contains_domain(name, 0, filled, domains)


@njit(cache=True, nogil=True)
def _is_www(url, position):
    return url[position] == _W and url[position + 1] == _W and url[position + 2] == _W


@njit(cache=True, nogil=True)
def _is_meant(url, length, location, meant, has_paths, name):
    """Return whether an entry bans the host, a domain above it, or a path of one of these."""
    if meant.hashes.size == 0:
        return False
    end = location[1]
    start, host_end = _host(url, location[0], end)
    # Host and path side by side, without the port.
    filled = host_size = host_end - start
    name[:host_size] = url[start:host_end]
    if has_paths:
        filled += length - end
        name[host_size:filled] = url[end:length]
    label = host_size
    while label > 0 and name[label - 1] != _DOT:
        label -= 1
    for first in range(host_size):
        if first > 0 and name[first - 1] != _DOT:
            continue
        if 0 < first == label:
            return contains_domain(name, first - 1, host_size, meant)
        if contains_domain(name, first, host_size, meant):
            return True
        for cut in range(host_size + 1, filled + 1):
            at_end = cut == filled or name[cut] in (47, 63, 35, 38)  # / ? # &
            if at_end and contains_domain(name, first, cut, meant):
                return True
    return False


@njit(cache=True, nogil=True)
def _host(url, start, end):
    """Return (start, end) of the host without user, port, dots at its end and "www."."""
    for position in range(end - 1, start - 1, -1):
        if url[position] == _AT:
            start = position + 1
            break
    port = end
    while port > start and 48 <= url[port - 1] <= 57:
        port -= 1
    if port > start and url[port - 1] == _COLON:
        end = port - 1
    while end > start and url[end - 1] == _DOT:
        end -= 1
    if end - start > 4 and _is_www(url, start) and url[start + 3] == _DOT:
        for position in range(start + 4, end):
            if url[position] == _DOT:
                return start + 4, end
    return start, end


@njit(cache=True, nogil=True)
def _squeeze(url, length, ignored, squeezed):
    filled = 0
    for position in range(length):
        if not ignored[url[position]]:
            squeezed[filled] = url[position]
            filled += 1
    return filled


@njit(cache=True, nogil=True)
def _has_substring(url, length, trie):
    columns, children, word_at = trie
    for start in range(length):
        node = 0
        for position in range(start, length):
            node = children[node, columns[url[position]]]
            if node == 0:
                break
            if word_at[node] >= 0:
                return True
    return False


@njit(cache=True, nogil=True)
def _count_words(url, length, trie, properties, seen, row):
    """Return how many different entries occur between word boundaries, without overlaps.

    `seen` remembers the entries of `row`; a negative row asks only whether there is any.
    """
    columns, children, word_at = trie
    count = start = 0
    while start < length:
        end, word = start, -1
        if _is_boundary(url, start, length, properties):
            node = 0
            for position in range(start, length):
                node = children[node, columns[url[position]]]
                if node == 0:
                    break
                if word_at[node] >= 0 and _is_boundary(url, position + 1, length, properties):
                    end, word = position + 1, word_at[node]
        if word < 0:
            start += 1
            continue
        if row < 0:
            return 1
        if seen[word] != row:
            seen[word] = row
            count += 1
        start = end
    return count


@njit(cache=True, nogil=True)
def _is_boundary(url, position, length, properties):
    before = properties[url[position - 1]] & WORD if position else 0
    after = properties[url[position]] & WORD if position < length else 0
    return before != after
