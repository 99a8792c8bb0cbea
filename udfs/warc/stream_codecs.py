"""bzip2, xz and LZ4 as one stream of bytes: damage costs the block or stream that it hits."""

import bz2
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from udfs.warc.window import PIECE_SIZE_BYTES, Piece, Window
from udfs.warc.zstd_frames import ZSTD_MAGIC, is_skippable

GZIP_MAGIC = b"\x1f\x8b\x08"
LZ4_MAGIC = b"\x04\x22\x4d\x18"
# Little of a step is lost with damage in it.
_STEP_SIZE_BYTES = 4 * 1024
_STREAM_HEADER_BYTES = 12
# A block of bzip2 and the end of its stream begin with these; no block is larger.
_BLOCK_MARK, _END_MARK = bytes.fromhex("314159265359"), bytes.fromhex("177245385090")
_BLOCK_SIZE_BYTES = 1024 * 1024


@dataclass(frozen=True)
class StreamCodec:
    """A codec of the standard library; files begin with `magic`, whole headers match `start`."""

    name: str
    magic: bytes
    start: re.Pattern[bytes]
    decompressor: Callable[[], Any]
    errors: tuple[type[Exception], ...]
    # Whether a stream has blocks that can be decoded by themselves.
    has_blocks: bool = False

    def find_start(self, data: bytes) -> int | None:
        """Return where the first stream of `data` begins, None where none does."""
        for found in self.start.finditer(data):
            # The header of xz ends with its checksum.
            if not found.groups() or zlib.crc32(found[1]).to_bytes(4, "little") == found[2]:
                return found.start()
        return None


STREAM_CODECS = (
    StreamCodec(
        "bzip2",
        b"BZh",
        re.compile(rb"BZh[1-9]1AY&SY"),
        bz2.BZ2Decompressor,
        (OSError, ValueError),
        has_blocks=True,
    ),
    StreamCodec(
        "xz",
        b"\xfd7zXZ\x00",
        re.compile(rb"\xfd7zXZ\x00(..)(....)", re.DOTALL),
        # A stream may ask for gigabytes of window; `xz -9` takes 65 MiB.
        lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=256 * 1024 * 1024),
        (lzma.LZMAError,),
    ),
)


def is_compressed(head: bytes) -> bool:
    """Say whether a file that begins so, by at least 8 bytes, is compressed, whatever its name."""
    magics = (*(codec.magic for codec in STREAM_CODECS), LZ4_MAGIC, ZSTD_MAGIC, GZIP_MAGIC[:2])
    return head.startswith(magics) or is_skippable(head)


@dataclass(frozen=True, slots=True)
class _Part:
    """Decoded bytes, or why there are none of `lost_size_bytes` of the file."""

    data: bytes
    error: str | None = None
    lost_size_bytes: int = 0


