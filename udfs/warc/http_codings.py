"""Codings of HTTP bodies undone: gzip, deflate, Brotli, Zstandard and chunks, whole or damaged.

A damaged or cut body gives the part before the damage. A body that a crawler stored without the
codings that its headers name is left as it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from udfs.warc.body_decoders import (
    CUT_OFF,
    GZIP_MAGIC,
    ZSTD_MAGIC,
    BrokenMessageError,
    Decoded,
    after_line_ends,
    begins_skippable,
    decode,
)
from udfs.warc.body_kinds import is_media, looks_like_text
from udfs.warc.http_chunks import unchunked

__all__ = ["Body", "BrokenMessageError", "decoded_body"]

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
# They have no mark, and are tried where nothing else fits: some servers misname what they send.
_WITHOUT_MARK = ("br", "raw")
_MAX_CODINGS = 8


@dataclass(frozen=True, slots=True)
class Body:
    """A body with its codings undone; `damage` says what of it could not be."""

    data: bytes
    damage: str | None = None
    # Whether nothing of the body could be read: `data` is worth nothing.
    is_lost: bool = False


def decoded_body(body: bytes, transfer: str, content: str, max_size_bytes: int) -> Body:
    """Undo transfer codings, then content codings; each in the order reverse to its list.

    Chunks are undone first, wherever they stand in it: they divide what is sent. `transfer` and
    `content` are the values of all headers of that name, joined by commas. Raises
    BrokenMessageError where more than `max_size_bytes` come out.
    """
    damages: list[str] = []
    result = Body(body)
    names = sorted(_codings(content) + _codings(transfer), key=lambda name: name == "chunked")
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
    tried = [decode(one, body, limit) for one in _attempts(coding, body)]
    # A letter may be a stream of nothing in Brotli.
    is_text = len(body) > 2 and looks_like_text(body)
    whole = next((one for one in tried if one.is_complete and (one.data or not is_text)), None)
    if whole is not None:
        return Body(whole.data)
    if not (is_text or is_media(body)) and (found := _misnamed(body, limit)) is not None:
        return Body(found.data)
    best = max(tried, key=lambda one: len(one.data), default=None)
    is_cut = best is not None and bool(best.data) and best.error == CUT_OFF
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
    return (is_no_coding or is_readable) and not body.startswith(ZSTD_MAGIC)


def _attempts(coding: str | None, body: bytes) -> Iterator[str]:
    """Yield the decoders to try: the one that the header names, then those whose mark is there."""
    start = after_line_ends(body)
    if coding == "br":
        yield "br"
    if body.startswith(GZIP_MAGIC[:2], start):
        yield "gzip"
    elif body.startswith(ZSTD_MAGIC, start) or begins_skippable(body, start):
        yield "zstd"
    elif _is_zlib(body[start : start + 2]):
        yield "zlib"
    elif coding == "deflate":
        yield "raw"


def _misnamed(body: bytes, limit: int) -> Decoded | None:
    """Return what a body gives in a coding without a mark, None where it is in none of them."""
    tried = (decode(one, body, limit) for one in _WITHOUT_MARK)
    return next((one for one in tried if one.is_complete and _is_plausible(one.data)), None)


def _is_plausible(data: bytes) -> bool:
    """Say whether data is text, or begins as what another coding of a list gives."""
    return len(data) > 2 and (looks_like_text(data) or data.startswith((GZIP_MAGIC, ZSTD_MAGIC)))


def _is_zlib(head: bytes) -> bool:
    return (
        len(head) == 2
        and head[0] & 0x0F == 8
        and head[0] >> 4 <= 7
        and not (int.from_bytes(head, "big") % 31)
    )
