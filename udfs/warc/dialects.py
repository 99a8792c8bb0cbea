"""The two forms of crawl files: what a record begins with in WARC (0.17 to 1.1) and in ARC."""

import re
from dataclasses import dataclass

_VERSION = rb"(?:WARC|warc)/(?:0\.1[78]|1\.[01])[ \t]*\r?\n"
# URL, address of the host, date, media type (in version 2 more fields) and length.
_ARC_ADDRESS = (
    rb"((?:https?|ftp|dns|filedesc|metadata|whois|warcinfo):[^\r\n]{0,16384}?)"
    rb" ([0-9A-Fa-f.:-]{1,45}) (\d{12,20}) ([^\r\n]{0,1024}?) ?"
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How to find the records of a file."""

    # The first line of a record, where it begins, and behind the end of a line.
    first_line: re.Pattern[bytes]
    next_record: re.Pattern[bytes]
    # What a record begins with at the least.
    mark: re.Pattern[bytes]
    # Of what follows a record, so much tells whether it is another one.
    lookahead_bytes: int


WARC = Dialect(
    first_line=re.compile(_VERSION, re.IGNORECASE),
    next_record=re.compile(rb"\n" + _VERSION),
    mark=re.compile(rb"WARC/", re.IGNORECASE),
    lookahead_bytes=24,
)
ARC_START = b"filedesc://"
ARC_LINE_SIZE_BYTES = 20 * 1024
# A length that is none is an error to report.
_ARC_FIRST_LINE = re.compile(_ARC_ADDRESS + rb"([^ \r\n]{1,18})\r?\n", re.IGNORECASE)
ARC = Dialect(
    first_line=_ARC_FIRST_LINE,
    next_record=re.compile(rb"\n" + _ARC_ADDRESS + rb"(\d{1,18})\r?\n", re.IGNORECASE),
    mark=_ARC_FIRST_LINE,
    lookahead_bytes=ARC_LINE_SIZE_BYTES,
)


def dialect_of(head: bytes) -> Dialect | None:
    """Return the form of what begins so, or has a record behind bytes that are none."""
    if WARC.mark.match(head):
        return WARC
    if head.startswith(ARC_START) or ARC.first_line.match(head):
        return ARC
    places = {one: one.next_record.search(b"\n" + head) for one in (WARC, ARC)}
    found = [(place.start(), one) for one, place in places.items() if place]
    return min(found, key=lambda pair: pair[0])[1] if found else None


def begins_record(data: bytes) -> bool:
    """Say whether data begins with a record of either form."""
    head = data.lstrip(b"\r\n")
    return bool(
        WARC.first_line.match(head) or ARC.next_record.match(b"\n" + head[:ARC_LINE_SIZE_BYTES])
    )


def arc_fields(line: re.Match[bytes]) -> dict[str, str]:
    """Return the first line of an ARC record as the fields that a WARC record has."""
    url, address, date, kind, length = (part.decode("utf-8", "replace") for part in line.groups())
    return {
        "warc-type": _type_of(url),
        "warc-target-uri": url,
        "warc-ip-address": address,
        "warc-date": _iso_date(date),
        "content-type": kind.partition(" ")[0],
        "content-length": length,
    }


def _type_of(url: str) -> str:
    if url.startswith(ARC_START.decode()):
        return "warcinfo"
    return "response" if url.lower().startswith(("http:", "https:")) else "resource"


def _iso_date(date: str) -> str:
    day, time = date[:8], date[8:14].ljust(6, "0")
    return f"{day[:4]}-{day[4:6]}-{day[6:]}T{time[:2]}:{time[2:4]}:{time[4:]}Z"
