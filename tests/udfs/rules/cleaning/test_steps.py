import gzip
import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.shared_data import SHARED, needs_shared
from tests.udfs.rules.cleaning import cleaning_oracle as oracle
from udfs.rules.cleaning.steps import CleaningSettings, cap_newlines, clean_lines, remove_urls
from udfs.text.columns import string_column, utf8_buffers

DOMAINS = (
    "com",
    "co",
    "uk",
    "co-op",
    "th",
    "py",
    "рф",
    "קום\u200e",
    "भारतम्",
    "भारत",
    "измир",
    "fi",
)


def removed(texts: list[str], domains: tuple[str, ...] = DOMAINS, quirks: str = "dclm-2024") -> Any:
    return string_column(*remove_urls(*utf8_buffers(pa.array(texts)), domains, quirks)).to_pylist()


def capped(texts: list[str], most: int = 2) -> Any:
    return string_column(*cap_newlines(*utf8_buffers(pa.array(texts)), most)).to_pylist()


def cleaned(texts: list[str], **changes: Any) -> list[tuple[str, int]]:
    buffers = utf8_buffers(pa.array(texts, pa.string()))
    data, offsets, emptied_at = clean_lines(*buffers, CleaningSettings(**changes))
    return list(zip(string_column(data, offsets).to_pylist(), emptied_at.tolist(), strict=True))


def pieces(*parts: str, size: int = 24) -> st.SearchStrategy[list[str]]:
    text = st.lists(st.sampled_from(parts) | st.characters(codec="utf-8"), max_size=size)
    return st.lists(text.map("".join), min_size=1, max_size=4)


