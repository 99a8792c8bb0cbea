from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.udfs.fasttext.fasttext_training import train
from udfs.fasttext.quality import QualityModel

# Everything that Python's strip or splitlines knows, and near misses.
SPACES = "\n\r\t\v\f\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2003\u200b\u2028\u2029\u202f\u205f\u3000\u2027"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, Path]:
    folder = tmp_path_factory.mktemp("quality")
    good, bad = "please explain the good answer a b", "lol buy cheap chat é c"
    lines = [f"__label__hq {good}", f"__label__cc {bad}"] * 60
    return train(folder, lines, dim=20, bucket=2000, wordNgrams=2, epoch=10)


def expected_score(oracle: object, text: str) -> float:
    labels, probabilities = oracle.predict(" ".join(text.strip().splitlines()))
    return probabilities[0] if labels[0] == "__label__hq" else 1 - probabilities[0]


def test_good_texts_score_higher_than_bad_ones(trained: tuple[object, Path]) -> None:
    scores = QualityModel(trained[1]).score(pa.array(["explain the answer", "buy cheap chat"]))
    assert scores[0] > scores[1]


@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet=SPACES + "abcé", max_size=40))
def test_texts_are_normalised_like_the_reference(trained: tuple[object, Path], text: str) -> None:
    score = QualityModel(trained[1]).score(pa.array([text]))
    assert score[0] == pytest.approx(expected_score(trained[0], text), abs=1e-5)


def test_a_model_with_other_labels_is_refused(trained: tuple[object, Path]) -> None:
    with pytest.raises(ValueError, match="expected are 'good'"):
        QualityModel(trained[1], positive_label="good")


def test_swapped_labels_give_the_other_share_not_an_inverted_score(
    trained: tuple[object, Path],
) -> None:
    text = pa.array(["explain the answer"])
    straight = QualityModel(trained[1]).score(text)[0]
    swapped = QualityModel(trained[1], positive_label="cc", negative_label="hq").score(text)[0]
    assert straight + swapped == pytest.approx(1.0, abs=1e-6)
    assert straight > 0.5 > swapped
