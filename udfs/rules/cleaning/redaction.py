"""E-mail addresses, public IPv4 addresses and phone numbers of kept texts, replaced.

E-mail and IP addresses as datatrove 0.10's PIIFormatter does it, which made FineWeb: the same
expressions, the same replacements in turn (there over all documents of a worker, here from the
first one in each document, so that a text does not depend on others). Phone numbers are our own:
datatrove has no such step. A number is one with a country code ("+", at most 15 digits: E.164) or
one of the North American plan (three, three and four digits, area and exchange from 2); the
replacements are numbers that this plan keeps for fiction.
"""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from udfs.text.byte_masks import BLOCK, ONE, first_bits, in_range, ones, readable_blocks
from udfs.text.columns import read_only, utf8_buffers

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|[01]?[0-9][0-9]?)"
_DOMAIN = re.compile(
    rf"(?:{_LABEL}\.)+{_LABEL}"
    rf"|\[(?:{_OCTET}\.){{3}}(?:{_OCTET}|[A-Za-z0-9-]*[A-Za-z0-9]:)]"
)
_EMAIL = re.compile(rf"\b{_ATOM}(?:\.{_ATOM})*@(?:{_DOMAIN.pattern})")
_IP = re.compile(rf"(?:{_OCTET}\.){{3}}{_OCTET}")
_PHONE = re.compile(
    r"(?<![\w+])(?:\+[1-9][0-9]{0,2}(?:[ .-]?\(?[0-9]{1,5}\)?){2,5}"
    r"|(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .-])[2-9][0-9]{2}[ .-][0-9]{4})(?![\w])"
)
_EMAILS = ("email@example.com", "firstname.lastname@example.org")
# Did not answer when datatrove's authors drew them.
_IPS = (
    "22.214.171.124", "126.96.36.199", "188.8.131.52", "184.108.40.206", "220.127.116.11",
    "18.104.22.168",
)  # fmt: skip
_PHONES = ("(555) 555-0100", "(555) 555-0199")
# What may stand before "@" in a match.
_BEFORE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+/=?^_`{|}~-."
_NUMERALS = re.compile(r"[0-9.]{7,}")
_AT_SIGN, _DIGIT_0, _DOT = 64, 48, 46
_HAS_AT, _HAS_DOTTED, _HAS_SEVEN = 1, 2, 4


@dataclass(frozen=True, kw_only=True)
class RedactionSettings:
    """What is replaced in the texts of kept documents, and counted for each."""

    # E-mail addresses are replaced.
    emails: bool = False
    # IPv4 addresses are replaced, those that the Internet routes, not "192.168.0.1".
    public_ips: bool = False
    # Telephone numbers are replaced.
    phones: bool = False

    @property
    def columns(self) -> tuple[pa.Field, ...]:
        """Return the columns that count what was replaced, of those that are switched on."""
        return tuple(
            pa.field(f"num_{one.name}_replaced", pa.int32())
            for one in fields(self)
            if getattr(self, one.name)
        )


def redact(
    texts: pa.Array, settings: RedactionSettings
) -> tuple[pa.LargeStringArray, dict[str, npt.NDArray[np.int32]]]:
    """Return the texts with replacements, and for each column how many each text has."""
    data, offsets = utf8_buffers(texts)
    hints = _hints(readable_blocks(data), read_only(offsets))
    replaced = texts.cast(pa.large_string())
    counts = {one.name: np.zeros(len(texts), np.int32) for one in settings.columns}
    changed: dict[int, str] = {}
    for column, name, hint, replace in (
        ("num_emails_replaced", "emails", _HAS_AT, _without_emails),
        ("num_public_ips_replaced", "public_ips", _HAS_DOTTED, _without_ips),
        ("num_phones_replaced", "phones", _HAS_SEVEN, _without_phones),
    ):
        if not getattr(settings, name):
            continue
        for row in np.flatnonzero(hints & hint).tolist():
            text = changed.get(row) or replaced[row].as_py() or ""
            new, count = replace(text)
            if count:
                changed[row], counts[column][row] = new, count
    return _with(replaced, changed), counts


def _with(texts: pa.LargeStringArray, changed: dict[int, str]) -> pa.LargeStringArray:
    if not changed:
        return texts
    rows = sorted(changed)
    new = pa.array([changed[row] for row in rows], pa.large_string())
    sources = np.arange(len(texts))
    sources[rows] = len(texts) + np.arange(len(rows))
    return pa.concat_arrays([texts, new]).take(pa.array(sources))


def _without_emails(text: str) -> tuple[str, int]:
    """Look around each "@" only, and where its domain is one: the expression is slow on words."""
    parts: list[str] = []
    copied = first = 0
    place = text.find("@")
    while place >= 0:
        start, first = _local_part(text, first, place), place + 1
        domain = _DOMAIN.match(text, first) if start < place else None
        found = domain and _EMAIL.search(text, start, domain.end())
        if found:
            parts += (text[copied : found.start()], _EMAILS[len(parts) // 2 % len(_EMAILS)])
            copied = first = found.end()
        place = text.find("@", first)
    return "".join([*parts, text[copied:]]), len(parts) // 2


def _local_part(text: str, first: int, place: int) -> int:
    """Return where the atoms that end at text[place] start, `place` if there are none.

    Between first and last character no two dots meet, so that every search there ends at once.
    """
    if text[place - 1 : place] == ".":
        return place
    start = first + len(text[first:place].rstrip(_BEFORE))
    dots = text.rfind("..", start, place)
    return start if dots < 0 else dots + 2


def _without_ips(text: str) -> tuple[str, int]:
    replace = _Replacer(_IPS, _is_public)
    new = _NUMERALS.sub(lambda run: _IP.sub(replace, run[0]), text)
    return new, replace.count


def _without_phones(text: str) -> tuple[str, int]:
    replace = _Replacer(_PHONES, _has_phone_size)
    return _PHONE.sub(replace, text), replace.count


class _Replacer:
    """Replaces matches that pass a test by each of some texts in turn."""

    def __init__(self, replacements: tuple[str, ...], test: Callable[[str], bool]) -> None:
        self._replacements, self._test = replacements, test
        self.count = 0

    def __call__(self, match: "re.Match[str]") -> str:
        if not self._test(match[0]):
            return match[0]
        self.count += 1
        return self._replacements[(self.count - 1) % len(self._replacements)]


def _is_public(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False


def _has_phone_size(number: str) -> bool:
    return 8 <= sum(letter.isdigit() for letter in number) <= 15


@njit(cache=True, nogil=True)
def _hints(data, offsets):
    """Return for each text what it may hold: "@", three dots between digits, seven digits."""
    hints = np.zeros(offsets.size - 1, np.uint8)
    last_bit = ONE << np.uint64(BLOCK - 1)
    for text in range(hints.size):
        end = offsets[text + 1]
        dots = digits = 0
        for block in range(offsets[text], end, BLOCK):
            valid = first_bits(end - block)
            if in_range(data, block, _AT_SIGN, 1) & valid:
                hints[text] |= _HAS_AT
            numerals = in_range(data, block, _DIGIT_0, 10) & valid
            digits += ones(numerals)
            # Of a dot at either end of the block, the digit beyond it is taken for granted.
            inner = (numerals << ONE | ONE) & (numerals >> ONE | last_bit)
            dots += ones(in_range(data, block, _DOT, 1) & valid & inner)
        hints[text] |= (_HAS_DOTTED if dots > 2 else 0) | (_HAS_SEVEN if digits > 6 else 0)
    return hints
