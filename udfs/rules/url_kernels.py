"""The compiled part of the URL rules, for addresses of visible ASCII characters."""

import numpy as np
from numba import njit

from udfs.rules.url_lists import contains_domain
from udfs.text.unicode import WORD

# A row that the kernel leaves to Python: other characters, or brackets (IPv6) in the location.
NEEDS_PYTHON = -2
_NO_RULE = -1
_W = 119


@njit(cache=True, nogil=True)
def judge_urls(
    data, offsets, rules, values, with_quirks, ignored, min_soft_words,
    domains, strict, hard, soft, properties,
):  # fmt: skip
    """Write the index of the first rule that drops each address, and the entries found."""
    longest = 0
    for row in range(rules.size):
        longest = max(longest, offsets[row + 1] - offsets[row])
    url = np.empty(longest, np.uint8)
    scratch = np.empty(longest, np.uint8)
    seen = np.full(soft[2].size, -1, np.int64)
    for row in range(rules.size):
        length = _copy_lower(data, offsets[row], offsets[row + 1], url)
        if length < 0:
            rules[row] = NEEDS_PYTHON
            continue
        rules[row] = _NO_RULE
        values[row] = 1
        name_length = _banned_name(url, length, with_quirks, scratch)
        if name_length < 0:
            rules[row] = NEEDS_PYTHON
        elif contains_domain(scratch, name_length, *domains):
            rules[row] = 0
        elif _has_substring(scratch, _squeeze(url, length, ignored, scratch), strict):
            rules[row] = 1
        elif _count_words(url, length, hard, properties, seen, -2) > 0:
            rules[row] = 2
        else:
            values[row] = _count_words(url, length, soft, properties, seen, row)
            if values[row] >= min_soft_words:
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
def _banned_name(url, length, with_quirks, name):
    """Write what is looked up among the domains to `name`; return its length, -1 if unsure."""
    start, end = _location(url, length)
    for position in range(start, end):
        if url[position] == 91 or url[position] == 93:
            return -1
    if not with_quirks:
        start, end = _host(url, start, end)
    filled = 0
    position = start
    while position < end:
        is_www = position + 3 <= end and _is_www(url, position)
        if with_quirks and is_www:
            position += 3
        elif position == start and is_www and position + 3 < end and url[position + 3] == 46:
            position += 4
        else:
            name[filled] = url[position]
            filled += 1
            position += 1
    return filled


@njit(cache=True, nogil=True)
def _is_www(url, position):
    return url[position] == _W and url[position + 1] == _W and url[position + 2] == _W


@njit(cache=True, nogil=True)
def _host(url, start, end):
    for position in range(end - 1, start - 1, -1):
        if url[position] == 64:
            start = position + 1
            break
    port = end
    while port > start and 48 <= url[port - 1] <= 57:
        port -= 1
    if port > start and url[port - 1] == 58:
        end = port - 1
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
