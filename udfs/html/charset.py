"""From bytes to Unicode text: which charset a page is in, and who says so.

Two policies. `strict-utf-8` is the reference's: what is not UTF-8 is lost (spec 1.1). `declared`
asks, in this order: a byte order mark, the charset that the crawler detected, the HTTP header, the
page's own declaration, UTF-8, statistical detection. A declaration is not believed where the bytes
contradict it: they do not decode, or they are valid UTF-8 beyond ASCII and it says otherwise.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

STRICT_UTF_8, DECLARED = "strict-utf-8", "declared"
POLICIES = (STRICT_UTF_8, DECLARED)

_META_SEARCH_BYTES = 4096
_META = re.compile(
    rb"<meta[^>]{0,256}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{1,40})"
    rb"|<\?xml[^>]{0,128}?encoding\s*=\s*[\"']([A-Za-z0-9_:.-]{1,40})",
    re.IGNORECASE,
)
_HTTP_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Charsets in which plain ASCII bytes may stand for other characters.
_SEVEN_BIT = ("iso2022", "hz", "utf-16", "utf-32", "utf-7")


@dataclass(frozen=True, slots=True)
class Decoded:
    """A page as UTF-8, the charset it came in and the `source` that told the charset."""

    utf8: bytes
    charset: str
    source: str


def decode(
    payload: bytes,
    *,
    http_content_type: str | None = None,
    detected_charset: str | None = None,
    policy: str = DECLARED,
) -> Decoded | None:
    """Return the page as UTF-8, or None where `strict-utf-8` refuses it."""
    if policy == STRICT_UTF_8:
        return strict(payload) if _is_utf8(payload) else None
    for mark, charset in _BYTE_ORDER_MARKS:
        if payload.startswith(mark):
            return _recoded(payload[len(mark) :], charset, "byte-order-mark")
    claims = list(_claims(payload, http_content_type, detected_charset))
    if _is_utf8(payload) and not (claims and claims[0][0].startswith(_SEVEN_BIT)):
        sources = [source for charset, source in claims if charset == "utf-8"]
        return Decoded(payload, "utf-8", sources[0] if sources else "utf-8")
    for charset, source in claims:
        try:
            return Decoded(_to_utf8(payload.decode(charset)), charset, source)
        except (UnicodeDecodeError, LookupError):
            continue
    return _recoded(payload, _detected(payload), "detected")


def strict(payload: bytes) -> Decoded:
    """Return what `strict-utf-8` makes of a page that is UTF-8."""
    return Decoded(payload, "utf-8", "strict")


def _claims(
    payload: bytes, http_content_type: str | None, detected_charset: str | None
) -> Iterator[tuple[str, str]]:
    """Yield (Python codec, source) of every charset that somebody claims."""
    header = _HTTP_CHARSET.search(http_content_type or "")
    meta = _META.search(payload, 0, _META_SEARCH_BYTES)
    meta_label = (meta[1] or meta[2]).decode() if meta else None
    for label, source in (
        (detected_charset, "warc-metadata"),
        (header[1] if header else None, "http-header"),
        (meta_label, "meta"),
    ):
        charset = codec_of(label.strip()) if label else None
        # A page that says UTF-16 in ASCII letters is not in UTF-16.
        if charset and source == "meta" and charset.startswith("utf-16"):
            charset = "utf-8"
        if charset:
            yield charset, source


@lru_cache(maxsize=512)
def codec_of(label: str) -> str | None:
    """Return the Python codec for a charset label as browsers read it (iso-8859-1 is cp1252)."""
    from resiliparse.parse.encoding import map_encoding_to_html5

    mapped = map_encoding_to_html5(label, fallback_utf8=False)
    if not mapped:
        return None
    try:
        return codecs.lookup(mapped).name
    except LookupError:
        return None


def _detected(payload: bytes) -> str:
    from resiliparse.parse.encoding import detect_encoding

    return codec_of(detect_encoding(payload) or "") or "cp1252"


def _recoded(payload: bytes, charset: str, source: str) -> Decoded:
    """Decode what there is no better guess for; bytes that do not decode become U+FFFD."""
    return Decoded(_to_utf8(payload.decode(charset, "replace")), charset, source)


def _to_utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _is_utf8(payload: bytes) -> bool:
    if payload.isascii():
        return True
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True
