"""The limits of a language from texts in it: tails of what its prose looks like, by one rule.

FineWeb2 (arXiv:2506.20920) takes its limits from a reference corpus in each language. Here any
texts serve: a pool of the web, of which the pages of prose are taken, or a corpus such as an
encyclopedia, of which nearly all are.

The rule. Of texts that the language model gives the language, those of at least MIN_WORDS words of
which at least MIN_TERMINATED_LINES of the lines end with a mark are the reference. A limit is where
a tail of the reference begins: LINE_TAIL of it for lines and letters, REPETITION_TAIL for what is
repeated, LENGTH_TAIL for the mean length of words, rounded outwards. The lowest score is as in
FineWeb2: the median less one standard deviation, from 0.3 to 0.9. Stop words are the
NUM_STOP_WORDS most frequent words with a letter.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from math import ceil, floor
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dclm_spark.crawl.listing import find_inputs
from dclm_spark.errors import InputError, SettingError
from dclm_spark.recipes.recipe import LANGUAGE_MODEL
from udfs.documents.extract import ExtractionSettings
from udfs.documents.formats import InputUnit, Reading, read_unit
from udfs.documents.given import InputSettings
from udfs.fasttext.language import LanguageIdentifier
from udfs.fasttext.model import labels_of
from udfs.languages.codes import code_of, is_code, nearest_codes, typed_code
from udfs.languages.segmenters import missing_segmenter, words_of
from udfs.rules.families import HeuristicSettings, signals_of
from udfs.rules.url_lists import load_url_lists
from udfs.storage.cache import fetch
from udfs.storage.reference import FileReference
from udfs.text.columns import utf8_buffers

MIN_WORDS, MIN_TERMINATED_LINES, MIN_TEXTS = 50, 0.12, 30
LINE_TAIL, REPETITION_TAIL, LENGTH_TAIL = 0.1, 0.02, 0.005
NUM_STOP_WORDS = 15
_SCORES = 0.3, 0.9
_TOP, _REPEATED = range(2, 5), range(5, 11)
Signals = dict[str, npt.NDArray[np.float64]]


def derive_limits(
    texts: Iterable[pa.Array], language: str, model: FileReference = LANGUAGE_MODEL
) -> tuple[dict[str, Any], dict[str, int]]:
    """Return the limits of a language (a code), and how many texts were read, in it, and reference.

    The limits have FineWeb2's keys, as `language_limits` reads them. Raises SettingError for what
    is no code, or needs a package that is not there; InputError for too few texts.
    """
    code = typed_code(language)
    known = {code_of(label) for label in labels_of(fetch(model.uri, model.sha256))}
    if not is_code(code) or code not in known:
        reason = "the language model does not tell it" if is_code(code) else "it is no code"
        raise SettingError(
            f"--language {language!r}: {nearest_codes(language, known)}{reason}; expected a code "
            "of language and script, such as ita_Latn"
        )
    if package := missing_segmenter(code):
        raise SettingError(f"--language {code}: its words need the package {package}")
    identify = LanguageIdentifier(fetch(model.uri, model.sha256), quirks="none", codes=True)
    measured = _Measured(code)
    for column in texts:
        labels, scores = identify(column)
        own = pc.fill_null(pc.equal(labels, code), False)
        measured.add(column.filter(own), scores[own.to_numpy(zero_copy_only=False)], len(column))
    signals = measured.signals()
    is_prose = (signals["num_words"] >= MIN_WORDS) & (
        signals["terminated_line_fraction"] >= MIN_TERMINATED_LINES
    )
    counts = {"read": measured.read, "in_language": is_prose.size, "reference": int(is_prose.sum())}
    if counts["reference"] < MIN_TEXTS:
        raise InputError(
            f"--input: of {counts['read']} texts {counts['in_language']} are in {code} and "
            f"{counts['reference']} of these are prose; limits need {MIN_TEXTS}: give more texts"
        )
    prose = {name: values[is_prose] for name, values in signals.items()}
    return _limits(prose, measured.stop_words()), counts


def texts_of(
    inputs: str, base: str | None, text_column: str, most: int
) -> Iterator[pa.StringArray]:
    """Yield the texts of at most so many documents of files, as `--input` names them.

    Pages of WARCs are extracted as recipes do by default.
    """
    columns = InputSettings(text_column=text_column)
    left = most
    for file in find_inputs(inputs, base, None).files:
        unit = InputUnit(crawl=file.crawl, path=file.path, uri=file.uri, kind=file.kind)
        for batch in read_unit(unit, Reading(extraction=ExtractionSettings(), columns=columns)):
            texts = batch.filter(pc.is_null(batch.column("fate"))).column("text").slice(0, left)
            left -= len(texts)
            yield texts
            if left <= 0:
                return


class _Measured:
    """What is known of the texts in a language."""

    def __init__(self, code: str) -> None:
        self.read = 0
        self._settings = HeuristicSettings(rules="fineweb2", language=code)
        self._parts: list[Signals] = []
        self._words: Counter[bytes] = Counter()

    def add(self, texts: pa.Array, scores: npt.NDArray[np.float64], num_read: int) -> None:
        self.read += num_read
        if not len(texts):
            return

        def same(column: pa.Array) -> tuple[pa.Array, npt.NDArray[np.float64]]:
            return pa.array([self._settings.language] * len(column)), scores

        found = signals_of(texts, self._settings, load_url_lists(), same)
        self._parts.append({name: _floats(found[name]) for name in _names()})
        data, offsets = utf8_buffers(texts)
        starts, ends, _ = words_of(data, offsets, self._settings.language)
        content = data.tobytes()
        spans = zip(starts.tolist(), ends.tolist(), strict=True)
        self._words.update(content[start:end] for start, end in spans)

    def signals(self) -> Signals:
        """Return the signals of all texts."""
        return {
            name: np.concatenate([np.empty(0), *(part[name] for part in self._parts)])
            for name in _names()
        }

    def stop_words(self) -> list[str]:
        """Return the most frequent words, in small letters: rules take words as they stand."""
        words = ((word.decode(), count) for word, count in self._words.most_common())
        found = (word for word, _ in words if word == word.lower() and any(map(str.isalpha, word)))
        return [word for word, _ in zip(found, range(NUM_STOP_WORDS), strict=False)]


def _names() -> tuple[str, ...]:
    tops = (f"top_{n}_gram_fraction" for n in _TOP)
    repeated = (f"repeated_{n}_grams_fraction" for n in _REPEATED)
    return (
        "language_score", "num_words", "mean_word_length", "terminated_line_fraction",
        "newlines_per_word", "alphabetic_word_fraction", "repeated_lines_fraction",
        *tops, *repeated,
    )  # fmt: skip


def _floats(column: pa.Array) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values


def _limits(prose: Signals, stop_words: list[str]) -> dict[str, Any]:
    """Return the limits of a reference, as FineWeb2 names them."""

    def at(name: str, share: float) -> float:
        return float(np.nanquantile(prose[name], share))

    def rounded(name: str, share: float) -> float:
        return round(at(name, share), 3)

    scores = prose["language_score"]
    score = min(max(float(np.median(scores) - np.std(scores)), _SCORES[0]), _SCORES[1])
    most = 1.0 - REPETITION_TAIL
    return {
        "dup_line_frac": rounded("repeated_lines_fraction", most),
        "dup_n_grams": [[n, rounded(f"repeated_{n}_grams_fraction", most)] for n in _REPEATED],
        "language_score": round(score, 3),
        "line_punct_thr": rounded("terminated_line_fraction", LINE_TAIL),
        "max_avg_word_length": ceil(at("mean_word_length", 1.0 - LENGTH_TAIL)),
        "max_non_alpha_words_ratio": rounded("alphabetic_word_fraction", LINE_TAIL),
        "min_avg_word_length": floor(at("mean_word_length", LENGTH_TAIL)),
        "new_line_ratio": rounded("newlines_per_word", 1.0 - LINE_TAIL),
        "stopwords": stop_words,
        "top_n_grams": [[n, rounded(f"top_{n}_gram_fraction", most)] for n in _TOP],
    }
