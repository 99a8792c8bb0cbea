"""Charset labels as browsers read them (WHATWG Encoding Standard), and Python's codecs for them.

Browsers decode supersets of what old labels name, and give bytes a meaning that Python's codecs
leave undefined.
"""

import codecs
from functools import lru_cache

# The name of an error handler, for `bytes.decode`.
BROWSERS_ERRORS = "dclm_spark.browsers"
# By the standard's names; others are Python's names too.
_SUPERSETS = {
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "euc-kr": "cp949",
    "shift_jis": "cp932",
    "windows-874": "cp874",
    "iso-2022-jp": "iso2022_jp_ext",
    "iso-8859-8-i": "iso8859-8",
    "macintosh": "mac-roman",
    "x-mac-cyrillic": "mac-cyrillic",
    "x-user-defined": "cp1252",
}
# Browsers refuse these for their scripts' sake; as data they can be read.
_REFUSED_BY_BROWSERS = {
    "hz-gb-2312": "hz",
    "iso-2022-kr": "iso2022_kr",
    "csiso2022kr": "iso2022_kr",
}
_WHITE_SPACE = " \t\n\f\r"


@lru_cache(maxsize=512)
def codec_of(label: str) -> str | None:
    """Return the Python codec for a charset label, None where the standard has no such label."""
    from webencodings.labels import LABELS

    label = label.strip(_WHITE_SPACE).lower()
    name = LABELS.get(label)
    if name is None:
        return None
    try:
        return codecs.lookup(_REFUSED_BY_BROWSERS.get(label) or _SUPERSETS.get(name, name)).name
    except LookupError:
        return None


def python_codec(name: str) -> str | None:
    """Return the codec of text that Python knows by a name, None for none."""
    try:
        "".encode(name)
        return codecs.lookup(name).name
    except LookupError:
        return None


def _as_browsers(error: UnicodeError) -> tuple[str, int]:
    """Return what stands for bytes that a codec does not know, and where to go on."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    byte = error.object[error.start]
    if error.encoding == "charmap" and 0x80 <= byte < 0xA0:
        return chr(byte), error.start + 1
    if error.encoding == "gb18030" and byte == 0x80:
        return "€", error.start + 1
    if error.encoding == "euc_jp" and (letter := _of_vendors(error.object[error.start :][:2])):
        return letter, error.start + 2
    return "\ufffd", error.end


def _of_vendors(pair: bytes) -> str | None:
    """Return the character of NEC's or IBM's extensions that two bytes of EUC-JP name."""
    if len(pair) < 2 or min(pair) < 0xA1 or max(pair) > 0xFE:
        return None
    row, cell = pair[0] - 0xA1, pair[1] - 0xA1
    lead = row // 2 + (0x81 if row < 62 else 0xC1)
    trail = cell + (0x9F if row % 2 else 0x40)
    if not row % 2 and trail >= 0x7F:
        trail += 1
    try:
        return bytes((lead, trail)).decode("cp932")
    except UnicodeDecodeError:
        return None


codecs.register_error(BROWSERS_ERRORS, _as_browsers)
