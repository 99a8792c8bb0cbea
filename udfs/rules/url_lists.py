"""The lists of the URL rules, the URL removal and C4's banned words, loaded from local files.

No list comes with the distribution: they are data of others, and most hold offensive words.
"""

import codecs
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from udfs.rules.banned_domains import BannedDomains

PathLike = str | Path
# What files begin with that gzip, zstd, bzip2 or xz has made.
_COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ\0")


@dataclass(frozen=True, kw_only=True)
class ListSource:
    """Where a list came from: enough to tell later whether two runs used the same one."""

    path: str
    sha256: str
    entry_count: int
    # Lines of the list of domains that name no host: they ban nothing unless they are matched as
    # they are written.
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class UrlLists:
    """The lists of spec 2.3, 2.4 and 2.9; an empty one bans (or removes) nothing."""

    domains: BannedDomains = field(default_factory=BannedDomains)
    strict: tuple[str, ...] = ()
    hard: tuple[str, ...] = ()
    soft: tuple[str, ...] = ()
    top_level_domains: tuple[str, ...] = ()
    # C4: words that no page may hold (spec 2.9).
    banned_words: tuple[str, ...] = ()
    # By the name of the list, for those that were loaded.
    sources: Mapping[str, ListSource] = field(default_factory=dict)


def load_url_lists(
    *,
    domains: PathLike | None = None,
    strict: PathLike | None = None,
    hard: PathLike | None = None,
    soft: PathLike | None = None,
    top_level_domains: PathLike | None = None,
    banned_words: PathLike | None = None,
) -> UrlLists:
    """Load lists of one entry a line (UTF-8) from local files.

    A byte order mark, blank lines and lines that begin with "# " are skipped. Raises ValueError,
    naming the list and the file, for one that is missing, empty, compressed or no UTF-8.
    """
    sources: dict[str, ListSource] = {}

    def words(name: str, path: PathLike | None) -> tuple[str, ...]:
        if path is None:
            return ()
        content = _content(name, path)
        # First occurrences, in order.
        entries = tuple(dict.fromkeys(_lines(name, path, content)))
        sources[name] = _source(name, path, content, len(entries))
        return entries

    def banned(path: PathLike | None) -> BannedDomains:
        content = b"" if path is None else _content("domains", path)
        entries = BannedDomains(content)
        if path is not None:
            source = _source("domains", path, content, len(entries))
            sources["domains"] = replace(source, unread=entries.as_meant.unread)
        return entries

    return UrlLists(
        domains=banned(domains),
        strict=words("strict", strict),
        hard=words("hard", hard),
        soft=words("soft", soft),
        # IANA publishes them in upper case.
        top_level_domains=tuple(map(str.lower, words("top_level_domains", top_level_domains))),
        banned_words=words("banned_words", banned_words),
        sources=sources,
    )


def _lines(name: str, path: PathLike, content: bytes) -> Iterator[str]:
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{name}: {path} is not UTF-8 text ({error}); convert it") from error
    for line in map(str.strip, lines):
        if line and not line.startswith("# "):
            yield line


def _content(name: str, path: PathLike) -> bytes:
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(
            f"{name}: the list {path} cannot be read ({error.strerror}); give the path of a local "
            "text file with one entry a line"
        ) from error
    if content.startswith(_COMPRESSED):
        raise ValueError(f"{name}: {path} is compressed; unpack it")
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError(f"{name}: {path} is not UTF-8 text but UTF-16; convert it")
    return content


def _source(name: str, path: PathLike, content: bytes, entry_count: int) -> ListSource:
    if entry_count == 0:
        raise ValueError(
            f"{name}: the list {path} has no entries; leave {name} out to do without it"
        )
    return ListSource(
        path=str(path), sha256=hashlib.sha256(content).hexdigest(), entry_count=entry_count
    )
