"""bzip2, xz and LZ4 as one stream of bytes: damage costs the stream that it hits."""

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


@dataclass(frozen=True)
class StreamCodec:
    """A codec of the standard library; files begin with `magic`, whole headers match `start`."""

    name: str
    magic: bytes
    start: re.Pattern[bytes]
    decompressor: Callable[[], Any]
    errors: tuple[type[Exception], ...]

    def find_start(self, data: bytes) -> int | None:
        """Return where the first stream of `data` begins, None where none does."""
        for found in self.start.finditer(data):
            # The header of xz ends with its checksum.
            if not found.groups() or zlib.crc32(found[1]).to_bytes(4, "little") == found[2]:
                return found.start()
        return None


STREAM_CODECS = (
    StreamCodec(
        "bzip2", b"BZh", re.compile(rb"BZh[1-9]1AY&SY"), bz2.BZ2Decompressor, (OSError, ValueError)
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


def decoded(
    read: Callable[[int], bytes], codec: StreamCodec, piece_size_bytes: int
) -> Iterator[tuple[bytes, str | None]]:
    """Yield (data, None) of at most `piece_size_bytes`, and (b"", reason) where the data is bad.

    Streams that follow one another in a file are read on; zeros between them are padding. Behind
    damage reading goes on at the next stream.
    """
    decoder, waiting = codec.decompressor(), b""
    begun = False
    while waiting or (waiting := read(_STEP_SIZE_BYTES)):
        if not begun and not (waiting := waiting.lstrip(b"\0")):
            continue
        begun = True
        try:
            data = decoder.decompress(waiting, piece_size_bytes)
            while data:
                yield data, None
                at_end = decoder.needs_input or decoder.eof
                data = b"" if at_end else decoder.decompress(b"", piece_size_bytes)
        except codec.errors as error:
            yield b"", f"damaged {codec.name} data: {error}"
            waiting = _next_stream(read, codec, waiting)
            decoder, begun = codec.decompressor(), False
            continue
        waiting = decoder.unused_data if decoder.eof else b""
        if decoder.eof:
            decoder, begun = codec.decompressor(), False
    if begun:
        yield b"", f"the {codec.name} data is cut off by the file's end"


def _next_stream(read: Callable[[int], bytes], codec: StreamCodec, data: bytes) -> bytes:
    """Return what is at hand from the next stream on that begins behind data[0], b"" for none."""
    data = data[1:]
    while True:
        place = codec.find_start(data)
        if place is not None:
            return data[place:]
        step = read(_STEP_SIZE_BYTES)
        if not step:
            return b""
        # The beginning of a stream may stand at the end of what was searched.
        data = data[-_STREAM_HEADER_BYTES:] + step


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
    """Decode bzip2 or xz as one stream: offsets count decoded bytes, and damage ends the file."""
    offset, damage = 0, ""
    damage_at = 0
    for data, error in decoded(window.read, codec, PIECE_SIZE_BYTES):
        if damage:
            # Reading goes on, or has come to the end.
            yield Piece(b"", offset, False, damage, window.at - damage_at)
        damage, damage_at = error or "", window.at
        if data:
            yield Piece(data, offset, False)
        offset += len(data)
    if damage:
        yield Piece(b"", offset, False, damage, window.at - damage_at)
