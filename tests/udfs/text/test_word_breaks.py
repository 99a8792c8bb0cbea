"""UAX-29 segmentation against uniseg, which implements the rules one by one."""

import random
from collections import defaultdict

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.udfs.text.word_break_table import RESOURCE, derived_table
from udfs.text.columns import utf8_buffers
from udfs.text.segments import segments
from udfs.text.word_breaks import TABLE_SIZE, word_table

uniseg_words = pytest.importorskip("uniseg.wordbreak").words


def words_of(texts: list[str]) -> list[list[str]]:
    data, offsets = utf8_buffers(pa.array(texts, pa.large_string()))
    ends, segment_offsets = segments(data, offsets)
    found = []
    for text in range(len(texts)):
        position, words = int(offsets[text]), []
        for end in ends[segment_offsets[text] : segment_offsets[text + 1]].tolist():
            words.append(data[position:end].tobytes().decode())
            position = end
        found.append(words)
    return found


def assert_same(texts: list[str]) -> None:
    for text, words in zip(texts, words_of(texts), strict=True):
        assert words == list(uniseg_words(text)), ascii(text)


def characters_by_class() -> list[list[str]]:
    classes = defaultdict(list)
    for point, entry in enumerate(word_table().tolist()):
        if not 0xD800 <= point < 0xE000:
            classes[entry].append(chr(point))
    ascii_only = [[c for c in group if c.isascii()] for group in classes.values()]
    return list(classes.values()) + [group for group in ascii_only if group]


CLASSES = characters_by_class()


def test_the_resource_is_what_uniseg_derives_from_unicode_16() -> None:
    assert RESOURCE.read_text() == derived_table()


def test_no_character_beyond_the_table_has_a_property() -> None:
    beyond = [chr(point) for point in range(TABLE_SIZE, 0x110000)]
    assert not any(c.isalnum() or c.isspace() for c in beyond)


def test_random_neighbours_of_every_class_are_cut_like_uniseg_cuts_them() -> None:
    chance = random.Random(0)
    for _ in range(20):
        texts = [
            "".join(chance.choice(chance.choice(CLASSES)) for _ in range(chance.randrange(1, 14)))
            for _ in range(300)
        ]
        assert_same(texts)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=5))
def test_any_texts_are_cut_like_uniseg_cuts_them(texts: list[str]) -> None:
    assert_same(texts)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="ab12_'.:,;\" \n\r\té\u0308\u200dあア·", max_size=25))
def test_any_punctuation_is_cut_like_uniseg_cuts_it(text: str) -> None:
    assert_same([text])


ENGLISH = "abc12_'.:,;\" \n\r\t()é’—\u0308\u200d"


@settings(max_examples=150, deadline=None)
@given(st.integers(55, 130), st.text(alphabet=ENGLISH, max_size=12), st.sampled_from("a1 ."))
def test_what_stands_at_the_end_of_a_block_is_cut_like_elsewhere(
    place: int, text: str, filling: str
) -> None:
    assert_same([filling * place + text + filling * place])


def test_long_texts_are_cut_like_uniseg_cuts_them() -> None:
    chance = random.Random(1)
    for beyond in (0.0, 0.01, 0.1, 0.6):
        texts = []
        for _ in range(40):
            weights = [beyond if ord(character) > 0x7F else 1 for character in ENGLISH]
            texts.append("".join(chance.choices(ENGLISH, weights, k=chance.randrange(50, 400))))
        assert_same(texts)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "can't stop, 3.14 (1,000)",
            ["can't", " ", "stop", ",", " ", "3.14", " ", "(", "1,000", ")"],
        ),
        ("a.b 1.b a_1", ["a.b", " ", "1", ".", "b", " ", "a_1"]),
        ("\r\n\n\r", ["\r\n", "\n", "\r"]),
        ("👩‍👩‍👧x", ["👩‍👩‍👧", "x"]),
        ("🇩🇪🇫🇷🇮", ["🇩🇪", "🇫🇷", "🇮"]),
        ("e\u0301te\u0301 \u0301x", ["e\u0301te\u0301", " \u0301", "x"]),
        ('צה"ל ג\' א"', ['צה"ל', " ", "ג'", " ", "א", '"']),
        ("カタカナひら", ["カタカナ", "ひ", "ら"]),
        ("l·l a:b 1:2", ["l·l", " ", "a:b", " ", "1", ":", "2"]),
        ("a  b\u3000 c", ["a", "  ", "b", "\u3000 ", "c"]),
        ("", []),
    ],
)
def test_the_rules_by_example(text: str, words: list[str]) -> None:
    assert words_of([text]) == [words]
    assert list(uniseg_words(text)) == words


def test_texts_of_a_batch_do_not_join() -> None:
    assert words_of(["ab", "", "cd", "\r", "\n"]) == [["ab"], [], ["cd"], ["\r"], ["\n"]]
