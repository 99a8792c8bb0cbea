"""Repetition fractions against Counter objects."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udfs.rules.repetition import FRACTIONS, repetition_fractions
from udfs.text.columns import utf8_buffers

slow_fractions = pytest.importorskip("tests.udfs.rules.repetition_oracle").slow_fractions

WORDS = st.sampled_from(
    [
        "a",
        "bé",
        "can't",
        "3.5",
        "日",
        "a²a",
        "longer_words",
        "extra.ordinarily",
        "-",
        "\u00a0",
        "_",
        "\n",
        "\n",
        "\n\n",
    ]
)
PHRASES = st.lists(WORDS, min_size=1, max_size=14).map(" ".join)


def repeated_phrases(phrases: list[str]) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(phrases), max_size=12).map("".join)


TEXTS = st.lists(PHRASES, min_size=1, max_size=4).flatmap(repeated_phrases)


def fractions_of(texts: list[str], quirks: str = "dclm-2024") -> list[list[float]]:
    columns = utf8_buffers(pa.array(texts, pa.large_string()))
    return repetition_fractions(*columns, quirks).tolist()


@pytest.mark.parametrize("quirks", ["dclm-2024", "none"])
@settings(max_examples=200, deadline=None)
@given(texts=st.lists(TEXTS, max_size=3))
def test_fractions_are_those_of_the_definition(quirks: str, texts: list[str]) -> None:
    assert fractions_of(texts, quirks) == [slow_fractions(text, quirks) for text in texts]


def test_the_first_of_two_equal_lines_counts_only_under_the_quirk() -> None:
    text = "same line\nsame line\nother\nlast"
    line = FRACTIONS.index("repeated_lines")
    assert fractions_of([text])[0][line] == 0.5
    assert fractions_of([text], "none")[0][line] == 0.25


def test_the_first_of_two_equal_ngrams_counts_only_under_the_quirk() -> None:
    text = "one two three four five, one two three four five"
    column = FRACTIONS.index("repeated_5_grams")
    assert fractions_of([text])[0][column] == 1.0
    assert fractions_of([text], "none")[0][column] == 0.5


def test_overlapping_occurrences_can_exceed_the_text() -> None:
    assert fractions_of(["a " * 9])[0][FRACTIONS.index("top_2_gram")] == 16 / 9


def test_a_text_without_lines_is_all_repetition_and_a_single_line_none() -> None:
    empty, single = fractions_of(["\n \n", "one line"])
    assert empty[:2] == [1.0, 1.0]
    assert single == [0.0] * len(FRACTIONS)


def test_words_without_anything_between_them_fit() -> None:
    text = "a²" * 40
    assert fractions_of([text]) == [slow_fractions(text, "dclm-2024")]


@settings(max_examples=200, deadline=None)
@given(words=st.lists(st.text(alphabet="ab1_.'’ é", min_size=6, max_size=20), max_size=5))
def test_equal_words_are_equal_whatever_follows_them(words: list[str]) -> None:
    text = " ".join(words) + ", " + "\n".join(words) + "’ " + "(".join(words)
    assert fractions_of([text]) == [slow_fractions(text, "dclm-2024")]
