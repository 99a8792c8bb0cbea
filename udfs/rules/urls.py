"""Rules on a page's address (steps 1 to 5, spec 2.3), its host, and its form for deduplication.

Step 1 of the reference copies WARC-Target-URI to `url`; here that is the `url` column itself.
Addresses of plain ASCII are judged in a compiled kernel, the others, about one in a hundred, by
`url_outcome`, which is also the function to call by hand.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from udfs.quirks import follows_reference
from udfs.rules.url_kernels import NEEDS_PYTHON, judge_urls
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

    # "dclm-2024": the network location keeps port and user, and loses every "www"; "none": it
    # loses port, user and a leading "www.".
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


def outcomes(urls: pa.Array, lists: UrlLists, settings: UrlSettings) -> UrlOutcomes:
    """Apply the four rules, in order, to a column of addresses; null is the empty address."""
    data, offsets = utf8_buffers(urls)
    rules = np.empty(len(urls), np.int8)
    values = np.zeros(len(urls), np.float64)
    tries = _tries(lists.strict, lists.hard, lists.soft)
    ignored = np.zeros(256, np.bool_)
    ignored[list(settings.ignored_characters.encode())] = True
    judge_urls(
        read_only(data), read_only(offsets), rules, values,
        follows_reference(settings.quirks), read_only(ignored), settings.min_soft_words,
        lists.domains.arrays(), *map(_trie_arrays, tries),
        character_properties(),
    )  # fmt: skip
    errors: list[str | None] = [None] * len(urls)
    for row in np.flatnonzero(rules == NEEDS_PYTHON):
        rules[row] = -1
        try:
            outcome = url_outcome(urls[int(row)].as_py() or "", lists, settings)
        except ValueError as error:
            errors[row] = f"the URL cannot be parsed: {error}"
            continue
        if outcome is not None:
            rules[row], values[row] = outcome
    dropped, unreadable = rules >= 0, np.array([error is not None for error in errors], bool)
    rules[unreadable] = len(RULES)
    names = np.array([*RULES, UNREADABLE], object)
    needed = np.array([1, 1, 1, settings.min_soft_words], np.float64)
    return UrlOutcomes(
        rules=pa.array(names[rules], pa.string(), mask=~dropped & ~unreadable),
        values=pa.array(values, mask=~dropped),
        thresholds=pa.array(needed[np.where(dropped, rules, 0)], mask=~dropped),
        errors=pa.array(errors, pa.string()),
    )


def url_outcome(url: str, lists: UrlLists, settings: UrlSettings) -> tuple[int, float] | None:
    """Return (index in RULES, entries found) of the first rule that drops `url`, or None.

    Raises ValueError for an address that `urllib` cannot split, such as "http://[".
    """
    url = url.lower()
    if banned_name(url, settings.quirks) in lists.domains:
        return 0, 1.0
    strict, hard, soft = _patterns(lists.strict, lists.hard, lists.soft)
    squeezed = url.translate(dict.fromkeys(map(ord, settings.ignored_characters)))
    if strict.search(squeezed):
        return 1, 1.0
    if hard.search(url):
        return 2, 1.0
    found = len(set(soft.findall(url)))
    return (3, float(found)) if found >= settings.min_soft_words else None


def banned_name(url: str, quirks: str) -> str:
    """Return the part of a lower-case address that is looked up among the banned domains."""
    location = urlsplit(url).netloc
    if follows_reference(quirks):
        return location.replace("www", "")
    host = location.rpartition("@")[2]
    return re.sub(r":[0-9]*$", "", host).removeprefix("www.")


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


def _trie_arrays(trie: Trie) -> tuple[npt.NDArray[np.generic], ...]:
    return trie.columns, trie.children, trie.word_at
