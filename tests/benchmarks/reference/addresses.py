"""Steps 1 to 6: the page's address against the lists, and addresses in its text (spec 2.3, 2.4)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

from .page import Page, Step
from .tries import one_of

_SPACES = r"\s{0,10}"
_SCHEME = r"(?:(?:https?|ftp)://)?"
_HOST = r"[-a-zA-Z0-9@:%._+~#=]{1,256}\."
_TAIL = r"[-a-zA-Z0-9()@:%_+.~#?&/=]*"
_OCTET = r"[0-2]?[0-9]{1,2}"
_IP_ADDRESS = re.compile(rf"{_SPACES}\b{_SCHEME}(?:{_OCTET}\.){{3}}{_OCTET}{_TAIL}")
_MIN_SOFT_WORDS = 2


@dataclass(frozen=True, kw_only=True)
class Lists:
    """The lists of the URL rules; an empty one bans (or removes) nothing."""

    domains: frozenset[str] = frozenset()
    strict: tuple[str, ...] = ()
    hard: tuple[str, ...] = ()
    soft: tuple[str, ...] = ()
    top_level_domains: tuple[str, ...] = ()


def load_lists(paths: dict[str, str]) -> Lists:
    """Load the lists by the names of `Lists`, one entry a line; those not named stay empty."""
    found = {name: _entries(path) for name, path in paths.items()}
    return Lists(
        domains=frozenset(found.get("domains", ())),
        strict=found.get("strict", ()),
        hard=found.get("hard", ()),
        soft=found.get("soft", ()),
        top_level_domains=found.get("top_level_domains", ()),
    )


def _entries(path: str) -> tuple[str, ...]:
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return tuple(filter(None, map(str.strip, lines)))


def address_steps(lists: Lists) -> list[Step]:
    """Return steps 2 to 6; step 1 is the page's `url` itself."""
    return [
        _domain_step(lists.domains),
        _strict_step(lists.strict),
        _hard_step(lists.hard),
        _soft_step(lists.soft),
        _removal_step(lists.top_level_domains),
    ]


def _domain_step(domains: frozenset[str]) -> Step:
    def step(page: Page) -> bool:
        # A user, a port and a leading dot stay, so such hosts are in no list.
        return urlparse(page.url).netloc.lower().replace("www", "") not in domains

    return step


def _strict_step(words: Iterable[str]) -> Step:
    pattern = re.compile(one_of(words), re.IGNORECASE)
    ignored = str.maketrans("", "", "-.")
    return lambda page: pattern.search(page.url.lower().translate(ignored)) is None


def _hard_step(words: Iterable[str]) -> Step:
    pattern = _whole_words(words)
    return lambda page: pattern.search(page.url.lower()) is None


def _soft_step(words: Iterable[str]) -> Step:
    pattern = _whole_words(words)
    return lambda page: len(set(pattern.findall(page.url.lower()))) < _MIN_SOFT_WORDS


def _whole_words(words: Iterable[str]) -> re.Pattern[str]:
    return re.compile(rf"\b{one_of(words)}\b", re.IGNORECASE)


def _removal_step(domains: Iterable[str]) -> Step:
    domain = one_of(domains)
    opening = re.compile(domain, re.IGNORECASE)
    url = re.compile(rf"{_SPACES}{_SCHEME}{_HOST}{domain}\b{_TAIL}")

    def step(page: Page) -> bool:
        # The reference looks only whether the page begins like a domain.
        if opening.match(page.text):
            page.text = url.sub("", page.text)
        page.text = _IP_ADDRESS.sub("", page.text)
        return page.text != ""

    return step
