import gzip
import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.shared_data import SHARED, needs_shared
from udfs.rules.banned_domains import BannedDomains
from udfs.rules.url_lists import UrlLists, load_url_lists
from udfs.rules.urls import (
    RULES,
    UNREADABLE,
    UrlSettings,
    hosts,
    is_missed,
    normalized_urls,
    outcomes,
    url_outcome,
)

LISTS = UrlLists(
    domains=BannedDomains(
        b"bad.com\n.dotted.org\n\n b\xc3\xa4d.de \r\npath.org/foo\n*.zz\nwww.com\n"
    ),
    strict=("stricttest", "g-spot"),
    hard=("foo", "foobar", "foo-bar-x"),
    soft=("ab", "abc", "s&m", "xyz"),
)


def rule_of(url: str, **changes: str) -> str | None:
    return outcomes(pa.array([url]), LISTS, UrlSettings(**changes)).rules[0].as_py()  # type: ignore[arg-type,no-any-return]


def test_a_banned_domain_drops_the_page() -> None:
    assert rule_of("http://bad.com/x") == "url_domain"
    assert rule_of("HTTP://BAD.com?x") == "url_domain"
    assert rule_of("http://sub.bad.com/x") is None
    assert rule_of("http://b\u00e4d.de/") == "url_domain"


def test_the_reference_misses_hosts_with_www_and_ports_but_not_dotted_entries() -> None:
    for url in ("http://www.bad.com/", "http://bad.com:8080/", "http://me@bad.com/"):
        assert rule_of(url) is None
        assert rule_of(url, quirks="none") == "url_domain"
    assert rule_of("http://www.dotted.org/") == "url_domain"
    assert rule_of("http://www.dotted.org/", quirks="none") == "url_domain"


def test_strict_words_count_anywhere_once_dashes_and_dots_are_gone() -> None:
    assert rule_of("http://a.com/xstr-ict.testy") == "url_strict_word"
    # Dashes go from the address only, so an entry with a dash is never found.
    assert rule_of("http://a.com/g-spot") is None


def test_hard_words_stand_between_word_boundaries() -> None:
    assert rule_of("http://a.com/foo") == "url_hard_word"
    assert rule_of("http://a.com/foo-bar") == "url_hard_word"
    assert rule_of("http://a.com/foo_bar") is None
    assert rule_of("http://a.com/foo1") is None


def test_two_different_soft_words_are_needed() -> None:
    assert rule_of("http://a.com/ab/ab/AB") is None
    assert rule_of("http://a.com/ab/abc") == "url_soft_words"
    outcome = outcomes(pa.array(["http://a.com/ab/abc/s&m", None]), LISTS, UrlSettings())
    assert (outcome.values.to_pylist(), outcome.thresholds.to_pylist()) == ([3, None], [2, None])


def test_an_address_that_cannot_be_split_is_an_error_and_not_a_crash() -> None:
    outcome = outcomes(pa.array(["http://[bad", "http://bad.com"]), LISTS, UrlSettings())
    assert outcome.errors[0].as_py().startswith("the URL cannot be parsed")
    assert outcome.rules.to_pylist() == [UNREADABLE, "url_domain"]


parts = st.sampled_from(
    ["http://", "https:", "//", "/", "www.", "www", "bad.com", ".dotted.org", "path.org", ".zz",
     ":80", "@", "?", "#", "foo", "FOObar", "foo-bar-x", "ab", "abc", "xyz", "s&m", "strict",
     "test", "-", ".", "_", "é", "ſ", " ", "[", "]", "1"]
)  # fmt: skip


@settings(max_examples=1000, deadline=None)
@given(st.lists(parts, max_size=12).map("".join), st.sampled_from(["dclm-2024", "none"]))
def test_the_kernel_agrees_with_urllib_and_regular_expressions(url: str, quirks: str) -> None:
    chosen = UrlSettings(quirks=quirks)
    outcome = outcomes(pa.array([url]), LISTS, chosen)
    if outcome.errors[0].is_valid:
        with pytest.raises(ValueError):  # noqa: PT011
            url_outcome(url, LISTS, chosen)
        return
    expected = url_outcome(url, LISTS, chosen) or (None, None)
    rule = outcome.rules[0].as_py()
    found = None if rule is None else RULES.index(rule)
    assert (found, outcome.values[0].as_py()) == expected
    assert outcome.missed[0].as_py() == is_missed(url, LISTS, chosen)


def test_hosts_are_lower_case_without_user_and_port() -> None:
    urls = ["HTTP://me:pw@WWW.Ex.com:80/a?b@c", "//x.org", "https://[::1]:9/", None, "ftp://Ä.de#x"]
    assert hosts(pa.array(urls)).to_pylist() == ["www.ex.com", None, "[::1]", None, "ä.de"]


def test_addresses_of_one_page_normalize_to_one_form() -> None:
    urls = ["https://www.a.com/b/?utm_source=x/y", "http://a.com/b", "a.com/b//", None]
    assert normalized_urls(pa.array(urls)).to_pylist() == ["a.com/b", "a.com/b", "a.com/b", None]
    urls = ["http://a.com/?q=1&ref=2", "http://a.com/x?referrer=1", "http://a.com/x/?feed"]
    assert normalized_urls(pa.array(urls)).to_pylist() == ["a.com/?q=1&ref=2", "a.com/x", "a.com/x"]


def test_lists_say_where_they_came_from(tmp_path: Path) -> None:
    (tmp_path / "soft.txt").write_text("ab\n\nab \ncd\n")
    lists = load_url_lists(soft=tmp_path / "soft.txt")
    assert lists.soft == ("ab", "cd")
    assert lists.sources["soft"].entry_count == 2
    assert lists.sources["soft"].sha256 == hashlib.sha256(b"ab\n\nab \ncd\n").hexdigest()
    assert set(lists.sources) == {"soft"}


def test_lists_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"hard: the list .*absent.txt cannot be read"):
        load_url_lists(hard=tmp_path / "absent.txt")
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(ValueError, match=r"domains: the list .*empty.txt has no entries"):
        load_url_lists(domains=tmp_path / "empty.txt")
    (tmp_path / "latin.txt").write_bytes(b"\xe9")
    with pytest.raises(ValueError, match=r"strict: .*latin.txt is not UTF-8"):
        load_url_lists(strict=tmp_path / "latin.txt")


def test_a_large_domain_set_finds_its_entries_and_no_others() -> None:
    names = [f"site{number}.com" for number in range(50_000)]
    domains = BannedDomains("\n".join(names).encode())
    assert len(domains) == 50_000
    assert all(domains.as_written.has(name) for name in names[::97])
    assert not any(domains.as_meant.domains.has(f"x{name}") for name in names[::97])


@needs_shared
def test_addresses_of_the_reference_fall_at_the_same_steps() -> None:
    with gzip.open(SHARED / "golden/heuristics.jsonl.gz", "rt") as lines:
        pages = [json.loads(line) for line in lines]
    folder = SHARED / "lists"
    words = {
        kind: folder / f"refinedweb_banned_words_{kind}_reverse_engineered.txt"
        for kind in ("strict", "hard", "soft")
    }
    lists = load_url_lists(domains=folder / "refinedweb_banned_domains_curated.txt", **words)
    outcome = outcomes(pa.array([page["url"] for page in pages]), lists, UrlSettings())
    steps = [None if rule is None else RULES.index(rule) + 2 for rule in outcome.rules.to_pylist()]
    expected = [page["dropped_at_step"] for page in pages]
    assert steps == [step if step in (2, 3, 4, 5) else None for step in expected]
