"""Words against Python's own string methods and uniseg."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udfs.columns import utf8_buffers
from udfs.words import word_spans

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
