"""Banned domains: a list as the reference reads it, and as the people who save lists mean it.

As written, an entry is a line of the list. As meant, an entry bans a host, its subdomains and,
where it has a path, the addresses below that path only. Lists come in several forms: with a byte
order mark, in upper case, with comments (#, !), as a hosts file (0.0.0.0 name), as an address, with
a wildcard (*.name), in Unicode or punycode, as a filter rule (||name^).
"""

import re
from functools import cached_property
from typing import NamedTuple

import idna
import numpy as np
import numpy.typing as npt
from numba import njit

from udfs.text.columns import Bytes, Offsets, read_only

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Names of the machine itself in hosts files.
_OWN_NAMES = {
    "localhost", "localhost.localdomain", "local", "broadcasthost", "ip6-localhost", "ip6-loopback",
    "ip6-localnet", "ip6-mcastprefix", "ip6-allnodes", "ip6-allrouters", "ip6-allhosts", "0.0.0.0",
}  # fmt: skip
_IP_ADDRESS = re.compile(r"[0-9]+(?:\.[0-9]+){3}|[0-9a-f]*:[0-9a-f:.]*(?:%\w+)?")
_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]")
# The last is the heading of a list of filter rules, "[Adblock Plus 2.0]".
_COMMENT = re.compile(r"\s[#!].*|^[#!].*|^\[[^\]:]*\]$")
_FILTER_RULE = re.compile(r"\|\|([^\^$|]+)(?:[\^$|].*)?")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://")


class Domains(NamedTuple):
    """Entries ordered by hash; entry i is data[starts[i]:ends[i]] and hashes to hashes[i]."""

    data: Bytes
    starts: Offsets
    ends: Offsets
    hashes: npt.NDArray[np.uint64]

    def has(self, name: str) -> bool:
        """Return whether `name` is an entry."""
        encoded = read_only(np.frombuffer(name.encode(), np.uint8))
        return bool(contains_domain(encoded, 0, len(encoded), self))


class MeantDomains(NamedTuple):
    """A list as its author means it; a wildcard over a name without a dot begins with a dot."""

    domains: Domains
    has_paths: bool
    # Lines that name no host, such as "ad*.example" or "@@||a.example^".
    unread: tuple[str, ...]


