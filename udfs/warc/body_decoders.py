"""Decoders of HTTP bodies: gzip, deflate, Brotli and Zstandard, each up to what is damaged."""

import re
import zlib
from typing import Any

GZIP_MAGIC = b"\x1f\x8b\x08"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
CUT_OFF = "the data is cut off"
_WINDOW_BITS = {"gzip": 31, "zlib": 15, "raw": -15}
_STEP_SIZE_BYTES = 4096
# A few bytes may stand for a megabyte.
_ZSTD_STEP_SIZE_BYTES = 256
_OUTPUT_SIZE_BYTES = 1024 * 1024
_MAX_ZSTD_WINDOW_BYTES = 128 * 1024 * 1024
_LINE_ENDS_BEFORE = re.compile(rb"[ \t\r\n]{0,16}")


class BrokenMessageError(ValueError):
    """The message cannot be read within the limits."""


class Decoded:
    """Output of a decoder: pieces, where it ended and why."""

    def __init__(self, limit: int) -> None:
        self._limit, self._size = limit, 0
        self._pieces: list[bytes] = []
        self.error: str | None = None
        self.is_complete = False

    def add(self, data: bytes) -> None:
        """Take one more piece; raise BrokenMessageError where it is too much."""
        self._pieces.append(data)
        self._size += len(data)
        if self._size > self._limit:
            raise BrokenMessageError(f"an HTTP body of more than {self._limit} bytes once decoded")

    @property
    def data(self) -> bytes:
        """Return what there is."""
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)


def after_line_ends(body: bytes) -> int:
    """Return where a coded body begins: some servers send a line end before it."""
    found = _LINE_ENDS_BEFORE.match(body)
    return found.end() if found else 0


def decode(decoder: str, body: bytes, limit: int) -> Decoded:
    """Return what a decoder (gzip, zlib, raw, br or zstd) gives of a body, at most `limit` bytes.

    Raises BrokenMessageError for more.
    """
    start = after_line_ends(body)
    if decoder in _WINDOW_BITS:
        bits = _WINDOW_BITS[decoder]
        # Data without a mark may itself begin with the byte of a line end.
        starts = (0, start) if decoder == "raw" else (start,)
        found = (_whole(body[at:], bits, limit) for at in starts)
        return next(filter(None, found), None) or _inflate(body[start:], bits, Decoded(limit))
    if decoder == "zstd":
        return _unzstd(body[start:], Decoded(limit))
    result = _unbrotli(body, limit)
    return result if result.is_complete or not start else _unbrotli(body[start:], limit)


def _whole(body: bytes, bits: int, limit: int) -> Decoded | None:
    """Inflate a body that is one whole member, None where it is not."""
    inflate, result = zlib.decompressobj(bits), Decoded(limit)
    try:
        result.add(inflate.decompress(body, limit + 1))
    except zlib.error:
        return None
    result.is_complete = inflate.eof and not inflate.unused_data.startswith(GZIP_MAGIC)
    return result if result.is_complete else None


def _inflate(body: bytes, bits: int, result: Decoded) -> Decoded:
    """Inflate all members of a body; behind the last, only what begins another one counts."""
    at = 0
    while True:
        at = _inflate_member(body, at, bits, result)
        result.is_complete = result.error is None
        if result.error or not body.startswith(GZIP_MAGIC, at):
            return result


def _inflate_member(body: bytes, at: int, bits: int, result: Decoded) -> int:
    """Inflate the member at `at` into `result`; return where it ends."""
    inflate, view = zlib.decompressobj(bits), memoryview(body)
    while not inflate.eof:
        step = inflate.unconsumed_tail
        if not step:
            step = bytes(view[at : at + _STEP_SIZE_BYTES])
            at += len(step)
        if not step:
            result.error = CUT_OFF
            result.add(inflate.flush())
            return at
        before = inflate.copy()
        try:
            result.add(inflate.decompress(step, _OUTPUT_SIZE_BYTES))
        except zlib.error as error:
            result.error = f"damaged data ({error})"
            _salvage(before, step, result)
            return at
    return at - len(inflate.unused_data)


def _salvage(inflate: "zlib._Decompress", step: bytes, result: Decoded) -> None:
    """Add what a step gives before its damage, byte by byte."""
    try:
        for place in range(len(step)):
            data = inflate.decompress(step[place : place + 1], _OUTPUT_SIZE_BYTES)
            while data:
                result.add(data)
                data = inflate.decompress(inflate.unconsumed_tail, _OUTPUT_SIZE_BYTES)
    except zlib.error:
        return


def _unbrotli(body: bytes, limit: int) -> Decoded:
    import brotli

    decoder, result = brotli.Decompressor(), Decoded(limit)
    for at in range(0, len(body), _STEP_SIZE_BYTES):
        if not _brotli_step(decoder, body[at : at + _STEP_SIZE_BYTES], result):
            return _salvage_brotli(body, at, limit)
        if result.is_complete:
            return result
    result.error = CUT_OFF
    return result


def _salvage_brotli(body: bytes, at: int, limit: int) -> Decoded:
    """Decode again, byte by byte from `at` on, up to the damage or to the end of the data."""
    import brotli

    decoder, result = brotli.Decompressor(), Decoded(limit)
    _brotli_step(decoder, body[:at], result)
    while not result.is_complete and _brotli_step(decoder, body[at : at + 1], result):
        at += 1
    result.error = None if result.is_complete else "damaged data"
    return result


def _brotli_step(decoder: Any, data: bytes, result: Decoded) -> bool:
    """Add what `data` decodes to; return False where it is damaged, or goes on behind the end."""
    import brotli

    try:
        while output := decoder.process(data, output_buffer_limit=_OUTPUT_SIZE_BYTES):
            result.add(output)
            data = b""
            if decoder.is_finished():
                break
        result.is_complete = decoder.is_finished()
    except brotli.error:
        return False
    return True


def _unzstd(body: bytes, result: Decoded) -> Decoded:
    import zstandard

    decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_ZSTD_WINDOW_BYTES)
    at = _behind_skippable(body, 0)
    while body.startswith(ZSTD_MAGIC, at) and not result.error:
        frame, start = decompressor.decompressobj(), at
        try:
            while at < len(body) and not frame.eof:
                step = body[at : at + _ZSTD_STEP_SIZE_BYTES]
                result.add(frame.decompress(step))
                at += len(step)
        except zstandard.ZstdError as error:
            result.error = f"damaged data ({error})"
            _salvage_zstd(decompressor.decompressobj(), body[start:at], step, result)
        else:
            result.error = None if frame.eof else CUT_OFF
            at = _behind_skippable(body, at - len(frame.unused_data))
    result.is_complete = result.error is None
    return result


def _salvage_zstd(frame: Any, before: bytes, step: bytes, result: Decoded) -> None:
    """Add what the last step of a frame gives before its damage, byte by byte."""
    import zstandard

    try:
        for at in range(0, len(before), _ZSTD_STEP_SIZE_BYTES):
            frame.decompress(before[at : at + _ZSTD_STEP_SIZE_BYTES])
        for at in range(len(step)):
            result.add(frame.decompress(step[at : at + 1]))
    except zstandard.ZstdError:
        return


def begins_skippable(body: bytes, start: int) -> bool:
    """Say whether a frame begins that decoders of Zstandard pass over."""
    return body.startswith(b"\x2a\x4d\x18", start + 1) and body[start] & 0xF0 == 0x50


def _behind_skippable(body: bytes, at: int) -> int:
    while begins_skippable(body, at):
        at += 8 + int.from_bytes(body[at + 4 : at + 8], "little")
    return at
