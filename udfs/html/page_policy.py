"""What a page says of its use: robots directives, reservation of text mining, licence links.

Read from HTTP headers and from the bytes of the page before it is parsed (directives from its
head), in encodings that spell ASCII as ASCII. Directives for one crawler count where that is
CCBot, Common Crawl's.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa

from udfs.checks import Allowed, check
from udfs.text.columns import Bytes
from udfs.text.word_search import find_word, searchable, word

DIRECTIVES = ("noindex", "noai", "noimageai")
TDM_RESERVATION = "tdm_reservation"
# Rules that `PagePolicySettings.drop` may name.
RULES = (*(f"robots_{name}" for name in DIRECTIVES), TDM_RESERVATION)
COLUMNS = (
    *(pa.field(rule, pa.bool_()) for rule in RULES),
    # Creative Commons: "by-sa", "zero", "mark" and so on, and "4.0".
    pa.field("licence_kind", pa.string()),
    pa.field("licence_version", pa.string()),
    # Whether the link says rel="license": it is the page's own, and not one of many on it.
    pa.field("licence_is_declared", pa.bool_()),
)

_NAMES = tuple(map(word, (b"robots", b"ccbot", b"tdm-reservation")))
_HEAD_ENDS = tuple(map(word, (b"</head", b"<body")))
_META = re.compile(rb"<meta[\s/]")
_NAME = re.compile(rb"""\sname\s*=\s*["']?\s*(robots|ccbot|tdm-reservation)\b""")
_CONTENT = re.compile(rb"""\scontent\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+))""")
_HEADER_DIRECTIVES = re.compile(r"(?:^|,)\s*(?:([\w-]+)\s*:(?!\s*\d))?\s*([^,:]*)")
_COMMONS = word(b"creativecommons.org/")
_LICENCE = re.compile(
    rb"""href\s*=\s*["']?\s*(?:https?:)?//(?:www\.)?creativecommons\.org/"""
    rb"""(?:licenses|publicdomain)/([a-z+-]{2,30})(?:/(\d\.\d))?""",
    re.IGNORECASE,
)
_DECLARES = re.compile(rb"""\srel\s*=\s*(?:"[^"]*|'[^']*|)\blicense\b""", re.IGNORECASE)
# Bytes of `href="https://www.` with blanks, of the path of a licence, and of a tag.
_BEFORE_HOST, _LONGEST_PATH, _LONGEST_TAG = 40, 80, 2000
_CRAWLERS = {"", "*", "robots", "ccbot"}


@dataclass(frozen=True, kw_only=True)
class PagePolicySettings:
    """Whether pages' own words on their use are read, and which of them drop a page."""

    # Store what pages say of their use: robots directives, text mining, licence.
    record: bool = False
    # Directives that drop a page; what drops is recorded too.
    drop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        words = f"a list of {', '.join(RULES)}"
        check(self, drop=Allowed(lambda names: set(names) <= set(RULES), words))

    @property
    def is_read(self) -> bool:
        """Return whether pages are looked at at all."""
        return self.record or bool(self.drop)


class Licence(NamedTuple):
    """A Creative Commons licence, a version only where the link names one."""

    kind: str
    version: str | None
    is_declared: bool


class PagePolicy(NamedTuple):
    """The rules (of RULES) that a page's words set off, and its licence."""

    reserved: frozenset[str]
    licence: Licence | None

    def columns(self) -> dict[str, bool | str | None]:
        """Return the values of COLUMNS."""
        licence = self.licence or (None, None, None)
        return {rule: rule in self.reserved for rule in RULES} | dict(
            zip([column.name for column in COLUMNS[len(RULES) :]], licence, strict=True)
        )


def read_policy(payload: bytes, x_robots_tag: str = "", tdm_reservation: str = "") -> PagePolicy:
    """Return what the page and the two HTTP headers say; of absent headers, "".

    Headers that came more than once stand on lines of their own.
    """
    directives = _header_directives(x_robots_tag)
    is_reserved = tdm_reservation.strip() == "1"
    data = searchable(payload)
    for name, content in _metas(payload, data):
        if name == b"tdm-reservation":
            is_reserved |= content.strip() == "1"
        else:
            directives |= {word.strip() for word in content.split(",")}
    if "none" in directives:
        directives.add("noindex")
    rules = {f"robots_{name}" for name in DIRECTIVES if name in directives}
    reserved = frozenset(rules | ({TDM_RESERVATION} if is_reserved else set()))
    return PagePolicy(reserved, _licence(payload, data))


def _metas(payload: bytes, data: Bytes) -> Iterator[tuple[bytes, str]]:
    """Yield (name, content) of the metas of _NAMES in the head, in lower case.

    Looking for the words and then for the tags around them costs a tenth of reading all tags.
    """
    ends = (find_word(data, 0, len(payload), mark) for mark in _HEAD_ENDS)
    head_end = next((end for end in ends if end >= 0), len(payload))
    for wanted in _NAMES:
        for place in _places(data, head_end, wanted):
            tag = _tag_around(payload, place).lower()
            name, content = _NAME.search(tag), _CONTENT.search(tag)
            if _META.match(tag) and name is not None and content is not None:
                value = b"".join(part or b"" for part in content.groups())
                yield name[1], value.decode("latin-1")


def _places(data: Bytes, end: int, wanted: Bytes) -> Iterator[int]:
    place = find_word(data, 0, end, wanted)
    while place >= 0:
        yield place
        place = find_word(data, place + 1, end, wanted)


def _tag_around(payload: bytes, place: int) -> bytes:
    """Return the tag that holds payload[place], without its end; b"" for none."""
    start = payload.rfind(b"<", max(0, place - _LONGEST_TAG), place)
    end = payload.find(b">", place, place + _LONGEST_TAG)
    return payload[start:end] if start >= 0 <= end else b""


def _header_directives(value: str) -> set[str]:
    """Return the directives for all crawlers and for CCBot; a name holds until the next one."""
    directives: set[str] = set()
    for header in value.lower().split("\n"):
        crawler = ""
        for name, directive in _HEADER_DIRECTIVES.findall(header):
            crawler = name or crawler
            if crawler in _CRAWLERS:
                directives.add(directive.strip())
    return directives


def _licence(payload: bytes, data: Bytes) -> Licence | None:
    """Return the licence of the first link that declares one, else of the first link."""
    first: Licence | None = None
    for place in _places(data, len(payload), _COMMONS):
        link = payload[max(0, place - _BEFORE_HOST) : place + _LONGEST_PATH]
        match = _LICENCE.search(link)
        if match is None:
            continue
        version = match[2].decode() if match[2] else None
        is_declared = _DECLARES.search(_tag_around(payload, place)) is not None
        licence = Licence(match[1].decode().lower(), version, is_declared)
        if is_declared:
            return licence
        first = first or licence
    return first
