"""The compression of input files: gzip, Zstandard, LZ4, bzip2, xz or none, as decoded pieces.

A damaged gzip member or Zstandard frame ends with an error piece, and reading goes on at the next
one that begins a record of the format (`Framing`).
"""

import re
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, cast

from udfs.warc.body_kinds import looks_like_text
from udfs.warc.stream_codecs import (
    GZIP_MAGIC,
    LZ4_MAGIC,
    STREAM_CODECS,
    StreamCodec,
    lz4_pieces,
    stream_pieces,
)
from udfs.warc.window import (
    CHUNK_SIZE_BYTES,
    LOOK_BACK_SIZE_BYTES,
    PIECE_SIZE_BYTES,
    Piece,
    Readable,
    Window,
)
from udfs.warc.zstd_frames import (
    ZSTD_ERRORS,
    ZSTD_MAGIC,
    is_skippable,
    read_dictionary,
    skippable_size_bytes,
    zstd_decoder,
)

_HEAD_SIZE_BYTES = 1024
_MEMBER_START = re.compile(re.escape(GZIP_MAGIC) + b"|" + re.escape(ZSTD_MAGIC))
_STEP_SIZE_BYTES = 64 * 1024
_SALVAGE_STEP_SIZE_BYTES = 256
# What `zstd --long=31` asks for, the most there is.
MAX_WINDOW_SIZE_BYTES = 1 << 31


@dataclass(frozen=True, slots=True)
class Framing:
    """What a format's records look like in a compressed file, for reading on behind damage."""

    # Whether the first decoded bytes of a member are those of a record.
    begins: Callable[[bytes], bool]
    # Whether what a damaged member holds before its damage is worth having to the last byte.
    salvages: bool = False


def _begins_crawl_record(head: bytes) -> bool:
    return head.lstrip(b"\r\n").startswith(_RECORD_MARKS)


# Of WARC, and of ARC, whose records begin with an address.
_RECORD_MARKS = (b"WARC/", b"http://", b"https://", b"dns:", b"filedesc:")
WARC_FRAMING = Framing(begins=_begins_crawl_record)
# Of lines of text.
LINES_FRAMING = Framing(begins=lambda head: not head or looks_like_text(head), salvages=True)


@dataclass(frozen=True, slots=True)
class _Codec:
    name: str
    magic: bytes
    # Given the bytes at hand from the member's start.
    decoder: Callable[[bytes], Any]
    errors: tuple[type[Exception], ...]
    framing: Framing


def pieces(
    stream: Readable,
    framing: Framing = WARC_FRAMING,
    max_window_size_bytes: int = MAX_WINDOW_SIZE_BYTES,
) -> tuple[Iterator[Piece], bool]:
    """Return the decoded pieces of a file, and whether it is a plain one (not compressed)."""
    window = Window(stream)
    window.have(_HEAD_SIZE_BYTES)
    head = window.data[:_HEAD_SIZE_BYTES]
    if head.startswith(LZ4_MAGIC):
        return lz4_pieces(window), True
    codec = _codec_at_start(window, framing, max_window_size_bytes)
    if codec is None and not framing.begins(head):
        codec = _first_codec(window, framing, max_window_size_bytes)
    if codec is None:
        return _plain_pieces(window), True
    if isinstance(codec, StreamCodec):
        return stream_pieces(window, codec), True
    return _members(window, codec), False


def _codec_at_start(window: Window, framing: Framing, limit: int) -> "StreamCodec | _Codec | None":
    """Return the codec whose mark a file begins with, None for none."""
    if window.data.startswith(ZSTD_MAGIC) or is_skippable(window.data):
        return _zstd_codec(window, framing, limit)
    if window.data.startswith(GZIP_MAGIC[:2]):
        return _gzip_codec(framing)
    return next((codec for codec in STREAM_CODECS if window.data.startswith(codec.magic)), None)


def _first_codec(window: Window, framing: Framing, limit: int) -> "StreamCodec | _Codec | None":
    """Return the codec of a file whose beginning is damaged, None where nothing tells of any."""
    window.have(LOOK_BACK_SIZE_BYTES)
    data = window.data
    gzip, zstd = _gzip_codec(framing), _zstd_codec(window, framing, limit)
    for found in _MEMBER_START.finditer(data):
        codec = gzip if found[0] == GZIP_MAGIC else zstd
        if _is_member(data[found.start() : found.start() + _HEAD_SIZE_BYTES], codec):
            return codec
    return next((codec for codec in STREAM_CODECS if codec.find_start(data) is not None), None)


def _plain_pieces(window: Window) -> Iterator[Piece]:
    while window.have(1):
        offset = window.at
        yield Piece(window.read(PIECE_SIZE_BYTES), offset, False)


def _members(window: Window, codec: _Codec) -> Iterator[Piece]:
    while window.have(1):
        window.have(8)
        head = bytes(window.rest(8))
        # Of the first member, which tells the codec, the mark may be damaged but for two bytes.
        if head.startswith(codec.magic if window.at else codec.magic[:2]):
            yield from _member(window, codec)
        elif is_skippable(head) and codec.magic == ZSTD_MAGIC:
            yield from _skippable(window, codec, skippable_size_bytes(head))
        elif not _is_padding(window):
            offset = window.at
            _seek_member(window, codec)
            lost = window.at - offset
            yield Piece(b"", offset, False, f"bytes between {codec.name} members", lost)


