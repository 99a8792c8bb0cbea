"""What is to be removed: lists of domains, addresses and ids, as they are given and kept."""

import io
import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from dclm_spark.errors import InputError
from udfs import storage
from udfs.rules.banned_domains import to_punycode
from udfs.storage.stream import shown
from udfs.units.removals import LIST

_AGENT = re.compile(r"[A-Za-z0-9_. -]+")
_ID = re.compile(r"[0-9a-f]{32}")
_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)+")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#]\S*")
# What follows an address without a space is its own fragment.
_COMMENT = re.compile(r"(?:^|\s)#.*")
_EXPECTED = {
    "id": (_ID, "32 hex digits, as jobs/explain_page.py prints them"),
    "url": (_ADDRESS, "an address with its scheme, such as https://example.org/page"),
    "domain": (_HOST, "a name such as example.org, for all below it, without scheme and path"),
}


def read_list(kind: str, uri: str) -> list[str]:
    """Return the entries of a text file, one a line; what follows a # is a comment.

    Raises InputError for a file that is not there, and for a line that is not what `kind` wants
    ("id", "url" or "domain").
    """
    found = []
    pattern, expected = _EXPECTED[kind]
    for number, line in _lines(f"--{kind}s", uri, f"one {kind} a line"):
        entry = line if kind == "url" else line.lower().rstrip(".")
        entry = to_punycode(entry) if kind == "domain" else entry
        if not pattern.fullmatch(entry):
            raise InputError(f"{shown(uri)}, line {number}: {line!r} is not {expected}")
        found.append(entry)
    return found


def read_agents(uri: str) -> tuple[str, ...]:
    """Return the names of a text file, one a line, by which robots.txt speaks to agents.

    Raises InputError for a file that is not there, and for a line that robots.txt cannot have.
    """
    option = "--robots-agents"
    found = []
    for number, line in _lines(option, uri, "one name of an agent a line"):
        if not _AGENT.fullmatch(line):
            raise InputError(
                f"{shown(uri)}, line {number}: {line!r} is not a name such as GPTBot; "
                "User-agent: * counts for every agent that a site does not name"
            )
        found.append(line)
    if not found:
        raise InputError(f"{option} {shown(uri)}: it names no agent")
    return tuple(found)


def _lines(option: str, uri: str, expected: str) -> list[tuple[int, str]]:
    """Return number and text of the lines that say something."""
    try:
        # Editors may put a mark before the first line, which would be part of its entry.
        text = storage.read_bytes(uri).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{shown(uri)}: not UTF-8 ({error}); save the list as UTF-8") from None
    except storage.MissingObjectError as error:
        raise InputError(
            f"{option} {shown(uri)}: there is no such file; expected a text file of {expected}"
        ) from error
    lines = enumerate((_COMMENT.sub("", line).strip() for line in text.splitlines()), 1)
    return [(number, line) for number, line in lines if line]


def list_bytes(entries: Sequence[tuple[str, str]]) -> bytes:
    """Return (kind, value) pairs as a Parquet file; the same pairs give the same bytes."""
    rows = [{"kind": kind, "value": value} for kind, value in sorted(set(entries))]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, LIST), sink, compression="zstd", store_schema=False)
    return sink.getvalue()


def all_entries(lists: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return the entries of list files, given as (kind, uri) pairs; InputError for none at all."""
    found = tuple((kind, entry) for kind, uri in lists for entry in read_list(kind, uri))
    if lists and not found:
        raise InputError("the lists given have no entry")
    return found
