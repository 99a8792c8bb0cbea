"""Words of scripts that set no blanks between them, by the libraries that know the languages.

Where no segmenter is named for a language, its words are those of `udfs.languages.spaced_words`.
"""

import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np

from udfs.languages.spaced_words import spaced_words
from udfs.languages.word_spans import places_of
from udfs.text.columns import Bytes, Offsets

# The words of a line, in order; what is left out between them is no word.
Words = Callable[[str], Iterable[str]]
# What is asked about at once; libraries' time or memory grows with it.
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
            if not word.isascii() or word.isalnum():
                yield word
            else:
                yield from _ASCII_PARTS.findall(word)

    return words


def _japanese() -> Words:
    import unidic_lite
    from fugashi import GenericTagger

    folder = shlex.quote(unidic_lite.DICDIR)
    tagger = GenericTagger(f"-Owakati -d {folder} -r {folder}/mecabrc")
    # The library's text ends where a NUL stands.
    return lambda line: tagger.parse(line.replace("\0", " ")).split(" ")


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
    "jpn_Jpan": Segmenter("fugashi", "fugashi unidic-lite", _japanese),
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
    words, content = _load(language), data.tobytes()
    # Sites repeat many lines.
    known: dict[str, bytes] = {}
    found: list[bytes] = []
    lines: list[tuple[int, int, int]] = []
    for text in range(len(offsets) - 1):
        end = int(offsets[text])
        for newlines, line in _lines(content[end : int(offsets[text + 1])].decode()):
            start = end + newlines
            end = start + len(line.encode())
            if line not in known:
                known[line] = "".join([f"{word}\n" for word in words(line)]).encode()
            lines.append((start, end, text))
            found.append(known[line])
    places = np.array(lines, np.int64).reshape(-1, 3)
    ends_of_words = np.cumsum([0, *map(len, found)], dtype=np.int64)
    told = np.frombuffer(b"".join(found), np.uint8)
    starts, ends, of_lines = places_of(data, places, told, ends_of_words)
    word_offsets = np.searchsorted(places[of_lines, 2], np.arange(len(offsets)))
    return starts, ends, word_offsets


@cache
def _load(language: str) -> Words:
    return SEGMENTERS[language].load()


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line that is not empty, long ones in pieces, and how many newlines precede it."""
    end = 0
    for piece in _PIECES.finditer(text):
        yield piece.start() - end, piece[0]
        end = piece.end()