class BannedDomains:
    """The lines of a list, blank ones left out, in both readings."""

    def __init__(self, content: bytes = b"") -> None:
        self._content = content.removeprefix(_BYTE_ORDER_MARK)

    def __len__(self) -> int:
        """Return the number of lines that are not blank, repeated ones counted each time."""
        return len(self.as_written.hashes)

    @cached_property
    def as_written(self) -> Domains:
        """Return the lines without white space around them."""
        spans, _ = self._spans
        return _domains(self._data, spans)

    @cached_property
    def as_meant(self) -> MeantDomains:
        """Return what the lines ban."""
        spans, is_plain = self._spans
        added, has_paths, unread = bytearray(), False, []
        new_spans: list[tuple[int, int]] = []
        for start, end in spans[:, ~is_plain].T:
            line = bytes(self._data[start:end]).decode("utf-8", "replace")
            entries = read_entry(line)
            if entries is None:
                unread.append(line)
            for entry in entries or ():
                encoded = entry.encode()
                begin = len(self._data) + len(added)
                new_spans.append((begin, begin + len(encoded)))
                added += encoded
                has_paths |= "/" in entry
        data = np.concatenate([self._data, np.frombuffer(bytes(added), np.uint8)])
        all_spans = np.concatenate(
            [spans[:, is_plain], np.array(new_spans, np.int64).reshape(-1, 2).T], axis=1
        )
        return MeantDomains(_domains(data, all_spans), has_paths, tuple(unread))

    @property
    def _data(self) -> Bytes:
        return read_only(np.frombuffer(self._content, np.uint8))

    @cached_property
    def _spans(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Return (start, end) of the lines, and whether a line is a name that needs no reading."""
        size = self._content.count(b"\n") + 1
        spans, is_plain = np.empty((2, size), np.int64), np.zeros(size, np.bool_)
        count = _entry_spans(self._data, spans, is_plain)
        return spans[:, :count], is_plain[:count]


def read_entry(line: str) -> tuple[str, ...] | None:
    """Return what a line of a list bans: hosts, each with a path or none; None for no host."""
    line = _COMMENT.sub("", line.lower().strip()).strip()
    words = line.split()
    if "##" in line:
        return None
    if len(words) > 1:
        if not _IP_ADDRESS.fullmatch(words[0]):
            return None
        words = [word for word in words[1:] if word not in _OWN_NAMES]
    elif rule := _FILTER_RULE.fullmatch(line):
        words = [rule[1]]
    entries = [_entry(word) for word in words]
    return None if None in entries else tuple(entry for entry in entries if entry is not None)


def _entry(word: str) -> str | None:
    address = _SCHEME.sub("", word, count=1)
    location, path = _split_location(address.partition("#")[0])
    path = path[:-1] if path.endswith("/*") else path
    if "?" in path or "*" in path:
        return None
    host = host_of(location)
    is_wildcard = host.startswith(("*.", "."))
    host = to_punycode(host.removeprefix("*").removeprefix("."))
    if not _HOST.fullmatch(host):
        return None
    if is_wildcard and "." not in host:
        return f".{host}" if path == "" else None
    return host + path.rstrip("/")


def _split_location(address: str) -> tuple[str, str]:
    ends = [place for mark in "/?#" if (place := address.find(mark)) >= 0]
    end = min(ends, default=len(address))
    return address[:end], address[end:]


def host_of(location: str) -> str:
    """Return the host of a network location without user, port, a dot at its end and "www."."""
    host = re.sub(r":[0-9]*$", "", location.rpartition("@")[2]).rstrip(".")
    bare = host.removeprefix("www.")
    return bare if "." in bare else host


def to_punycode(host: str) -> str:
    """Return the host in ASCII as browsers write it, or as it is where that cannot be.

    UTS 46, not transitional and without the rules of STD 3: "faß.de" is another host than
    "fass.de", and names that no registry takes any more keep their form.
    """
    if host.isascii():
        return host
    try:
        mapped = idna.uts46_remap(host, std3_rules=False, transitional=False)
        return ".".join(
            label if label.isascii() else f"xn--{label.encode('punycode').decode()}"
            for label in mapped.split(".")
        )
    except UnicodeError:
        return host


def names_of(location: str, rest: str, has_paths: bool) -> list[str]:
    """Return all entries that ban an address, given in lower case as location and what follows."""
    host = to_punycode(host_of(location))
    if not host:
        return []
    starts = [0, *(place + 1 for place, letter in enumerate(host) if letter == ".")]
    names = []
    for start in starts:
        is_label = start > 0 and "." not in host[start:]
        names.append(host[start - is_label :])
        if has_paths and not is_label:
            cuts = [cut for cut in range(1, len(rest)) if rest[cut] in "/?#&"]
            names += [host[start:] + rest[:cut] for cut in (*cuts, len(rest))]
    return names


def _domains(data: Bytes, spans: npt.NDArray[np.int64]) -> Domains:
    data, starts, ends = read_only(data), spans[0].copy(), spans[1].copy()
    hashes = _span_hashes(data, starts, ends)
    order = np.argsort(hashes, kind="stable")
    parts = (starts[order], ends[order], hashes[order])
    return Domains(data, *(read_only(part) for part in parts))


@njit(cache=True, nogil=True)
def hash_of(data, start, end):
    """Return the 64-bit FNV-1a hash of data[start:end]."""
    value = np.uint64(0xCBF29CE484222325)
    for position in range(start, end):
        value = (value ^ np.uint64(data[position])) * np.uint64(0x100000001B3)
    return value


@njit(cache=True, nogil=True)
def _is_plain(data, start, end):
    """Return whether this is a host in ASCII and lower case that needs no reading."""
    for position in range(start, end):
        byte = data[position]
        is_name = 97 <= byte <= 122 or 48 <= byte <= 57 or byte == 45 or byte == 95
        is_inner_dot = byte == 46 and start < position < end - 1 and data[position - 1] != 46
        if not (is_name or is_inner_dot):
            return False
    if end - start <= 4 or data[start + 3] != 46:
        return True
    return not (data[start] == 119 and data[start + 1] == 119 and data[start + 2] == 119)


@njit(cache=True, nogil=True)
def _entry_spans(data, spans, is_plain):
    """Store (start, end) of the lines that are not blank; return how many there are."""
    count = line = 0
    for position in range(data.size + 1):
        if position < data.size and data[position] != 10:
            continue
        end = position
        while line < end and data[line] <= 32:
            line += 1
        while end > line and data[end - 1] <= 32:
            end -= 1
        if end > line:
            spans[0, count], spans[1, count] = line, end
            is_plain[count] = _is_plain(data, line, end)
            count += 1
        line = position + 1
    return count


@njit(cache=True, nogil=True)
def _span_hashes(data, starts, ends):
    hashes = np.empty(starts.size, np.uint64)
    for index in range(starts.size):
        hashes[index] = hash_of(data, starts[index], ends[index])
    return hashes


@njit(cache=True, nogil=True)
def contains_domain(text, start, end, domains):
    """Return whether text[start:end] is an entry."""
    value = hash_of(text, start, end)
    index = np.searchsorted(domains.hashes, value)
    while index < domains.hashes.size and domains.hashes[index] == value:
        first = domains.starts[index]
        if domains.ends[index] - first == end - start:
            same = True
            for offset in range(end - start):
                same &= domains.data[first + offset] == text[start + offset]
            if same:
                return True
        index += 1
    return False
