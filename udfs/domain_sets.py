"""Sets of millions of domains in flat arrays: about 30 bytes an entry, loaded in seconds."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from udfs.columns import Bytes, Offsets
from udfs.read_only import read_only


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
def hash_of(data, start, end):  # type: ignore[no-untyped-def]
    """Return the 64-bit FNV-1a hash of data[start:end]."""
    value = np.uint64(0xCBF29CE484222325)
    for position in range(start, end):
        value = (value ^ np.uint64(data[position])) * np.uint64(0x100000001B3)
    return value


@njit(cache=True, nogil=True)
def _entry_spans(data, spans):  # type: ignore[no-untyped-def]
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
def _span_hashes(data, starts, ends):  # type: ignore[no-untyped-def]
    hashes = np.empty(starts.size, np.uint64)
    for index in range(starts.size):
        hashes[index] = hash_of(data, starts[index], ends[index])
    return hashes


@njit(cache=True, nogil=True)
def contains_domain(domain, length, data, starts, ends, hashes):  # type: ignore[no-untyped-def]
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