class _Source:
    """A compressed file; `waiting` is what was read of it and not yet decoded."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read, self._size_bytes, self.waiting = read, 0, b""

    @property
    def at(self) -> int:
        """Return where `waiting` begins in what was read."""
        return self._size_bytes - len(self.waiting)

    def more(self, size_bytes: int = _STEP_SIZE_BYTES) -> bool:
        """Read on; return False at the end."""
        step = self._read(size_bytes)
        self.waiting += step
        self._size_bytes += len(step)
        return bool(step)

    def skip(self, size_bytes: int) -> None:
        """Go on by some bytes of `waiting`, which may have less."""
        self.waiting = self.waiting[max(0, size_bytes) :]


def _decoded(source: _Source, codec: StreamCodec, piece_size_bytes: int) -> Iterator[_Part]:
    """Yield what a file decodes to, in parts of at most `piece_size_bytes`.

    Streams that follow one another in a file are read on; zeros between them are padding. Behind
    damage reading goes on at the next block of bzip2, or at the next stream.
    """
    decoder, begun = codec.decompressor(), False
    # Up to there all is decoded, but for what a decoder holds back.
    given_at = 0
    while source.waiting or source.more():
        if not begun and not source.waiting.strip(b"\0"):
            source.waiting = b""
            continue
        source.waiting = source.waiting if begun else source.waiting.lstrip(b"\0")
        given_at = given_at if begun else source.at
        begun = True
        try:
            data = decoder.decompress(source.waiting, piece_size_bytes)
            while data:
                given_at = source.at + len(source.waiting)
                yield _Part(data)
                at_end = decoder.needs_input or decoder.eof
                data = b"" if at_end else decoder.decompress(b"", piece_size_bytes)
        except codec.errors as error:
            reason = f"damaged {codec.name} data: {error}"
            yield from _behind_damage(source, codec, reason, min(given_at, source.at))
            decoder, begun = codec.decompressor(), False
            continue
        source.waiting = decoder.unused_data if decoder.eof else b""
        if decoder.eof:
            decoder, begun = codec.decompressor(), False
    if begun:
        reason = f"the {codec.name} data is cut off by the file's end"
        yield _Part(b"", reason, max(0, source.at - given_at))


def _behind_damage(source: _Source, codec: StreamCodec, error: str, start: int) -> Iterator[_Part]:
    """Go to the next stream; yield the blocks before it that are whole, and what is lost.

    What lies between `start` and here gave nothing.
    """
    is_told, goes_on = False, codec.has_blocks
    # Or the stream that is damaged would be found again.
    source.skip(1)
    while goes_on:
        begin, data, goes_on = _next_block(source)
        if data:
            if begin > start or not is_told:
                yield _Part(b"", error, begin - start)
            yield _Part(data)
            start, is_told = source.at, True
    if not codec.has_blocks:
        _go_to_stream(source, codec)
    if source.at > start or not is_told:
        yield _Part(b"", error, source.at - start)


def _go_to_stream(source: _Source, codec: StreamCodec) -> None:
    """Go to the next stream, or to the end."""
    while True:
        place = codec.find_start(source.waiting)
        if place is not None:
            return source.skip(place)
        # The beginning of a stream may stand at the end of what was searched.
        source.skip(len(source.waiting) - _STREAM_HEADER_BYTES)
        if not source.more():
            return source.skip(len(source.waiting))


def _next_block(source: _Source) -> tuple[int, bytes, bool]:
    """Decode the next block of bzip2, which need not begin with a byte.

    Returns where it begins, its data (none where it is damaged too), and whether more blocks may
    follow: a stream that begins is no block, and behind a stream's end there is none.
    """
    while len(source.waiting) < _BLOCK_SIZE_BYTES and source.more(_BLOCK_SIZE_BYTES):
        pass
    found = _find_bits(source.waiting, (_BLOCK_MARK,), 0)
    if found is None:
        size = len(source.waiting)
        source.skip(size - _STREAM_HEADER_BYTES if size >= _BLOCK_SIZE_BYTES else size)
        return source.at, b"", bool(source.waiting)
    byte, bit = divmod(found[0], 8)
    if bit == 0 and source.waiting[max(0, byte - 4) : byte].startswith(b"BZh"):
        source.skip(byte - 4)
        return source.at, b"", False
    source.skip(byte)
    begin = source.at
    end = _find_bits(source.waiting, (_BLOCK_MARK, _END_MARK), bit + 48)
    if end is None:
        source.skip(len(_BLOCK_MARK))
        return begin, b"", True
    data = _decoded_block(source.waiting, bit, end[0])
    # Behind the end mark stands a checksum of four bytes.
    is_end = end[1] == _END_MARK
    source.skip((end[0] + 48 + 32 + 7) // 8 if is_end else end[0] // 8)
    return begin, data, not is_end


def _find_bits(data: bytes, marks: tuple[bytes, ...], start: int) -> tuple[int, bytes] | None:
    """Return the first of some marks at any bit from `start` on, and which it is."""
    # It is near in most files.
    for size in (1 << 15, 1 << 18, len(data)):
        if found := _places(data[:size], marks, start):
            return min(found)
    return None


def _places(data: bytes, marks: tuple[bytes, ...], start: int) -> list[tuple[int, bytes]]:
    number, found = int.from_bytes(data, "big"), []
    for shift in range(8):
        shifted = (number << shift).to_bytes(len(data) + 1, "big")[1:]
        first = max(0, -((shift - start) // 8))
        places = ((shifted.find(mark, first), mark) for mark in marks)
        found += [(place * 8 + shift, mark) for place, mark in places if place >= 0]
    return found


def _decoded_block(data: bytes, start: int, end: int) -> bytes:
    """Decode bits start:end of `data`, a block, as a stream of its own; b"" where it is damaged."""
    size = end - start
    if size < 2 * 48:
        return b""
    bits = int.from_bytes(data[: end // 8 + 1], "big") >> (8 - end % 8)
    block = bits & ((1 << size) - 1)
    checksum = block >> (size - 48 - 32) & 0xFFFFFFFF
    whole = (block << 80) | (int.from_bytes(_END_MARK, "big") << 32) | checksum
    padding = -(size + 80) % 8
    stream = (whole << padding).to_bytes((size + 80 + padding) // 8, "big")
    try:
        return bz2.BZ2Decompressor().decompress(b"BZh9" + stream)
    except (OSError, ValueError):
        return b""


def lz4_pieces(window: Window) -> Iterator[Piece]:
    """Decode LZ4 as one stream: offsets count decoded bytes, and damage ends the file."""
    from fastwarc.stream_io import Lz4Reader

    reader, offset = Lz4Reader(cast(BinaryIO, window)), 0
    while True:
        try:
            data = reader.read(PIECE_SIZE_BYTES)
        except Exception as error:
            yield Piece(b"", offset, False, f"damaged LZ4 data: {error}", window.left())
            return
        if not data:
            return
        yield Piece(data, offset, False)
        offset += len(data)


def stream_pieces(window: Window, codec: StreamCodec) -> Iterator[Piece]:
    """Decode bzip2 or xz as one stream: offsets count decoded bytes."""
    offset = 0
    for part in _decoded(_Source(window.read), codec, PIECE_SIZE_BYTES):
        yield Piece(part.data, offset, False, part.error, part.lost_size_bytes)
        offset += len(part.data)
