import random
import string

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.dedup.shingles import jaccard, shingle_hashes

ALONE = set("中文字日本語あいカタไทย")


def words_of(text: str) -> list[str]:
    """The normalisation of spec 3.2 with Python strings."""
    text = "".join(c for c in text if c not in string.punctuation)
    lowered = "".join(c.lower()[0] for c in text)
    return "".join(f" {c} " if c in ALONE else c for c in lowered).split()


def shingles_of(text: str, ngram: int) -> list[tuple[str, ...]]:
    words = words_of(text)
    if len(words) < ngram:
        return [tuple(words)] if words else []
    return [tuple(words[i : i + ngram]) for i in range(len(words) - ngram + 1)]


def exact(left: str, right: str, ngram: int) -> float:
    a, b = set(shingles_of(left, ngram)), set(shingles_of(right, ngram))
    return len(a & b) / len(a | b) if a | b else 0.0


TEXTS = st.text(
    alphabet=st.sampled_from("aAbBzZ éÉß ,.'-! \t\n\u00a0\u3000İΣς中文日ไทยอ🙂𠀀"), max_size=60
)


@given(st.lists(TEXTS, max_size=6), st.integers(1, 6))
def test_there_is_one_hash_per_shingle_and_equal_ones_for_equal_shingles(
    texts: list[str], ngram: int
) -> None:
    ALONE.update("อ𠀀")
    hashes, offsets = shingle_hashes(pa.array(texts, pa.string()), ngram)
    known: dict[int, tuple[str, ...]] = {}
    for index, text in enumerate(texts):
        expected = shingles_of(text, ngram)
        found = hashes[offsets[index] : offsets[index + 1]].tolist()
        assert len(found) == len(expected)
        for value, shingle in zip(found, expected, strict=True):
            assert known.setdefault(value, shingle) == shingle
    assert len(set(known.values())) == len(known)


def test_case_punctuation_and_spacing_make_no_difference() -> None:
    left = pa.array(["The quick, brown  fox\njumps; over the DOG."])
    right = pa.array(["the QUICK brown fox jumps\tover the dog"])
    assert jaccard(left, right, 5).tolist() == [1.0]


def test_jaccard_is_that_of_the_sets() -> None:
    rng = random.Random(5)
    pairs = []
    for _ in range(200):
        left = [rng.choice("abcdefg") for _ in range(rng.randrange(0, 60))]
        right = [word if rng.random() < 0.8 else rng.choice("xyz") for word in left]
        pairs.append((" ".join(left), " ".join(right)))
    left_column, right_column = (pa.array([pair[side] for pair in pairs]) for side in (0, 1))
    for ngram in (1, 2, 5):
        expected = [exact(*pair, ngram) for pair in pairs]
        assert jaccard(left_column, right_column, ngram).tolist() == pytest.approx(expected)


def test_texts_without_words_resemble_nothing() -> None:
    column = pa.array(["", " ... ", None], pa.string())
    assert jaccard(column, column, 5).tolist() == [0.0, 0.0, 0.0]


def test_chinese_text_has_a_shingle_per_character() -> None:
    _, offsets = shingle_hashes(pa.array(["中文字日本語あい" * 4]), 5)
    assert offsets.tolist() == [0, 28]
