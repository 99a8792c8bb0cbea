"""The lists of the URL rules, the URL removal and C4's banned words, loaded from local files.

No list comes with the distribution: they are data of others, and most hold offensive words.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from udfs.domain_sets import DomainSet, domain_set

PathLike = str | Path


@dataclass(frozen=True, kw_only=True)
class ListSource:
    """Where a list came from: enough to tell later whether two runs used the same one."""

    path: str
    sha256: str
    entry_count: int


@dataclass(frozen=True, kw_only=True)
class UrlLists:
    """The lists of spec 2.3 and 2.4; an empty one bans (or removes) nothing."""

    domains: DomainSet = field(default_factory=lambda: domain_set(b""))
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
    """Load lists of one entry a line (UTF-8; blank lines are skipped) from local files.

    Raises ValueError, naming the list and the file, for one that is missing, empty or no UTF-8.
    """
    sources: dict[str, ListSource] = {}

    def words(name: str, path: PathLike | None) -> tuple[str, ...]:
        if path is None:
            return ()
        content = _content(name, path)
        try:
            lines = content.decode().splitlines()
        except UnicodeDecodeError as error:
            raise ValueError(f"{name}: {path} is not UTF-8 text ({error}); convert it") from error
        # First occurrences, in order.
        entries = tuple(dict.fromkeys(filter(None, map(str.strip, lines))))
        sources[name] = _source(name, path, content, len(entries))
        return entries

    def banned(path: PathLike | None) -> DomainSet:
        content = b"" if path is None else _content("domains", path)
        entries = domain_set(content)
        if path is not None:
            sources["domains"] = _source("domains", path, content, len(entries))
        return entries

    return UrlLists(
        domains=banned(domains),
        strict=words("strict", strict),
        hard=words("hard", hard),
        soft=words("soft", soft),
        top_level_domains=words("top_level_domains", top_level_domains),
        banned_words=words("banned_words", banned_words),
        sources=sources,
    )


def _content(name: str, path: PathLike) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ValueError(
            f"{name}: the list {path} cannot be read ({error.strerror}); give the path of a local "
            "text file with one entry a line"
        ) from error


def _source(name: str, path: PathLike, content: bytes, entry_count: int) -> ListSource:
    if entry_count == 0:
        raise ValueError(
            f"{name}: the list {path} has no entries; leave {name} out to do without it"
        )
    return ListSource(
        path=str(path), sha256=hashlib.sha256(content).hexdigest(), entry_count=entry_count
    )
