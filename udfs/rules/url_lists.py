"""The lists of the URL rules, the URL removal and C4's banned words, loaded from local files.

No list comes with the distribution: they are data of others, and most hold offensive words.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numba import njit

from udfs.text.columns import Bytes, Offsets, read_only


@dataclass(frozen=True, kw_only=True)
class DomainSet:
    """Entries ordered by hash; entry i is data[starts[i]:ends[i]] and hashes to hashes[i]."""

    data: Bytes
    starts: Offsets
    ends: Offsets
    hashes: npt.NDArray[np.uint64]

    def __len__(self) -> int:
        """Return the number of entries, repeated ones counted each time."""
        return len(self.hashes)

    def __contains__(self, domain: str) -> bool:
        encoded = read_only(np.frombuffer(domain.encode(), np.uint8))
        return bool(contains_domain(encoded, len(encoded), *self.arrays()))

    def arrays(self) -> tuple[Bytes, Offsets, Offsets, npt.NDArray[np.uint64]]:
        """Return the arrays as the kernels take them."""
        positions = read_only(self.starts), read_only(self.ends)
        return read_only(self.data), *positions, read_only(self.hashes)


def domain_set(lines: bytes) -> DomainSet:
    """Build the set of the non-empty lines, without white space around them."""
    data = read_only(np.frombuffer(lines, np.uint8))
    spans = np.empty((2, lines.count(b"\n") + 1), np.int64)
    count = _entry_spans(data, spans)
    starts, ends = spans[0, :count], spans[1, :count]
    hashes = _span_hashes(data, starts, ends)
    order = np.argsort(hashes, kind="stable")
    return DomainSet(data=data, starts=starts[order], ends=ends[order], hashes=hashes[order])


@njit(cache=True, nogil=True)
def hash_of(data, start, end):
    """Return the 64-bit FNV-1a hash of data[start:end]."""
    value = np.uint64(0xCBF29CE484222325)
    for position in range(start, end):
        value = (value ^ np.uint64(data[position])) * np.uint64(0x100000001B3)
    return value


@njit(cache=True, nogil=True)
def _entry_spans(data, spans):
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
def contains_domain(domain, length, data, starts, ends, hashes):
    """Return whether domain[:length] is an entry of the set with these arrays."""
    value = hash_of(domain, 0, length)
    index = np.searchsorted(hashes, value)
    while index < hashes.size and hashes[index] == value:
        if ends[index] - starts[index] == length:
            same = True
            for offset in range(length):
                same &= data[starts[index] + offset] == domain[offset]
            if same:
                return True
        index += 1
    return False


PathLike = str | Path


@dataclass(frozen=True, kw_only=True)
class ListSource:
    """Where a list came from: enough to tell later whether two runs used the same one."""

    path: str
    sha256: str
    entry_count: int


@dataclass(frozen=True, kw_only=True)
class UrlLists:
    """The lists of spec 2.3 and 2.4; an empty one bans (or removes) nothing."""

    domains: DomainSet = field(default_factory=lambda: domain_set(b""))
    strict: tuple[str, ...] = ()
    hard: tuple[str, ...] = ()
    soft: tuple[str, ...] = ()
    top_level_domains: tuple[str, ...] = ()
    # C4: words that no page may hold (spec 2.9).
    banned_words: tuple[str, ...] = ()
    # By the name of the list, for those that were loaded.
    sources: Mapping[str, ListSource] = field(default_factory=dict)


def load_url_lists(
    *,
    domains: PathLike | None = None,
    strict: PathLike | None = None,
    hard: PathLike | None = None,
    soft: PathLike | None = None,
    top_level_domains: PathLike | None = None,
    banned_words: PathLike | None = None,
) -> UrlLists:
    """Load lists of one entry a line (UTF-8; blank lines are skipped) from local files.

    Raises ValueError, naming the list and the file, for one that is missing, empty or no UTF-8.
    """
    sources: dict[str, ListSource] = {}

    def words(name: str, path: PathLike | None) -> tuple[str, ...]:
        if path is None:
            return ()
        content = _content(name, path)
        try:
            lines = content.decode().splitlines()
        except UnicodeDecodeError as error:
            raise ValueError(f"{name}: {path} is not UTF-8 text ({error}); convert it") from error
        # First occurrences, in order.
        entries = tuple(dict.fromkeys(filter(None, map(str.strip, lines))))
        sources[name] = _source(name, path, content, len(entries))
        return entries

    def banned(path: PathLike | None) -> DomainSet:
        content = b"" if path is None else _content("domains", path)
        entries = domain_set(content)
        if path is not None:
            sources["domains"] = _source("domains", path, content, len(entries))
        return entries

    return UrlLists(
        domains=banned(domains),
        strict=words("strict", strict),
        hard=words("hard", hard),
        soft=words("soft", soft),
        top_level_domains=words("top_level_domains", top_level_domains),
        banned_words=words("banned_words", banned_words),
        sources=sources,
    )


def _content(name: str, path: PathLike) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ValueError(
            f"{name}: the list {path} cannot be read ({error.strerror}); give the path of a local "
            "text file with one entry a line"
        ) from error


def _source(name: str, path: PathLike, content: bytes, entry_count: int) -> ListSource:
    if entry_count == 0:
        raise ValueError(
            f"{name}: the list {path} has no entries; leave {name} out to do without it"
        )
    return ListSource(
        path=str(path), sha256=hashlib.sha256(content).hexdigest(), entry_count=entry_count
    )
