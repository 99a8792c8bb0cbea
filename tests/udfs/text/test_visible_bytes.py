"""The words of pages without parsing, against a plain function."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.text.visible_bytes import visible_bytes

HIDDEN = "script|style|svg|template|head"
TOKEN = re.compile(
    rf"<!--.*?(?:-->|\Z)|<({HIDDEN})(?![a-z0-9])[^>]*(?:(?<=/)>|>.*?(?:</\1(?![a-z0-9])[^>]*(?:>|\Z)|\Z)|\Z)"
    r"|<[^>]*(?:>|\Z)|&[^;]{0,8};|&",
    re.DOTALL | re.IGNORECASE,
)


def plain(page):
    return " ".join(re.sub(r"[\x00-\x20]+", " ", TOKEN.sub(" ", page)).split(" ")).strip(" ")


def found(page, limit=1 << 20):
    (words,) = visible_bytes([page.encode()], limit).to_pylist()
    return words


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("", ""),
        ("plain  words\n\there", "plain words here"),
        ("<p>one</p><p>two</p>", "one two"),
        ("<head><title>T</title></head><header>top</header>", "top"),
        ("a<SCRIPT type=x>if (a<b) '</p>'</Script >b", "a b"),
        ("a<script>never closed", "a"),
        ("a<!-- <p>b --> c", "a c"),
        ("a<!-- never closed", "a"),
        ("a&nbsp;b &amp c", "a b amp c"),
        ("<svg/>after", "after"),
        ("<style>p{}</style >x<", "x"),
        ("\u65e5\u672c<br>\u8a9e", "\u65e5\u672c \u8a9e"),
    ],
)
def test_words_between_tags(page, words):
    assert found(page).strip() == words


PARTS = [
    "<p>", "</p>", "word", "\u00e9t\u00e9", " ", "\n", "<script>", "</script>", "x<y",
    "<style a=b>", "</style>", "<!--", "-->", "&amp;", "&", ";", "<head>", "</head>",
    "<header>", "<svg/>", ">",
]  # fmt: skip


@given(st.lists(st.sampled_from(PARTS), max_size=30))
def test_it_equals_the_plain_function(parts):
    page = "".join(parts)
    assert found(page).strip() == plain(page)


def test_pages_are_cut_at_whole_characters_and_do_not_touch_each_other():
    pages = ["\u65e5\u672c\u8a9e" * 40, "a" * 100, "", "<p>" + "\U0001f600b" * 50]
    for limit in range(1, 40):
        cut = visible_bytes([page.encode() for page in pages], limit).to_pylist()
        whole = [found(page) for page in pages]
        for one, full in zip(cut, whole, strict=True):
            assert full.startswith(one)
            assert limit - 4 < len(one.encode()) <= limit or one == full


def test_bytes_that_are_no_utf_8_do_no_harm():
    chance = random.Random(1)
    pages = [bytes(chance.randrange(256) for _ in range(200)) for _ in range(200)]
    assert len(visible_bytes(pages, 50)) == 200
