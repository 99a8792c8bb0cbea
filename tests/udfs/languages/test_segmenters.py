from itertools import pairwise

import pyarrow as pa
import pytest

from udfs.languages.segmenters import SEGMENTERS, missing_segmenter, segmenter_version, words_of
from udfs.text.columns import utf8_buffers

TEXTS = {
    "cmn_Hani": (
        "我来到北京清华大学。\n第二行",
        "我 来到 北京 清华大学 。 第二行",
    ),
    "jpn_Jpan": (
        "私は東京都に住んでいます。",
        "私 は 東京 都 に 住ん で い ます 。",
    ),
    "tha_Thai": ("ฉันรักภาษาไทย ABC", "ฉัน รัก ภาษาไทย ABC"),
    "khm_Khmr": ("ខ្ញុំស្រលាញ់ភាសាខ្មែរ", None),
    "lao_Laoo": ("ຂ້ອຍຮັກພາສາລາວ", None),
    "mya_Mymr": ("မြန်မာစာ abc", "မြန် မာ စာ abc"),
}


def words(texts: list[str], language: str) -> list[list[str]]:
    data, offsets = utf8_buffers(pa.array(texts, pa.large_string()))
    starts, ends, word_offsets = words_of(data, offsets, language)
    found = [data[start:end].tobytes().decode() for start, end in zip(starts, ends, strict=True)]
    return [found[a:b] for a, b in pairwise(word_offsets)]


@pytest.mark.parametrize("language", TEXTS)
def test_words_of_unspaced_scripts_stand_in_the_text_in_order(language):
    text, wanted = TEXTS[language]
    first, empty, second = words(["x", "", text], language)
    assert (first, empty) == (["x"], [])
    assert len(second) > 2
    position = 0
    for word in second:
        position = text.index(word, position) + len(word)
    assert wanted is None or second == wanted.split()


def test_a_language_without_a_segmenter_has_the_words_between_blanks():
    assert words(["Der Fluss, breit."], "deu_Latn") == [["Der", "Fluss", ",", "breit", "."]]


def test_a_text_longer_than_the_library_takes_is_cut():
    (found,) = words(["東京都" * 20_000], "jpn_Jpan")
    assert "".join(found) == "東京都" * 20_000


def test_japanese_words_go_on_behind_a_nul():
    assert words(["東京\0に住む  A"], "jpn_Jpan") == [["東京", "に", "住む", "A"]]


def test_packages_that_are_absent_are_named(monkeypatch):
    assert missing_segmenter("deu_Latn") is None
    assert all(missing_segmenter(language) is None for language in SEGMENTERS)
    assert segmenter_version("jpn_Jpan").startswith("fugashi ")
    assert segmenter_version("deu_Latn") == segmenter_version("mya_Mymr") == ""
    monkeypatch.setattr("udfs.languages.segmenters.find_spec", lambda name: None)
    assert missing_segmenter("jpn_Jpan") == "fugashi unidic-lite"
