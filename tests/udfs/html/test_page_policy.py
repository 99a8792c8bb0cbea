"""What pages say of their use, in the spellings that pages have."""

import pytest

from udfs.html.page_policy import RULES, Licence, PagePolicySettings, read_policy


def reserved(html: bytes = b"", x_robots_tag: str = "", tdm_reservation: str = "") -> set[str]:
    return set(read_policy(html, x_robots_tag, tdm_reservation).reserved)


@pytest.mark.parametrize(
    ("html", "rules"),
    [
        (b'<meta name="robots" content="noindex, nofollow">', {"robots_noindex"}),
        (b"<META NAME=ROBOTS CONTENT=NOINDEX>", {"robots_noindex"}),
        (b"<meta content='noai,noimageai' name='robots' />", {"robots_noai", "robots_noimageai"}),
        (b'<meta name="robots" content="none">', {"robots_noindex"}),
        (b'<meta name="CCBot" content="noai">', {"robots_noai"}),
        (b'<meta\n name="tdm-reservation"\n content="1">', {"tdm_reservation"}),
        (b'<meta name="tdm-reservation" content="0">', set()),
        (b'<meta name="robots" content="index, follow, noarchive">', set()),
        (b'<meta name="googlebot" content="noindex">', set()),
        (b'<meta name="description" content="robots: noindex">', set()),
        (b"<p>robots noindex noai</p>", set()),
        (b'<meta name="robots">', set()),
        (b'<meta name="robots" content="noindex', set()),
    ],
)
def test_metas_are_read_however_they_are_spelled(html: bytes, rules: set[str]) -> None:
    assert reserved(b"<html><head>" + html + b"</head>") == rules
    assert reserved(html) == rules
    assert reserved(b"<head></head>" + html) == set()


@pytest.mark.parametrize(
    ("value", "rules"),
    [
        ("noindex", {"robots_noindex"}),
        ("NOAI, noimageai", {"robots_noai", "robots_noimageai"}),
        ("googlebot: noindex", set()),
        ("googlebot: noindex, noai", set()),
        ("ccbot: noindex", {"robots_noindex"}),
        ("googlebot: noindex\nnoai", {"robots_noai"}),
        ("unavailable_after: 25 Jun 2030 15:00:00 PST, noai", {"robots_noai"}),
        ("max-snippet: 20, noindex", {"robots_noindex"}),
    ],
)
def test_headers_hold_for_the_crawler_that_they_name(value: str, rules: set[str]) -> None:
    assert reserved(x_robots_tag=value) == rules


def test_the_header_of_tdmrep_reserves_with_1_alone() -> None:
    assert reserved(tdm_reservation=" 1 ") == {"tdm_reservation"}
    assert reserved(tdm_reservation="0") == reserved(tdm_reservation="yes") == set()


@pytest.mark.parametrize(
    ("html", "licence"),
    [
        (b'<a rel="license" href="https://creativecommons.org/licenses/by-sa/4.0/deed.de">',
         Licence("by-sa", "4.0", True)),
        (b'<link href=http://creativecommons.org/publicdomain/zero/1.0/ rel=license>',
         Licence("zero", "1.0", True)),
        (b'<a href="//www.creativecommons.org/licenses/by/">', Licence("by", None, False)),
        (b'<a href="https://creativecommons.org/licenses/by/2.0/">a photo</a>'
         b"<a class=x rel='nofollow license' href='https://creativecommons.org/licenses/by-nc/3.0'>",
         Licence("by-nc", "3.0", True)),
        (b'<img src="https://i.creativecommons.org/l/by/4.0/88x31.png">', None),
        (b"see creativecommons.org/licenses/by/4.0", None),
        (b'<a href="https://creativecommons.org/about/">', None),
    ],
)  # fmt: skip
def test_licence_links_give_kind_and_version(html: bytes, licence: Licence | None) -> None:
    assert read_policy(b"<body>" + html).licence == licence


def test_columns_say_false_where_a_page_was_read() -> None:
    columns = read_policy(b"", "noai").columns()
    assert [columns[rule] for rule in RULES] == [False, True, False, False]
    assert columns["licence_kind"] is None


def test_a_rule_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match=r"drop = .*expected a list of robots_noindex"):
        PagePolicySettings(drop=("noai",))
    assert PagePolicySettings(drop=("robots_noai",)).is_read
    assert not PagePolicySettings().is_read