def _skippable(window: Window, codec: _Codec, size_bytes: int) -> Iterator[Piece]:
    """Pass over a frame; where the file ends before, its size is wrong or the file cut off."""
    offset = window.at
    if not window.skip(size_bytes):
        # As far back as the window reaches.
        window.at = max(window.base, offset + 1)
        _seek_member(window, codec)
        reason = "a skippable frame is cut off by the file's end, or its size is wrong"
        yield Piece(b"", offset, False, reason, window.at - offset)


def _member(window: Window, codec: _Codec) -> Iterator[Piece]:
    offset, begins, size = window.at, True, 0
    window.have(64)
    decoder = codec.decoder(bytes(window.rest(64)))
    while True:
        view = window.rest(_STEP_SIZE_BYTES)
        if not view and not window.more(offset):
            yield Piece(b"", offset, False, f"the {codec.name} member is cut off by the file's end")
            window.at = max(window.base, offset + 1)
            return _seek_member(window, codec)
        try:
            data = decoder.decompress(view, PIECE_SIZE_BYTES)
        except codec.errors as error:
            damage_at = window.at
            if codec.framing.salvages and window.base <= offset:
                damage_at = yield from _salvaged(window, codec, offset, size)
            window.at = max(window.base, offset + 1)
            _seek_member(window, codec)
            lost = max(0, window.at - damage_at)
            if codec.framing.salvages and _is_altered(error, lost):
                lost = window.at - offset
            yield Piece(b"", offset, False, f"damaged {codec.name} member: {error}", lost)
            return None
        left = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
        window.at += len(view) - len(left)
        if data:
            yield Piece(data, offset, begins)
            begins, size = False, size + len(data)
        if decoder.eof:
            return None


def _is_altered(error: Exception, lost_size_bytes: int) -> bool:
    """Say whether a member was read to its end, where it tells that its bytes are not right."""
    # "Incorrect checksum found", "incorrect data check", "incorrect length check".
    told = any(words in str(error) for words in ("checksum", "data check", "length check"))
    return told and lost_size_bytes <= 2 * _SALVAGE_STEP_SIZE_BYTES


def _salvaged(
    window: Window, codec: _Codec, offset: int, known: int
) -> Generator[Piece, None, int]:
    """Decode a damaged member again in small steps; yield what comes behind `known` bytes.

    Returns where in the file the damage is.
    """
    data = bytes(memoryview(window.data)[offset - window.base :])
    decoder, size = codec.decoder(data[:64]), 0
    at, step = 0, _SALVAGE_STEP_SIZE_BYTES
    try:
        while at < len(data) and not decoder.eof:
            if offset + at + step > window.at:
                # The damage lies ahead.
                step = 1
            decoded = decoder.decompress(data[at : at + step], PIECE_SIZE_BYTES)
            while decoded:
                new = decoded[max(0, known - size) :]
                size += len(decoded)
                if new:
                    yield Piece(new, offset, size == len(decoded))
                decoded = decoder.decompress(decoder.unconsumed_tail, PIECE_SIZE_BYTES)
            at += step
    except codec.errors:
        pass
    return offset + at


def _is_padding(window: Window) -> bool:
    """Say whether only zeros and line ends follow; skip those at hand."""
    while window.have(1):
        view = bytes(window.rest(CHUNK_SIZE_BYTES))
        blank = len(view) - len(view.lstrip(b"\0\r\n"))
        window.at += blank
        if blank < len(view):
            return blank > 0
    return True


def _seek_member(window: Window, codec: _Codec) -> None:
    """Go to the next member that begins a record, or to the end of the file."""
    while window.have(len(codec.magic)):
        found = window.data.find(codec.magic, window.at - window.base)
        if found < 0:
            window.at = window.base + len(window.data) - len(codec.magic) + 1
            if not window.more(window.at):
                break
            continue
        window.at = window.base + found
        if _begins_record(window, codec):
            return
        window.at += 1
    while window.more(window.at):
        window.at = window.base + len(window.data)
    window.at = window.base + len(window.data)


def _begins_record(window: Window, codec: _Codec) -> bool:
    window.have(_HEAD_SIZE_BYTES)
    return _is_member(bytes(window.rest(_HEAD_SIZE_BYTES)), codec)


def _is_member(head: bytes, codec: _Codec) -> bool:
    """Say whether a member that begins so begins a record."""
    try:
        data = codec.decoder(head).decompress(head, 64)
    except codec.errors:
        return False
    return codec.framing.begins(bytes(data))


def _gzip_codec(framing: Framing) -> _Codec:
    inflate, name = _fastest_inflate()
    errors = (zlib.error, name)
    return _Codec("gzip", GZIP_MAGIC, lambda _: inflate.decompressobj(31), errors, framing)


def _fastest_inflate() -> tuple[Any, type[Exception]]:
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib, zlib.error
    return isal_zlib, cast(type[Exception], isal_zlib.error)


def _zstd_codec(window: Window, framing: Framing, max_window_size_bytes: int) -> _Codec:
    dictionary = None
    if (size := skippable_size_bytes(window.data)) <= LOOK_BACK_SIZE_BYTES and window.have(size):
        dictionary = read_dictionary(bytes(window.rest(size)))
    decoder = zstd_decoder(dictionary, max_window_size_bytes)
    return _Codec("Zstandard", ZSTD_MAGIC, decoder, ZSTD_ERRORS, framing)
