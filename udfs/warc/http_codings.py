"""Codings of HTTP bodies undone: gzip, deflate, Brotli, Zstandard and chunks, whole or damaged.

A damaged or cut body gives the part before the damage. A body that a crawler stored without the
codings that its headers name is left as it is.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from udfs.warc.body_kinds import is_media, looks_like_text
from udfs.warc.http_chunks import unchunked

_GZIP_MAGIC = b"\x1f\x8b\x08"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_NAMES = {
    "gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate", "br": "br", "zstd": "zstd",
    "x-zstd": "zstd", "chunked": "chunked",
}  # fmt: skip
# Codings that cannot be undone here; other names (charsets, media types) are mistakes.
_UNKNOWN_CODINGS = (
    "compress", "x-compress", "sdch", "lzma", "xz", "bzip2", "x-bzip2", "dcb", "dcz", "aws-chunked",
    "pack200-gzip", "exi", "aes128gcm",
)  # fmt: skip
_NO_CODING = ("", "identity", "none", "binary", "7bit", "8bit")
_WINDOW_BITS = {"gzip": 31, "zlib": 15, "raw": -15}
_STEP_SIZE_BYTES = 4096
# A few bytes may stand for a megabyte.
_ZSTD_STEP_SIZE_BYTES = 256
_OUTPUT_SIZE_BYTES = 1024 * 1024
_MAX_ZSTD_WINDOW_BYTES = 128 * 1024 * 1024
_MAX_CODINGS = 8
_CUT_OFF = "the data is cut off"
_LINE_ENDS_BEFORE = re.compile(rb"[ \t\r\n]{0,16}")


class BrokenMessageError(ValueError):
    """The message cannot be read within the limits."""


@dataclass(frozen=True, slots=True)
class Body:
    """A body with its codings undone; `damage` says what of it could not be."""

    data: bytes
    damage: str | None = None
    # Whether nothing of the body could be read: `data` is worth nothing.
    is_lost: bool = False


class _Decoded:
    """Output of a decoder: pieces, where it ended and why."""

    def __init__(self, limit: int) -> None:
        self._limit, self._size = limit, 0
        self._pieces: list[bytes] = []
        self.error: str | None = None
        self.is_complete = False

    def add(self, data: bytes) -> None:
        self._pieces.append(data)
        self._size += len(data)
        if self._size > self._limit:
            raise BrokenMessageError(f"an HTTP body of more than {self._limit} bytes once decoded")

    @property
    def data(self) -> bytes:
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)


def decoded_body(body: bytes, transfer: str, content: str, max_size_bytes: int) -> Body:
    """Undo transfer codings, then content codings; each in the order reverse to its list.

    `transfer` and `content` are the values of all headers of that name, joined by commas. Raises
    BrokenMessageError where more than `max_size_bytes` come out.
    """
    damages: list[str] = []
    result = Body(body)
    names = _codings(content) + _codings(transfer)
    for name in reversed(names[-_MAX_CODINGS:]):
        result = _undone(result.data, name, max_size_bytes)
        if result.is_lost:
            return result
        if result.damage:
            damages.append(result.damage)
    if len(names) > _MAX_CODINGS:
        damages.append(f"{len(names)} codings, of which {_MAX_CODINGS} are undone")
    if damages and not looks_like_text(result.data):
        # What damaged data decodes to may be anything.
        return Body(b"", f"the body could not be decoded: {'; '.join(damages)}", is_lost=True)
    return Body(result.data, "; ".join(damages) or None)


def _codings(value: str) -> list[str]:
    names = [part.partition(";")[0].strip(" \t\r\n\"'").lower() for part in value.split(",")]
    return [name for name in names if name not in _NO_CODING]


def _undone(body: bytes, name: str, limit: int) -> Body:
    coding = _NAMES.get(name)
    if coding == "chunked":
        body, damage = unchunked(body)
        return Body(body, damage, is_lost=bool(damage and not body))
    if not body:
        return Body(body)
    tried = [_decode(one, body, limit) for one in _attempts(coding, body)]
    # A letter may be a stream of nothing in Brotli.
    is_text = len(body) > 2 and looks_like_text(body)
    whole = next((one for one in tried if one.is_complete and (one.data or not is_text)), None)
    if whole is not None:
        return Body(whole.data)
    best = max(tried, key=lambda one: len(one.data), default=None)
    is_cut = best is not None and bool(best.data) and best.error == _CUT_OFF
    if not is_cut and _is_stored_decoded(body, name):
        return Body(body)
    if best is None or not best.data:
        reason = best.error if best else f"{name} is none that can be undone"
        return Body(b"", f"the body could not be decoded: {reason}", is_lost=True)
    return Body(best.data, f"{name}: {best.error}")


def _is_stored_decoded(body: bytes, name: str) -> bool:
    """Say whether a body is as it was before a coding, or the name is that of none."""
    is_no_coding = name not in _NAMES and name not in _UNKNOWN_CODINGS
    is_readable = looks_like_text(body) or is_media(body)
    return (is_no_coding or is_readable) and not body.startswith(_ZSTD_MAGIC)


def _attempts(coding: str | None, body: bytes) -> Iterator[str]:
    """Yield the decoders to try: the one that the header names, then those whose mark is there."""
    start = _after_line_ends(body)
    if coding == "br":
        yield "br"
    if body.startswith(_GZIP_MAGIC[:2], start):
        yield "gzip"
    elif body.startswith(_ZSTD_MAGIC, start) or _is_skippable(body, start):
        yield "zstd"
    elif _is_zlib(body[start : start + 2]):
        yield "zlib"
    elif coding == "deflate":
        yield "raw"


def _is_zlib(head: bytes) -> bool:
    return (
        len(head) == 2
        and head[0] & 0x0F == 8
        and head[0] >> 4 <= 7
        and not (int.from_bytes(head, "big") % 31)
    )


def _after_line_ends(body: bytes) -> int:
    """Return where a coded body begins: some servers send a line end before it."""
    found = _LINE_ENDS_BEFORE.match(body)
    return found.end() if found else 0


def _decode(decoder: str, body: bytes, limit: int) -> _Decoded:
    start = _after_line_ends(body)
    if decoder in _WINDOW_BITS:
        bits = _WINDOW_BITS[decoder]
        # Data without a mark may itself begin with the byte of a line end.
        starts = (0, start) if decoder == "raw" else (start,)
        found = (_whole(body[at:], bits, limit) for at in starts)
        return next(filter(None, found), None) or _inflate(body[start:], bits, _Decoded(limit))
    if decoder == "zstd":
        return _unzstd(body[start:], _Decoded(limit))
    result = _unbrotli(body, limit)
    return result if result.is_complete or not start else _unbrotli(body[start:], limit)


def _whole(body: bytes, bits: int, limit: int) -> _Decoded | None:
    """Inflate a body that is one whole member, None where it is not."""
    inflate, result = zlib.decompressobj(bits), _Decoded(limit)
    try:
        result.add(inflate.decompress(body, limit + 1))
    except zlib.error:
        return None
    result.is_complete = inflate.eof and not inflate.unused_data.startswith(_GZIP_MAGIC)
    return result if result.is_complete else None


def _inflate(body: bytes, bits: int, result: _Decoded) -> _Decoded:
    """Inflate all members of a body; behind the last, only what begins another one counts."""
    at = 0
    while True:
        at = _inflate_member(body, at, bits, result)
        result.is_complete = result.error is None
        if result.error or not body.startswith(_GZIP_MAGIC, at):
            return result


def _inflate_member(body: bytes, at: int, bits: int, result: _Decoded) -> int:
    """Inflate the member at `at` into `result`; return where it ends."""
    inflate, view = zlib.decompressobj(bits), memoryview(body)
    while not inflate.eof:
        step = inflate.unconsumed_tail
        if not step:
            step = bytes(view[at : at + _STEP_SIZE_BYTES])
            at += len(step)
        if not step:
            result.error = _CUT_OFF
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


def _salvage(inflate: "zlib._Decompress", step: bytes, result: _Decoded) -> None:
    """Add what a step gives before its damage, byte by byte."""
    try:
        for place in range(len(step)):
            data = inflate.decompress(step[place : place + 1], _OUTPUT_SIZE_BYTES)
            while data:
                result.add(data)
                data = inflate.decompress(inflate.unconsumed_tail, _OUTPUT_SIZE_BYTES)
    except zlib.error:
        return


def _unbrotli(body: bytes, limit: int) -> _Decoded:
    import brotli

    decoder, result = brotli.Decompressor(), _Decoded(limit)
    for at in range(0, len(body), _STEP_SIZE_BYTES):
        if not _brotli_step(decoder, body[at : at + _STEP_SIZE_BYTES], result):
            return _salvage_brotli(body, at, limit)
        if result.is_complete:
            return result
    result.error = _CUT_OFF
    return result


def _salvage_brotli(body: bytes, at: int, limit: int) -> _Decoded:
    """Decode again, byte by byte from `at` on, up to the damage or to the end of the data."""
    import brotli

    decoder, result = brotli.Decompressor(), _Decoded(limit)
    _brotli_step(decoder, body[:at], result)
    while not result.is_complete and _brotli_step(decoder, body[at : at + 1], result):
        at += 1
    result.error = None if result.is_complete else "damaged data"
    return result


def _brotli_step(decoder: Any, data: bytes, result: _Decoded) -> bool:
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


def _unzstd(body: bytes, result: _Decoded) -> _Decoded:
    import zstandard

    decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_ZSTD_WINDOW_BYTES)
    at = _behind_skippable(body, 0)
    while body.startswith(_ZSTD_MAGIC, at) and not result.error:
        frame = decompressor.decompressobj()
        try:
            while at < len(body) and not frame.eof:
                step = body[at : at + _ZSTD_STEP_SIZE_BYTES]
                at += len(step)
                result.add(frame.decompress(step))
        except zstandard.ZstdError as error:
            result.error = f"damaged data ({error})"
        else:
            result.error = None if frame.eof else _CUT_OFF
            at = _behind_skippable(body, at - len(frame.unused_data))
    result.is_complete = result.error is None
    return result


def _is_skippable(body: bytes, start: int) -> bool:
    """Say whether a frame begins that decoders of Zstandard pass over."""
    return body.startswith(b"\x2a\x4d\x18", start + 1) and body[start] & 0xF0 == 0x50


def _behind_skippable(body: bytes, at: int) -> int:
    while _is_skippable(body, at):
        at += 8 + int.from_bytes(body[at + 4 : at + 8], "little")
    return at
