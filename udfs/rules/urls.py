"""Rules on a page's address (steps 1 to 5, spec 2.3), its host, and its form for deduplication.

Step 1 of the reference copies WARC-Target-URI to `url`; here that is the `url` column itself.
Addresses of plain ASCII are judged in a compiled kernel, the others, about one in a hundred, by
`url_outcome`, which is also the function to call by hand.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit, urlunsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from udfs.quirks import follows_reference
from udfs.rules.banned_domains import names_of
from udfs.rules.url_kernels import NEEDS_PYTHON, AddressOutcomes, AddressTests, judge_urls
from udfs.rules.url_lists import UrlLists
from udfs.text.columns import read_only, utf8_buffers
from udfs.text.tries import Trie, build_trie
from udfs.text.unicode import case_variants, character_properties

# In the order of steps 2 to 5.
RULES = ("url_domain", "url_strict_word", "url_hard_word", "url_soft_words")
# The reference fails on an address that cannot be split, and drops the page.
UNREADABLE = "url_unreadable"
ADDRESS_RULES = (UNREADABLE, *RULES)


@dataclass(frozen=True, kw_only=True)
class UrlSettings:
    """How the lists are applied. Defaults: `dclm_baseline_refinedweb.yaml` (spec 2.2)."""

    # "dclm-2024": the network location, without any "www", must be a line of the list; "none": the
    # list bans what it is meant to (`udfs.rules.banned_domains`).
    quirks: str = "dclm-2024"
    # Deleted from the address before strict words are looked for.
    ignored_characters: str = "-."
    # Drop at so many different soft words.
    min_soft_words: int = 2

    def __post_init__(self) -> None:
        """Refuse unknown quirks and characters that are not ASCII."""
        follows_reference(self.quirks)
        if not self.ignored_characters.isascii():
            raise ValueError(
                f"ignored_characters: {self.ignored_characters!r} must be ASCII characters"
            )


@dataclass
class AddressCounts:
    """What a run counts of the addresses of an input file, besides fates."""

    # Pages that the list of banned domains is meant to ban and that the reference lets through.
    missed_domains: int = 0


@dataclass(frozen=True, kw_only=True)
class UrlOutcomes:
    """What the rules say of each address of a batch."""

    # The first of ADDRESS_RULES that drops the page, null where none does.
    rules: pa.StringArray
    # How many entries of the rule's list were found, and how many it takes; null with the rule,
    # and for an address that cannot be read.
    values: pa.DoubleArray
    thresholds: pa.DoubleArray
    # Why an address could not be read, mostly null.
    errors: pa.StringArray
    # Whether the domain is banned as the list is meant, but not as the reference looks it up.
    missed: pa.BooleanArray


def outcomes(urls: pa.Array, lists: UrlLists, settings: UrlSettings) -> UrlOutcomes:
    """Apply the four rules, in order, to a column of addresses; null is the empty address."""
    data, offsets = utf8_buffers(urls)
    found = AddressOutcomes(
        rules=np.empty(len(urls), np.int8),
        values=np.zeros(len(urls), np.float64),
        missed=np.zeros(len(urls), np.bool_),
    )
    judge_urls(read_only(data), read_only(offsets), found, _tests(lists, settings))
    rules = found.rules
    errors: list[str | None] = [None] * len(urls)
    for row in np.flatnonzero(rules == NEEDS_PYTHON):
        rules[row] = -1
        url = urls[int(row)].as_py() or ""
        try:
            outcome = url_outcome(url, lists, settings)
        except ValueError as error:
            rules[row], errors[row] = len(RULES), f"the URL cannot be parsed: {error}"
            continue
        found.missed[row] = is_missed(url, lists, settings)
        if outcome is not None:
            rules[row], found.values[row] = outcome
    needed = np.array([1, 1, 1, settings.min_soft_words, 0], np.float64)
    names = np.array([*RULES, UNREADABLE], object)
    compared = (rules >= 0) & (rules < len(RULES))
    return UrlOutcomes(
        rules=pa.array(names[rules], pa.string(), mask=rules < 0),
        values=pa.array(found.values, mask=~compared),
        thresholds=pa.array(needed[rules], mask=~compared),
        errors=pa.array(errors, pa.string()),
        missed=pa.array(found.missed),
    )


def _tests(lists: UrlLists, settings: UrlSettings) -> AddressTests:
    ignored = np.zeros(256, np.bool_)
    ignored[list(settings.ignored_characters.encode())] = True
    strict, hard, soft = _tries(lists.strict, lists.hard, lists.soft)
    meant = lists.domains.as_meant
    return AddressTests(
        with_quirks=follows_reference(settings.quirks),
        written=lists.domains.as_written,
        meant=meant.domains,
        meant_has_paths=meant.has_paths,
        ignored=read_only(ignored),
        min_soft_words=settings.min_soft_words,
        strict=strict,
        hard=hard,
        soft=soft,
        properties=character_properties(),
    )


def url_outcome(url: str, lists: UrlLists, settings: UrlSettings) -> tuple[int, float] | None:
    """Return (index in RULES, entries found) of the first rule that drops `url`, or None.

    Raises ValueError for an address that `urllib` cannot split, such as "http://[".
    """
    url = url.lower()
    is_banned = is_written if follows_reference(settings.quirks) else is_meant
    if is_banned(url, lists):
        return 0, 1.0
    strict, hard, soft = _patterns(lists.strict, lists.hard, lists.soft)
    squeezed = url.translate(dict.fromkeys(map(ord, settings.ignored_characters)))
    if strict.search(squeezed):
        return 1, 1.0
    if hard.search(url):
        return 2, 1.0
    found = len(set(soft.findall(url)))
    return (3, float(found)) if found >= settings.min_soft_words else None


def is_written(url: str, lists: UrlLists) -> bool:
    """Return whether the reference finds a lower-case address among the banned domains."""
    return lists.domains.as_written.has(urlsplit(url).netloc.replace("www", ""))


def is_meant(url: str, lists: UrlLists) -> bool:
    """Return whether an entry bans a lower-case address as its author means it."""
    parts = urlsplit(url)
    rest = urlunsplit(("", "", *parts[2:]))
    meant = lists.domains.as_meant
    return any(map(meant.domains.has, names_of(parts.netloc, rest, meant.has_paths)))


def is_missed(url: str, lists: UrlLists, settings: UrlSettings) -> bool:
    """Return whether an address is banned as the list is meant, and not as it is looked up."""
    url = url.lower()
    return (
        follows_reference(settings.quirks) and is_meant(url, lists) and not is_written(url, lists)
    )


def hosts(urls: pa.Array) -> pa.Array:
    """Return the host of each address in lower case, without user and port; null without one."""
    pattern = r"^\s*[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#]*@)?(?P<host>\[[^\]/?#]*\]|[^/?#:\[\]]*)"
    found = pc.utf8_lower(pc.struct_field(pc.extract_regex(urls, pattern), "host"))
    return pc.if_else(pc.equal(found, ""), pa.scalar(None, found.type), found)


def normalized_urls(urls: pa.Array) -> pa.Array:
    """Return the form in which two addresses of one page are equal (spec 2.9).

    Loses the scheme, a leading "www.", everything from "?utm_", "?ref" or "?feed" on, and
    slashes at the end.
    """
    bare = pc.replace_substring_regex(urls, r"^(?:[A-Za-z][A-Za-z0-9+.-]*://)?(?:www\.)?", "")
    bare = pc.replace_substring_regex(bare, r"(?s)\?(?:utm_|ref|feed).*$", "")
    return pc.utf8_rtrim(bare, characters="/")


@lru_cache(maxsize=4)
def _patterns(*word_lists: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    return tuple(map(_pattern, word_lists, ("", r"\b", r"\b")))


def _pattern(words: tuple[str, ...], edge: str) -> re.Pattern[str]:
    # At one place the longest entry that fits wins; an empty list matches nothing.
    longest_first = sorted(words, key=len, reverse=True)
    entries = "|".join(map(re.escape, longest_first)) or "(?!)"
    return re.compile(f"{edge}(?:{entries}){edge}", re.IGNORECASE)


@lru_cache(maxsize=4)
def _tries(*word_lists: tuple[str, ...]) -> tuple[Trie, ...]:
    return tuple(build_trie(words, case_variants) for words in word_lists)