url_texts = pieces(
    "http://", "https://", "ftp://", "://", ".com", ".co", ".uk", ".co-op", ".рф", ".קום\u200e",
    ".भारत", ".भारतम्", "a", "x" * 130, "Th", "com", "ТH", "1.", "12.", "255.", "312.", "7", ".",
    " ", " " * 12, "\u00a0", "\n", "\u2003", "_", "/", "?q=(", "é", "٣", "-", ",", "!",
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(url_texts)
@example(["com " + "a" * 300 + ".com/x"])
@example(["th http://" + "a" * 257 + ".com b"])
@example(["co a.b.com.рф/z y"])
@example(["ſ.com", "thx.com", "\u212aa.com"])
def test_removal_equals_the_regular_expressions(texts: list[str]) -> None:
    assert removed(texts) == [oracle.without_urls(text, DOMAINS) for text in texts]


@settings(max_examples=300, deadline=None)
@given(url_texts)
def test_removal_without_quirks_equals_a_search_before_the_expressions(texts: list[str]) -> None:
    expected = [oracle.without_urls(text, DOMAINS, gated=False) for text in texts]
    assert removed(texts, quirks="none") == expected


def test_only_pages_that_begin_like_a_domain_lose_their_urls_in_the_reference() -> None:
    texts = ["The site x.com here", "Hello site x.com here"]
    assert removed(texts) == ["The site here", "Hello site x.com here"]
    assert removed(texts, quirks="none") == ["The site here", "Hello site here"]


def test_ip_addresses_go_from_every_page() -> None:
    assert removed(["Hello 1.2.3.4:80/x you", "v 12.34.56.789abc"]) == ["Hello you", "v"]
    assert removed(["Hello 1.2.333.4 you", "a1.2.3.4"]) == ["Hello 1.2.333.4 you", "a1.2.3.4"]


def test_a_domain_in_capitals_stays() -> None:
    assert removed(["The foo.COM and Node.js and file.py"]) == ["The foo.COM and Node.js and"]


def test_a_page_of_one_url_becomes_empty() -> None:
    assert removed(["com.com", ""]) == ["", ""]


def test_unknown_quirks_are_refused() -> None:
    with pytest.raises(ValueError, match="quirks: 'dclm' is not known"):
        removed(["a"], quirks="dclm")


@settings(max_examples=200, deadline=None)
@given(pieces("\n", "\n\n", "a", "\r"), st.integers(1, 3))
def test_newline_cap_equals_the_regular_expression(texts: list[str], most: int) -> None:
    assert capped(texts, most) == [oracle.with_newlines_capped(text, most) for text in texts]


line_texts = pieces(
    "\n", "\n", "\n\n", " ", " ", "\u00a0", "\u2028", "\x1c", "A", "ǅ", "É", "b", "ⅷ", "12", "²",
    "٣", "3", "1,2.3", "k", "\u212a", "M", " likes", "\tViews", "  booKmar\u212as", "like", "!",
    "_", "items in cart", "ITEMſ in cart", "ıtems in cart", "Read more...", "read moreabc",
    "Read More", "sign-in", "SİGN-ın ", "Sign-in", "one two ", "a b c d e f g h i j ", "é", "😀",
)  # fmt: skip


@settings(max_examples=800, deadline=None)
@given(line_texts)
@example(["items in items in cart cart\nread more items in cart..."])
@example(["ABC\n   12 ", "  12\nABC DEF", "Sign-in Sign-in x y", "x y items in cart items in cart"])
def test_line_steps_equal_the_words_of_the_specification(texts: list[str]) -> None:
    assert cleaned(texts) == [oracle.cleaned(text) for text in texts]


@settings(max_examples=300, deadline=None)
@given(line_texts)
def test_line_steps_without_quirks_take_the_dots_literally(texts: list[str]) -> None:
    expected = [oracle.cleaned(text, dots=r"\.\.\.") for text in texts]
    assert cleaned(texts, quirks="none") == expected


def test_dots_of_read_more_match_anything_in_the_reference_only() -> None:
    text = ["We will read moretoo"]
    assert cleaned(text) == [("We will", 0)]
    assert cleaned(text, quirks="none") == [("We will read moretoo", 0)]


@pytest.mark.parametrize(
    ("text", "step"),
    [("LOUD", 19), ("123", 20), ("3 likes", 21), ("alone", 22), ("items in cart", 23),
     ("Read more...", 24), ("sign-in x", 0), ("fine words", 0), ("", 19)],
)  # fmt: skip
def test_the_step_that_empties_a_page_is_named(text: str, step: int) -> None:
    assert cleaned([text])[0][1] == step


def test_a_phrase_at_the_start_can_empty_a_page() -> None:
    assert cleaned(["Sign-in"], min_words_per_line=None) == [("", 25)]


@pytest.mark.parametrize(
    ("text", "off"),
    [("LOUD NOISE", {"max_uppercase_fraction": None}), ("3 likes", {"remove_counter_lines": False}),
     ("alone", {"min_words_per_line": None}), ("items in cart", {"phrase_anywhere": None}),
     ("Read more...", {"phrase_at_line_end": None}),
     ("sign-in now please", {"phrase_at_line_start": None}),
     ("123", {"max_numeric_fraction": None, "min_words_per_line": None})],
)  # fmt: skip
def test_each_step_can_be_switched_off(text: str, off: dict[str, Any]) -> None:
    assert cleaned([text])[0][0] != text
    assert cleaned([text], **off) == [(text, 0)]


def test_a_line_of_eleven_words_keeps_its_phrase() -> None:
    text = "one two three four five six seven eight items in cart"
    assert cleaned([text]) == [(text, 0)]
    assert cleaned([text[4:]]) == [("two three four five six seven eight", 0)]


def test_phrases_beyond_ascii_are_refused() -> None:
    with pytest.raises(ValueError, match="phrase_anywhere: 'Café'"):
        CleaningSettings(phrase_anywhere="Café")


@needs_shared
def test_texts_of_the_reference_come_out_as_it_cleaned_them() -> None:
    with gzip.open(SHARED / "golden/heuristics.jsonl.gz", "rt") as lines:
        pages = [json.loads(line) for line in lines]
    pages = [page for page in pages if (page["dropped_at_step"] or 99) >= 6]
    domains = tuple((SHARED / "lists/iana_tlds.txt").read_text().split())
    data, offsets = remove_urls(*utf8_buffers(pa.array([p["text"] for p in pages])), domains)
    without = string_column(data, offsets).to_pylist()
    emptied = [page["dropped_at_step"] == 6 for page in pages]
    assert [text == "" for text in without] == emptied
    assert any(emptied)
    data, offsets, emptied_at = clean_lines(*cap_newlines(data, offsets), CleaningSettings())
    texts = string_column(data, offsets).to_pylist()
    kept = [row for row, page in enumerate(pages) if page["dropped_at_step"] is None]
    assert len(kept) == 2486
    assert [pages[r]["id"] for r in kept if texts[r] != pages[r]["cleaned_text"]] == []
    passed = [row for row, page in enumerate(pages) if (page["dropped_at_step"] or 99) >= 19]
    assert not emptied_at[passed].any()
