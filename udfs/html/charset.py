"""From bytes to Unicode text: which charset a page is in, and who says so.

Two policies. `strict-utf-8` is the reference's: what is not UTF-8 is lost (spec 1.1). `declared`
asks, in this order: a byte order mark, the charset that the crawler detected, the HTTP header, the
page's own declaration, UTF-8, statistical detection. What is declared is decoded as browsers do,
with U+FFFD for bytes that are wrong. A declaration is not believed where the bytes contradict it:
many of them are wrong, they are UTF-8 beyond ASCII and it says otherwise, or markup in UTF-16.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

from udfs.html.charset_labels import BROWSERS_ERRORS, codec_of, python_codec

STRICT_UTF_8, DECLARED = "strict-utf-8", "declared"
POLICIES = (STRICT_UTF_8, DECLARED)

_META_SEARCH_BYTES = 4096
_META = re.compile(
    rb"<meta[^>]{0,256}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{1,40})"
    rb"|<\?xml[^>]{0,128}?encoding\s*=\s*[\"']([A-Za-z0-9_:.-]{1,40})",
    re.IGNORECASE,
)
_HTTP_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)
_COMMENT = re.compile(rb"<!--.*?-->", re.DOTALL)
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_REPLACEMENT = "\ufffd".encode()
# How markup begins in UTF-16 where no byte order mark does.
_WIDE_MARKUP = (
    (re.compile(rb"(?:[\t\n\r ]\0){0,64}<\0[!?A-Za-z/]\0"), "utf-16-le"),
    (re.compile(rb"(?:\0[\t\n\r ]){0,64}\0<\0[!?A-Za-z/]"), "utf-16-be"),
)
# What ISO-2022-JP and -KR put before letters beyond ASCII; no page in ASCII has it.
_SHIFTS = ((b"\x1b$)C", "iso2022_kr"), (b"\x1b$", "iso2022_jp_ext"))
# So few wrong bytes are no reason to doubt what is said to be UTF-8.
_LETTERS_A_WRONG_ONE = 100
# What browsers fall back on in most languages.
_FALLBACK = "cp1252"
# Charsets in which plain ASCII bytes may stand for other characters.
_SEVEN_BIT = ("iso2022", "hz", "utf-16", "utf-32", "utf-7")


@dataclass(frozen=True, slots=True)
class Decoded:
    """A page as UTF-8, the charset it came in and the `source` that told the charset."""

    utf8: bytes
    charset: str
    source: str
    # How many times U+FFFD stands for bytes that are wrong in the charset.
    num_wrong: int = 0


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
            return _Read.of(payload[len(mark) :], charset).as_page("byte-order-mark")
    claims = list(_claims(payload, http_content_type, detected_charset))
    for markup, charset in _WIDE_MARKUP:
        if markup.match(payload):
            return _Read.of(payload, charset).as_page(dict(claims).get(charset, "detected"))
    is_seven_bit = bool(claims and claims[0][0].startswith(_SEVEN_BIT))
    said = next((source for charset, source in claims if charset == "utf-8"), "utf-8")
    if not is_seven_bit and (shifted := _shifted(payload)) is not None:
        return shifted.as_page("detected")
    if _is_utf8(payload) and not is_seven_bit:
        return Decoded(payload, "utf-8", said)
    utf8 = _Read.of(payload, "utf-8")
    if utf8.is_certain and not is_seven_bit:
        return utf8.as_page(said)
    for charset, source in claims:
        read = utf8 if charset == "utf-8" else _Read.of(payload, charset)
        if read.is_believable:
            return read.as_page(source)
    charset = _detected(payload)
    if charset == "utf-8" and not utf8.is_believable:
        charset = _FALLBACK
    return _Read.of(payload, charset).as_page("detected")


@dataclass(frozen=True, slots=True)
class _Read:
    """Bytes as text of one charset: how many characters are wrong, and how many beyond ASCII."""

    payload: bytes
    text: str
    charset: str
    num_wrong: int
    num_beyond_ascii: int

    @classmethod
    def of(cls, payload: bytes, charset: str) -> "_Read":
        text = _decoded(payload, charset)
        wrong = text.count("\ufffd") - payload.count(_REPLACEMENT)
        beyond = len(text) - len(text.encode("ascii", "ignore")) - wrong
        return cls(payload, text, charset, max(0, wrong), beyond)

    @property
    def is_certain(self) -> bool:
        """Say whether bytes of another charset would hardly read like this (for UTF-8)."""
        return self.num_wrong == 0 or self.num_wrong * 10 <= self.num_beyond_ascii

    @property
    def is_believable(self) -> bool:
        if self.charset.startswith("utf-16") and b"\0" not in self.payload:
            # Markup is in ASCII letters.
            return False
        # Several bytes make a letter of UTF-8 beyond ASCII, which do so rarely by chance.
        enough = self.num_wrong * (1 if self.charset == "utf-8" else 10)
        return self.num_wrong <= 1 or enough <= self.num_beyond_ascii

    def as_page(self, source: str) -> Decoded:
        is_same = self.charset == "utf-8" and not self.num_wrong
        utf8 = self.payload if is_same else _to_utf8(self.text)
        return Decoded(utf8, self.charset, source, self.num_wrong)


def mended_utf8(payload: bytes) -> Decoded | None:
    """Return bytes that are said to be UTF-8 with U+FFFD for what is wrong; None for other ones."""
    if _is_utf8(payload):
        return Decoded(payload, "utf-8", "given")
    read = _Read.of(payload, "utf-8")
    few = read.num_wrong * _LETTERS_A_WRONG_ONE <= len(read.text)
    return read.as_page("given") if few or read.is_believable else None


def strict(payload: bytes) -> Decoded:
    """Return what `strict-utf-8` makes of a page that is UTF-8."""
    return Decoded(payload, "utf-8", "strict")


def _claims(
    payload: bytes, http_content_type: str | None, detected_charset: str | None
) -> Iterator[tuple[str, str]]:
    """Yield (Python codec, source) of every charset that somebody claims."""
    header = _HTTP_CHARSET.search(http_content_type or "")
    meta = _META.search(_COMMENT.sub(b"", payload[:_META_SEARCH_BYTES]))
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


def _shifted(payload: bytes) -> _Read | None:
    """Return a page in seven bits that switches character sets, None for any other."""
    if not payload.isascii() or b"\x1b$" not in payload:
        return None
    charset = next(charset for shift, charset in _SHIFTS if shift in payload)
    read = _Read.of(payload, charset)
    return read if read.is_certain else None


def _detected(payload: bytes) -> str:
    """Return the codec that statistics speak for, _FALLBACK where none do."""
    from resiliparse.parse.encoding import detect_encoding

    # Its names for browsers leave out what only Python has, such as cp949, and say utf-8 instead.
    name = detect_encoding(payload, html5_compatible=False) or ""
    return codec_of(name) or python_codec(name) or _FALLBACK


def _decoded(payload: bytes, charset: str) -> str:
    errors = "replace" if charset.startswith("utf-") else BROWSERS_ERRORS
    return payload.decode(charset, errors)


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
