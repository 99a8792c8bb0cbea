"""Words of scripts that set no blanks between them, by the libraries that know the languages.

Where no segmenter is named for a language, its words are those of `udfs.languages.spaced_words`.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

from udfs.languages.spaced_words import spaced_words
from udfs.text.columns import Bytes, Offsets

# The words of a line, in order; what is left out between them is no word.
Words = Callable[[str], Iterable[str]]
# Sudachi takes 49,149 bytes at most.
_MOST_CHARACTERS = 10_000
_PIECES = re.compile(rf"[^\n]{{1,{_MOST_CHARACTERS}}}")
_ASCII_PARTS = re.compile(r"[a-zA-Z0-9]+(?:\.\d+)?%?|[^a-zA-Z0-9]")
# A Burmese syllable begins with a consonant that neither is stacked below another one nor ends it.
_SYLLABLE = re.compile(r"(?<!\u1039)(?=[\u1000-\u102a\u103f\u104c-\u104f](?![\u103a\u1039]))")
_BURMESE_OR_NOT = re.compile(r"[\u1000-\u109f]+|[^\u1000-\u109f\s]+")


class Segmenter(NamedTuple):
    """A library that finds words, by the name it is imported by and those it is installed by."""

    package: str
    installed_as: str
    load: Callable[[], Words]


def _chinese() -> Words:
    import rjieba

    def words(line: str) -> Iterator[str]:
        for word in rjieba.cut(line, True):
            # As jieba itself does it.
            whole = word.isalnum() or not word.isascii()
            yield from (word,) if whole else _ASCII_PARTS.findall(word)

    return words


def _japanese() -> Words:
    from sudachipy import Dictionary, SplitMode

    tokenizer = Dictionary(dict="core").create(mode=SplitMode.A)
    return lambda line: [word.surface() for word in tokenizer.tokenize(line)]


def _thai() -> Words:
    from pythainlp.tokenize import word_tokenize

    return lambda line: word_tokenize(line, engine="newmm-safe")


def _lao() -> Words:
    from laonlp.tokenize import word_tokenize

    return word_tokenize  # type: ignore[no-any-return]


def _khmer() -> Words:
    from khmernltk import word_tokenize

    return word_tokenize  # type: ignore[no-any-return]


def _burmese() -> Words:
    def syllables(line: str) -> Iterator[str]:
        for part in _BURMESE_OR_NOT.findall(line):
            yield from filter(None, _SYLLABLE.split(part))

    return syllables


_CHINESE = Segmenter("rjieba", "rjieba", _chinese)
SEGMENTERS: dict[str, Segmenter] = {
    "cmn_Hani": _CHINESE,
    "wuu_Hani": _CHINESE,
    "yue_Hani": _CHINESE,
    "jpn_Jpan": Segmenter("sudachipy", "sudachipy sudachidict_core", _japanese),
    "tha_Thai": Segmenter("pythainlp", "pythainlp", _thai),
    "lao_Laoo": Segmenter("laonlp", "laonlp", _lao),
    "khm_Khmr": Segmenter("khmernltk", "khmer-nltk", _khmer),
    # Syllables: no library for words is looked after.
    "mya_Mymr": Segmenter("re", "", _burmese),
}


def missing_segmenter(language: str) -> str | None:
    """Return the packages that the words of a language (a code) need and this machine lacks."""
    segmenter = SEGMENTERS.get(language)
    if segmenter is None or find_spec(segmenter.package) is not None:
        return None
    return segmenter.installed_as


def segmenter_version(language: str) -> str:
    """Return the packages that find the words of a language (a code), with their versions."""
    segmenter = SEGMENTERS.get(language)
    if segmenter is None or missing_segmenter(language):
        return ""
    return " ".join(f"{name} {version(name)}" for name in segmenter.installed_as.split())


def words_of(data: Bytes, offsets: Offsets, language: str) -> tuple[Offsets, Offsets, Offsets]:
    """Return (starts, ends, word_offsets) of the words of a language, as `word_spans` does."""
    if language not in SEGMENTERS:
        return spaced_words(data, offsets, language)
    words = _load(language)
    content = data.tobytes()
    known: dict[str, list[tuple[int, int]]] = {}
    starts: list[Any] = [np.empty(0, np.int64)]
    ends: list[Any] = [np.empty(0, np.int64)]
    word_offsets = np.zeros(len(offsets), np.int64)
    for number in range(len(offsets) - 1):
        first, last = int(offsets[number]), int(offsets[number + 1])
        text = content[first:last].decode()
        spans = np.array(list(_spans(text, words, known)), np.int64).reshape(-1, 2)
        # Where each character begins, and the text ends.
        places = np.flatnonzero((data[first:last] & 0xC0) != 0x80)
        places = np.append(places, last - first) + first
        starts.append(places[spans[:, 0]])
        ends.append(places[spans[:, 1]])
        word_offsets[number + 1] = word_offsets[number] + len(spans)
    return np.concatenate(starts), np.concatenate(ends), word_offsets


@cache
def _load(language: str) -> Words:
    return SEGMENTERS[language].load()


def _spans(
    text: str, words: Words, known: dict[str, list[tuple[int, int]]]
) -> Iterator[tuple[int, int]]:
    """Yield the first character of each word and the one behind it.

    `known` has the places in lines that occurred before, of which sites repeat many.
    """
    for piece in _PIECES.finditer(text):
        line, first = piece[0], piece.start()
        if line not in known:
            known[line] = list(_line_spans(line, words))
        for start, end in known[line]:
            yield first + start, first + end


def _line_spans(line: str, words: Words) -> Iterator[tuple[int, int]]:
    position = 0
    for word in words(line):
        solid = word.strip()
        start = line.find(solid, position) if solid else -1
        if start >= 0:
            position = start + len(solid)
            yield start, position
