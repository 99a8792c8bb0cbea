"""Snappy's raw format decoded piece by piece: whole pages may be larger than memory allows."""

from collections.abc import Iterator

import numpy as np
from numba import njit

# Encoders look back no farther.
_HISTORY_SIZE_BYTES = 64 * 1024
_ROOM_SIZE_BYTES = 1024 * 1024
_LONGEST_COPY = 64


def unsnapped(data: bytes) -> Iterator[bytes]:
    """Yield what raw Snappy data decodes to; raises OSError for damage."""
    source = np.frombuffer(data, np.uint8)
    output = np.empty(_HISTORY_SIZE_BYTES + _ROOM_SIZE_BYTES, np.uint8)
    at, literal, start, filled = _behind_length(data), 0, 0, 0
    while at < source.size or literal:
        at, literal, filled = decode_some(source, at, literal, output, filled)
        if at < 0:
            raise OSError("damaged Snappy data")
        yield output[start:filled].tobytes()
        start = min(filled, _HISTORY_SIZE_BYTES)
        output[:start] = output[filled - start : filled].copy()
        filled = start


def _behind_length(data: bytes) -> int:
    """Return where the data begins behind its length, a number in groups of seven bits."""
    at = 0
    while at < len(data) and data[at] & 0x80:
        at += 1
    return at + 1


@njit(cache=True, nogil=True)
def decode_some(source, at, literal, output, filled):  # type: ignore[no-untyped-def]
    """Decode source[at:] to output[filled:] up to the end of one of them.

    `literal` bytes are to be copied first. Returns where to go on in both and the literal bytes
    that are left then; -1 for damage.
    """
    while True:
        if literal > 0:
            size = min(literal, output.size - filled, source.size - at)
            if at + size == source.size and size < literal and filled + size < output.size:
                return -1, 0, filled
            output[filled : filled + size] = source[at : at + size]
            at, filled, literal = at + size, filled + size, literal - size
        if literal > 0 or at >= source.size or output.size - filled < _LONGEST_COPY:
            return at, literal, filled
        tag = np.int64(source[at])
        kind, at = tag & 3, at + 1
        extra = np.int64((0, 1, 2, 4)[kind])
        length = (tag >> 2) + 1
        if kind == 0:
            extra = max(np.int64(0), length - 60)
        if at + extra > source.size:
            return -1, 0, filled
        number = np.int64(0)
        for place in range(extra):
            number |= np.int64(source[at + place]) << (8 * place)
        at += extra
        if kind == 0:
            literal = length if extra == 0 else number + 1
            continue
        if kind == 1:
            length, number = ((tag >> 2) & 7) + 4, number | (tag >> 5) << 8
        if number == 0 or number > filled:
            return -1, 0, filled
        for _ in range(length):
            output[filled] = output[filled - number]
            filled += 1
