import pyarrow as pa
import pytest

from udfs.languages.spaced_words import spaced_words
from udfs.text.columns import utf8_buffers


def words(text: str, language: str) -> list[str]:
    data, offsets = utf8_buffers(pa.array(["a", text], pa.large_string()))
    starts, ends, word_offsets = spaced_words(data, offsets, language)
    assert word_offsets.tolist() == [0, 1, len(starts)]
    spans = zip(starts[1:], ends[1:], strict=True)
    return [data[start:end].tobytes().decode() for start, end in spans]


@pytest.mark.parametrize(
    ("language", "text", "wanted"),
    [
        ("deu_Latn", "Die Öko-Strom-Kunden (2022) zahlen 10,5 Cent.",
         "Die Öko-Strom-Kunden ( 2022 ) zahlen 10,5 Cent ."),
        ("pol_Latn", "biało-czerwony 12.30 www.a.pl/12.3",
         "biało - czerwony 12 . 30 www.a.pl/12.3"),
        ("deu_Latn", "siehe https://a.example/b-c/d.html, bitte", None),
        ("deu_Latn", "und so weiter... „Ja!“", "und so weiter ... „ Ja ! “"),
        ("deu_Latn", "rot/blau 20:15 Uhr", "rot / blau 20:15 Uhr"),
        ("fra_Latn", "l’homme et l'eau aujourd'hui", "l’ homme et l' eau aujourd'hui"),
        ("rus_Cyrl", "кто-то, где", "кто - то , где"),
        ("ell_Grek", "", ""),
        ("deu_Latn", "***", "* * *"),
    ],
)  # fmt: skip
def test_words_are_what_stands_between_blanks_without_the_marks_around(language, text, wanted):
    if wanted is None:
        wanted = "siehe https://a.example/b-c/d.html , bitte"
    assert words(text, language) == wanted.split()
