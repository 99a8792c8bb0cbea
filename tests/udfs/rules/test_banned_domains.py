"""Lists of banned domains as people save them, against addresses of what they ban."""

import gzip

import pyarrow as pa
import pytest

from udfs.rules.banned_domains import BannedDomains, read_entry
from udfs.rules.url_lists import UrlLists, load_url_lists
from udfs.rules.urls import UrlSettings, outcomes


def banned(content: bytes, url: str, quirks: str = "none") -> bool:
    lists = UrlLists(domains=BannedDomains(content))
    found = outcomes(pa.array([url]), lists, UrlSettings(quirks=quirks))
    return bool(found.rules[0].as_py() == "url_domain")


@pytest.mark.parametrize(
    ("content", "url"),
    [
        (b"bad.example\n", "https://bad.example/x"),
        (b"bad.example\r\nworse.example\r\n", "https://worse.example/"),
        (b"\xef\xbb\xbfbad.example\n", "https://bad.example/x"),
        (b"Bad.Example\n", "https://BAD.example/"),
        (b"bad.example # why\n", "https://bad.example/"),
        (b"# bad\nbad.example\n", "https://bad.example/"),
        (b"0.0.0.0 bad.example\n127.0.0.1\tworse.example other.example\n", "http://other.example"),
        (b":: bad.example\n", "https://bad.example/"),
        (b"||bad.example^\n", "https://bad.example/"),
        (b"||bad.example^$third-party\n", "https://bad.example/"),
        (b"https://bad.example/\n", "https://bad.example/x"),
        (b"www.bad.example\n", "https://bad.example/"),
        (b"bad.example\n", "https://www.bad.example/"),
        (b"bad.example\n", "https://a.b.bad.example/"),
        (b"bad.example\n", "https://bad.example:8443/x"),
        (b"bad.example\n", "https://me:pw@bad.example/x"),
        (b"bad.example\n", "https://bad.example./x"),
        (b"bad.example:80\n", "https://bad.example/x"),
        (b"*.bad.example\n", "https://sub.bad.example/"),
        (b".bad.example\n", "https://bad.example/"),
        (b"*.bad\n", "https://any.bad/"),
        (b"localhost\n", "http://localhost/"),
        (b"bad.example/adult\n", "https://bad.example/adult/page"),
        (b"bad.example/adult/\n", "https://www.bad.example/adult?x=1"),
        (b"bad.example/adult\n", "https://sub.bad.example:80/adult#x"),
        ("m\u00fcnchen.example\n".encode(), "https://xn--mnchen-3ya.example/"),
        (b"xn--mnchen-3ya.example\n", "https://m\u00fcnchen.example/"),
        ("M\u00dcNCHEN.example\n".encode(), "https://sub.m\u00fcnchen.example/"),
        (b"[::1]\n", "http://[::1]:8080/"),
        (b"bad.example#why\n", "https://bad.example/x"),
        (b"bad.example/*\n", "https://bad.example/x"),
        (b"https://bad.example/adult/*#why\n", "https://bad.example/adult/x"),
    ],
)
def test_a_list_bans_what_its_author_means(content: bytes, url: str) -> None:
    assert banned(content, url)


@pytest.mark.parametrize(
    ("content", "url"),
    [
        (b"bad.example\n", "https://notbad.example/"),
        (b"bad.example\n", "https://bad.example.org/"),
        (b"bad.example\n", "https://good.org/bad.example"),
        (b"sub.bad.example\n", "https://bad.example/"),
        (b"bad.example/adult\n", "https://bad.example/adults"),
        (b"bad.example/adult\n", "https://bad.example/"),
        (b"example\n", "https://any.example/"),
        (b"0.0.0.0 localhost\n", "http://localhost/"),
        (b"# bad.example\n", "https://bad.example/"),
        (b"! bad.example\n", "https://bad.example/"),
        (b"@@||bad.example^\n", "https://bad.example/"),
        (b"", "https://bad.example/"),
        (b"bad.example\n", "bad.example/x"),
    ],
)
def test_a_list_bans_nothing_else(content: bytes, url: str) -> None:
    assert not banned(content, url)


@pytest.mark.parametrize("line", ["bad.example?id=1", "bad.example/adult?x", "bad.example/ad*lt"])
def test_an_entry_that_no_address_fits_is_said(line: str) -> None:
    assert read_entry(line) is None


def test_what_names_no_host_is_said(tmp_path) -> None:
    path = tmp_path / "domains.txt"
    path.write_text("bad.example\nad*.example\n@@||a.example^\nb.example##.ad\ntwo words\n")
    source = load_url_lists(domains=path).sources["domains"]
    assert source.unread == ("ad*.example", "@@||a.example^", "b.example##.ad", "two words")
    assert source.entry_count == 5


def test_an_entry_is_read_once_for_each_host() -> None:
    assert read_entry("0.0.0.0 a.example B.example # both") == ("a.example", "b.example")
    assert read_entry("  ! a comment") == ()
    assert read_entry("*.tk") == (".tk",)


def test_the_reference_s_reading_stays_and_what_it_lets_through_is_counted() -> None:
    urls = pa.array(
        ["http://bad.example/", "http://www.bad.example/", "http://bad.example:80/",
         "http://good.org/", "http://sub.m\u00fcnchen.example/"]
    )  # fmt: skip
    lists = UrlLists(domains=BannedDomains("bad.example\nm\u00fcnchen.example\n".encode()))
    found = outcomes(urls, lists, UrlSettings())
    assert found.rules.to_pylist() == ["url_domain", None, None, None, None]
    assert found.missed.to_pylist() == [False, True, True, False, True]
    sane = outcomes(urls, lists, UrlSettings(quirks="none"))
    assert [rule is not None for rule in sane.rules.to_pylist()] == [True, True, True, False, True]
    assert not any(sane.missed.to_pylist())


def test_word_lists_lose_their_mark_and_comments(tmp_path) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes(b"\xef\xbb\xbfbadword\r\n# a comment\r\n\r\nSecond\r\n")
    assert load_url_lists(strict=path).strict == ("badword", "Second")
    path.write_bytes(b"# Version 1\nCOM\nXN--P1AI\n")
    assert load_url_lists(top_level_domains=path).top_level_domains == ("com", "xn--p1ai")
    path.write_bytes(gzip.compress(b"bad\n"))
    with pytest.raises(ValueError, match=r"strict: .*words.txt is compressed; unpack it"):
        load_url_lists(strict=path)
    path.write_bytes("bad\n".encode("utf-16"))
    for name in ("strict", "domains"):
        with pytest.raises(ValueError, match=f"{name}: .* UTF-16; convert it"):
            load_url_lists(**{name: path})
