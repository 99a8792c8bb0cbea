"""C4's steps against their wording, on generated texts and on real ones."""

import gzip
import json
import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.shared_data import SHARED, needs_shared
from tests.udfs.rules.c4_oracle import c4_lines, fineweb_lines, slow_sentences
from udfs.rules.c4 import has_banned_word
from udfs.rules.c4_kernels import LineSettings, clean_c4_lines, clean_fineweb_lines
from udfs.rules.families import HeuristicSettings, apply
from udfs.rules.url_lists import UrlLists
from udfs.text.columns import string_column, utf8_buffers
from udfs.text.sentences import sentence_counts

C4 = LineSettings(max_word_length=1000, min_words=5)
FINEWEB = LineSettings(max_word_length=1000, min_words=3)
PIECES = st.sampled_from(
    [
        "one", "two three", "four five six", " ", "\n", "\n", "\n\n", ".", "!", "?", "…", "...",
        '"', "'", "”", ")", "[1]", "[12", "[]", "[edit]", "[citation needed]", "[٣]", "{",
        "JavaScript", "javascript", "Lorem Ipsum", "use Cookies", "cooKie policy", "terms of use",
        "w" * 1001, "é" * 1000, "\u2028", "\x85", "\r\n", "\xa0", "Mr. Smith", "U.S. law", "etc.",
        "a.", "No. 5", "day. Night", "\t", "İ", "x", "Dr",
    ]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=40).map("".join)


def english(texts):
    return pa.array(["en"] * len(texts), pa.string()), np.full(len(texts), 0.9)


def judged(texts, banned=(), **changes):
    result = apply(
        pa.array(texts, pa.large_string()),
        pa.array(["http://www.a.com/"] * len(texts)),
        HeuristicSettings(rules="c4", **changes),
        UrlLists(banned_words=banned),
        english,
    )
    return list(zip(result.rule.to_pylist(), result.text.to_pylist(), strict=True))


def page(*lines):
    return "\n".join((*lines, "Here is a line. It has two more sentences. This is the last."))


@settings(max_examples=300, deadline=None)
@given(st.lists(TEXTS, max_size=4))
def test_lines_go_as_the_steps_are_worded(texts):
    buffers = utf8_buffers(pa.array(texts, pa.large_string()))
    for clean, wanted, oracle in (
        (clean_c4_lines, C4, c4_lines),
        (clean_fineweb_lines, FINEWEB, fineweb_lines),
    ):
        data, offsets, _ = clean(*buffers, wanted)
        expected = [oracle(text)[0] for text in texts]
        assert string_column(data, offsets).to_pylist() == expected


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_the_rule_is_the_first_that_fails(text):
    assert judged([text]) == [(c4_lines(text)[1], c4_lines(text)[0])]


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_sentences_are_counted_as_the_slow_way_does(text):
    counted = sentence_counts(*utf8_buffers(pa.array([text], pa.large_string())))
    assert counted.tolist() == [slow_sentences(text)]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("One. Two! Three?", 3),
        ("Mr. Smith went to the U.S. in Jan. 1990. He liked it.", 2),
        ('He said "Stop." Then he left', 2),
        ("Wait ... for it. Version 1.2 is out.", 2),
        ("No end", 1),
    ],
)
def test_abbreviations_and_numbers_end_no_sentence(text, count):
    assert sentence_counts(*utf8_buffers(pa.array([text]))).tolist() == [count]


def test_citation_marks_go_before_words_are_counted():
    kept = page("It has [1] four words[2].", "Five words [2] are left here.")
    assert judged([kept])[0][1].split("\n")[0] == "Five words  are left here."


def test_pages_drop_for_what_c4_drops_them_for():
    texts = [
        page("x" * 190_001),
        page("We say lorem ipsum dolor sit amet."),
        page("The function { returns a number here."),
        "Only one sentence is here.",
        page("Nothing is wrong with this page."),
    ]
    rules = [rule for rule, _ in judged(texts)]
    assert rules == ["page_length", "lorem_ipsum", "curly_bracket", "few_sentences", None]


def test_banned_words_are_whole_words_in_any_case():
    banned = ("bad", "two words", "naïve")
    texts = ["A BAD day.", "badly done", "two words", "two wordsmiths", "NAÏVE!", "_bad", "a-bad"]
    found = has_banned_word(*utf8_buffers(pa.array(texts)), banned)
    pattern = re.compile(r"(?:\W|^)(?:bad|two words|naïve)(?:\W|$)", re.IGNORECASE)
    assert found.tolist() == [bool(pattern.search(text)) for text in texts]
    assert judged([page("It is a Bad line to have.")], banned)[0][0] == "banned_words"


def test_without_a_list_no_page_drops_for_its_words():
    assert not has_banned_word(*utf8_buffers(pa.array(["bad", ""])), ()).any()


def test_addresses_are_not_judged():
    settings_ = HeuristicSettings(rules="c4")
    result = apply(
        pa.array([page()]), pa.array(["http://["]), settings_, UrlLists(hard=("a",)), english
    )
    assert result.rule.to_pylist() == [None]


def test_an_unknown_family_is_refused():
    with pytest.raises(ValueError, match="rules = 'c5': expected one of refinedweb"):
        HeuristicSettings(rules="c5")


@needs_shared
def test_real_texts_are_cleaned_as_the_steps_are_worded():
    with gzip.open(SHARED / "pages/gold.jsonl.gz", "rt") as lines:
        pages = [json.loads(line) for line in lines]
    texts = [one["main_text"] for one in pages if one.get("main_text")][::3]
    assert len(texts) > 300
    buffers = utf8_buffers(pa.array(texts, pa.large_string()))
    for clean, wanted, oracle in (
        (clean_c4_lines, C4, c4_lines),
        (clean_fineweb_lines, FINEWEB, fineweb_lines),
    ):
        data, offsets, _ = clean(*buffers, wanted)
        assert string_column(data, offsets).to_pylist() == [oracle(text)[0] for text in texts]
    counted = sentence_counts(*utf8_buffers(pa.array(texts, pa.large_string())))
    assert counted.tolist() == [slow_sentences(text) for text in texts]
