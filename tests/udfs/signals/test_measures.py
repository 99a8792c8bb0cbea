"""Labels of fastText models as columns: the library's probabilities, of any number of labels."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.udfs.fasttext.fasttext_training import train
from udfs.signals.measures import model_measure

TOPICS = {
    "art": "paint canvas brush colour gallery", "sport & play": "ball goal match team league",
    "law": "court judge appeal statute ruling", "food": "bread oven butter recipe salt",
}  # fmt: skip


def lines():
    generator = np.random.default_rng(5)
    for _ in range(60):
        for label, words in TOPICS.items():
            chosen = " ".join(generator.choice(words.split(), 6))
            yield f"__label__{label.replace(' ', '_')} {chosen}"


@pytest.fixture(scope="module", params=["softmax", "hs"])
def topics(request, tmp_path_factory):
    folder: Path = tmp_path_factory.mktemp(request.param)
    return train(folder, list(lines()), loss=request.param, epoch=20, lr=0.5)


def documents(*texts):
    return pa.record_batch({"text": pa.array(texts, pa.large_string())})


TEXTS = ("the judge of a court\nand a statute", "butter and bread, goal", "", "1234")


def test_the_probabilities_of_all_labels_are_the_library_s(topics):
    library, path = topics
    measure = model_measure("topic", str(path), None, ["*"])
    assert {one.name for one in measure.fields} == {
        "topic_art", "topic_sport___play", "topic_law", "topic_food"
    }  # fmt: skip
    columns = np.array([column.to_pylist() for column in measure.columns(documents(*TEXTS))])
    for row, text in enumerate(TEXTS[:2]):
        labels, probabilities = library.predict(text.replace("\n", " "), k=4)
        expected = dict(zip(labels, probabilities, strict=True))
        got = dict(zip(measure.labels, columns[:, row], strict=True))
        for label, probability in expected.items():
            assert got[label.removeprefix("__label__")] == pytest.approx(probability, abs=5e-5)
        assert columns[:, row].sum() == pytest.approx(1.0)


def test_the_best_label_and_its_probability_are_two_columns(topics):
    _, path = topics
    measure = model_measure("topic", str(path), None)
    assert [one.name for one in measure.fields] == ["topic", "topic_probability"]
    labels, probabilities = measure.columns(documents(*TEXTS))
    assert labels.to_pylist()[0] == "law"
    assert probabilities.to_pylist()[0] > 0.5


def test_one_label_gives_one_column_by_the_signal_s_name(topics):
    _, path = topics
    measure = model_measure("legal", str(path), None, ["law"])
    (column,) = measure.columns(documents(*TEXTS))
    assert [one.name for one in measure.fields] == ["legal"]
    assert column.to_pylist()[0] > 0.5 > column.to_pylist()[1]


def test_a_label_that_the_model_lacks_is_refused(topics):
    _, path = topics
    with pytest.raises(ValueError, match=r"no label 'lore'; its labels are .*law"):
        model_measure("topic", str(path), None, ["lore"])


def test_another_model_at_the_same_place_is_another_measure(topics, tmp_path):
    content = topics[1].read_bytes()
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    before = model_measure("topic", str(path), None)
    assert model_measure("topic", str(path), None) == before
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(1, 1))
    assert model_measure("topic", str(path), None) != before
