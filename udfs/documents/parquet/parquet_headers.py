"""Headers of Parquet pages (Thrift's compact protocol), and runs of levels and of indices."""

from dataclasses import dataclass
from typing import Any

_BOOLEANS = {1: True, 2: False}
_BINARY, _LIST, _SET, _STRUCT = 8, 9, 10, 12
_FIXED_SIZE_BYTES = {3: 1, 7: 8}
_MAX_SHIFT = 63
# What reading bytes that are no header raises.
_DAMAGE = (IndexError, KeyError, ValueError, AttributeError, TypeError, RecursionError)


@dataclass(frozen=True, slots=True)
class PageHeader:
    """What a page says of itself: its kind, the bytes that follow, values and their encoding."""

    kind: int
    size: int
    compressed_size: int
    num_values: int
    encoding: int
    # Of version 2: levels before the compressed part, repetition levels first.
    levels_size: int = 0
    repetition_size: int = 0
    is_compressed: bool = True


def read_header(data: bytes) -> tuple[PageHeader, int]:
    """Return the header that `data` begins with, and its size; raises OSError for none."""
    thrift = _Thrift(data)
    try:
        header = _header(thrift.struct())
        _check(header)
    except _DAMAGE as error:
        raise OSError(f"no header of a page: {error!r}") from error
    return header, thrift.at


def _header(fields: dict[int, Any]) -> PageHeader:
    kind, size, compressed = fields[1], fields[2], fields[3]
    page: Any = next((fields[name] for name in (5, 7, 8) if name in fields), {})
    if 8 not in fields:
        return PageHeader(kind, size, compressed, page.get(1, 0), page.get(2, 0))
    return PageHeader(
        kind=kind,
        size=size,
        compressed_size=compressed,
        num_values=page[1],
        encoding=page[4],
        levels_size=page[5] + page[6],
        repetition_size=page[6],
        is_compressed=page.get(7, True),
    )


def _check(header: PageHeader) -> None:
    """Raise ValueError for sizes that would send a reader back, or beyond its page."""
    sizes = (header.size, header.compressed_size, header.num_values, header.repetition_size)
    levels = (header.repetition_size, header.levels_size, header.compressed_size)
    if min(sizes) < 0 or list(levels) != sorted(levels):
        raise ValueError(f"sizes of {sizes} bytes")


class _Thrift:
    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def struct(self) -> dict[int, Any]:
        """Return the fields of a struct by their numbers."""
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._zigzag()
            fields[number] = self._value(head & 15)
        return fields

    def _value(self, kind: int) -> Any:
        if kind in _BOOLEANS:
            return _BOOLEANS[kind]
        if kind in (4, 5, 6):
            return self._zigzag()
        if kind == _STRUCT:
            return self.struct()
        if kind in (_LIST, _SET):
            head = self._byte()
            size = head >> 4 if head >> 4 != 15 else self._number()
            if size > len(self._data):
                raise ValueError(f"a list of {size}")
            return [self._value(head & 15) for _ in range(size)]
        size = self._number() if kind == _BINARY else _FIXED_SIZE_BYTES[kind]
        self.at += size
        return self._data[self.at - size : self.at]

    def _byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def _number(self) -> int:
        value = shift = 0
        while (byte := self._byte()) & 0x80:
            value |= (byte & 0x7F) << shift
            shift += 7
            if shift > _MAX_SHIFT:
                raise ValueError("a number of more than 64 bits")
        return value | byte << shift

    def _zigzag(self) -> int:
        value = self._number()
        return value >> 1 ^ -(value & 1)


def run_lengths(data: bytes, width: int, count: int) -> list[int]:
    """Return `count` numbers of `width` bits: runs of one number, and groups of eight in bits."""
    numbers: list[int] = []
    thrift = _Thrift(data)
    size = (width + 7) // 8
    try:
        while len(numbers) < count:
            head = thrift._number()
            length = (head >> 1) * width if head & 1 else size
            bits = int.from_bytes(data[thrift.at : thrift.at + length], "little")
            thrift.at += length
            if head & 1:
                mask = (1 << width) - 1
                places = min((head >> 1) * 8, count - len(numbers))
                numbers += [bits >> place * width & mask for place in range(places)]
            else:
                numbers += [bits] * min(head >> 1, count - len(numbers))
    except (IndexError, ValueError) as error:
        raise OSError("a page ends within its runs") from error
    return numbers[:count]
