"""Words against Python's own string methods and uniseg."""

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udfs.text.columns import utf8_buffers
from udfs.text.words import FASTTEXT_WORDS, fasttext_word_counts, word_counts, word_spans

uniseg_words = pytest.importorskip("uniseg.wordbreak").words

TEXTS = st.text(alphabet=st.one_of(st.characters(), st.sampled_from("ab1 _\n\t\x1f\u00a0'.#—")))


def spans_of(texts: list[str], kind: str) -> list[list[str]]:
    data, offsets = utf8_buffers(pa.array(texts, pa.large_string()))
    starts, ends, word_offsets = word_spans(data, offsets, kind)
    words = [
        data[start:end].tobytes().decode()
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    ]
    return [words[word_offsets[i] : word_offsets[i + 1]] for i in range(len(texts))]


def is_white(word: str) -> bool:
    return word.isspace() and not set(word) & set("\x1c\x1d\x1e\x1f")


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXTS, max_size=4))
def test_tokens_are_all_segments_but_white_space(texts: list[str]) -> None:
    expected = [[w for w in uniseg_words(text) if not is_white(w)] for text in texts]
    assert spans_of(texts, "not_space") == expected


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXTS, max_size=4))
def test_words_are_the_segments_that_start_alphanumeric(texts: list[str]) -> None:
    expected = [[w for w in uniseg_words(text) if w[0].isalnum()] for text in texts]
    assert spans_of(texts, "alphanumeric") == expected


def test_an_unknown_kind_of_word_is_refused() -> None:
    with pytest.raises(ValueError, match="not_space, alphanumeric"):
        spans_of(["a"], "words")


STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")


def slow_word_counts(text: str) -> list[int]:
    split = text.split()
    return [
        sum(token[0].isalnum() for token in re.split("[ \n\r\t\v\f\0]+", text) if token),
        len(split),
        sum(map(len, split)),
        sum(not any(map(str.isalpha, word)) for word in split),
        sum(word.lower() in STOP_WORDS for word in split),
    ]


def counts_of(texts: list[str]) -> list[list[int]]:
    buffers = utf8_buffers(pa.array(texts, pa.large_string()))
    counts = word_counts(*buffers, STOP_WORDS)
    assert fasttext_word_counts(*buffers).tolist() == counts[:, FASTTEXT_WORDS].tolist()
    return counts.tolist()


@settings(max_examples=200, deadline=None)
@given(st.lists(TEXTS, max_size=4))
def test_words_are_counted_like_python_counts_them(texts: list[str]) -> None:
    assert counts_of(texts) == [slow_word_counts(text) for text in texts]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 400))
def test_words_across_blocks_are_counted_like_python_counts_them(seed: int, size: int) -> None:
    pieces = ["the", "Of", "be\0", " ", " ", "\n", "\u2003", "\u3000", "é", "字", "😀", "1", "-_"]
    rng = np.random.default_rng(seed)
    texts = ["".join(rng.choice(pieces, count)) for count in (size, 1, size // 2)]
    assert counts_of(texts) == [slow_word_counts(text) for text in texts]


def test_a_stop_word_listed_twice_counts_twice() -> None:
    listed = tuple(f"w{number}" for number in range(200)) * 2
    assert word_counts(*utf8_buffers(pa.array(["W7 w199 w200 w"])), listed)[0, 4] == 4


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["The", "be", "ToO", "of,", "AND", "thé", "_", "5", "\0"])))
def test_stop_words_are_counted_like_python_counts_them(words: list[str]) -> None:
    text = " ".join(words)
    assert counts_of([text]) == [slow_word_counts(text)]


def test_a_no_break_space_separates_words_of_python_but_not_of_fasttext() -> None:
    assert counts_of(["a\u00a0b \u2003c"]) == [[1, 3, 3, 0, 0]]


def test_a_token_that_starts_with_a_bracket_is_no_fasttext_word() -> None:
    assert counts_of(["(hello) world </s>"]) == [[1, 3, 16, 0, 0]]


def test_every_character_counts_as_python_says() -> None:
    points = [point for point in range(1, 0x34000) if not 0xD800 <= point < 0xE000]
    texts = [chr(point) for point in points]
    assert counts_of(texts) == [slow_word_counts(text) for text in texts]


def test_a_stop_word_that_cannot_be_looked_for_is_refused() -> None:
    with pytest.raises(ValueError, match="lower-case ASCII"):
        word_counts(*utf8_buffers(pa.array(["a"])), ("Über",))
