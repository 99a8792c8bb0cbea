"""Pairs of texts with a planted similarity: one is the other with edits of one kind."""

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import bytes_to_str, detect_encoding

from tests.benchmarks.dedup_corpus import VOCABULARY_SIZE, Words, texts_of, vocabulary

# Shingles of the original that one edit changes, on average of both sides, by word 5-grams.
CHANGED_SHINGLES = {"substitution": 5.0, "insertion": 4.5, "deletion": 4.5, "block move": 12.0}
EDITS = (*CHANGED_SHINGLES, "truncation")
_SHORTEST, _LONGEST = 80, 300


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Texts side by side; `exact` is the Jaccard similarity of their sets of word n-grams."""

    left: pa.Array
    right: pa.Array
    exact: npt.NDArray[np.float64]


def edited(words: Words, kind: str, similarity: float, rng: np.random.Generator) -> Words:
    """Return `words` with edits of one kind, as many as make about that similarity."""
    if kind == "truncation":
        return words[: max(5, round(len(words) * similarity))]
    edits = (len(words) - 4) * (1 - similarity) / (1 + similarity) / CHANGED_SHINGLES[kind]
    number = int(edits + rng.random())
    if kind == "block move":
        for _ in range(number):
            start, end, target = np.sort(rng.integers(len(words) + 1, size=3))
            words = np.concatenate([words[:start], words[end:target], words[start:end],
                                    words[target:]])  # fmt: skip
        return words
    places = np.sort(rng.choice(len(words), min(number, len(words)), replace=False))
    fresh = rng.integers(VOCABULARY_SIZE, size=len(places))
    if kind == "deletion":
        return np.delete(words, places)
    if kind == "insertion":
        return np.insert(words, places, fresh)
    result = words.copy()
    result[places] = fresh
    return result


def planted_pairs(num_pairs: int, least: float = 0.3, seed: int = 1) -> Pairs:
    """Return pairs of planted similarity from `least` to 1, all kinds of edits in turn."""
    rng = np.random.default_rng(seed)
    left, right = [], []
    for number in range(num_pairs):
        words = rng.integers(VOCABULARY_SIZE, size=rng.integers(_SHORTEST, _LONGEST + 1))
        left.append(words)
        kind = EDITS[number % len(EDITS)]
        right.append(edited(words, kind, rng.uniform(least, 1.0), rng))
    exact = [exact_jaccard(a.tolist(), b.tolist()) for a, b in zip(left, right, strict=True)]
    return Pairs(left=as_texts(left), right=as_texts(right), exact=np.array(exact))


def as_texts(documents: list[Words]) -> pa.Array:
    """Return documents, given as numbers of words of the generated vocabulary, as texts."""
    offsets = np.cumsum([0, *map(len, documents)])
    return texts_of(np.concatenate(documents), offsets, vocabulary())


def exact_jaccard(left: list[str], right: list[str], ngram: int = 5) -> float:
    """Return the Jaccard similarity of the sets of word n-grams, slowly and without hashes."""
    one, other = word_ngrams(left, ngram), word_ngrams(right, ngram)
    either = len(one | other)
    return len(one & other) / either if either else 0.0


def word_ngrams(words: list[str], ngram: int) -> set[tuple[str, ...]]:
    """Return the n-grams of a list of words; fewer words than that are one n-gram."""
    if not words:
        return set()
    return set(zip(*(words[start:] for start in range(min(ngram, len(words)))), strict=False))


def listed_pairs(folder: Path) -> tuple[pa.Array, pa.Array]:
    """Return the main texts of the pages that near_duplicates.tsv of `folder` lists as pairs.

    The folder also holds manifest.tsv, which says where in which WARC each page lies.
    """
    listed = _table(folder / "near_duplicates.tsv")
    wanted = {pair[f"record_id_{side}"] for pair in listed for side in "ab"}
    files = {path.name: path for path in folder.rglob("*.warc.gz")}
    texts = {}
    for page in _table(folder / "manifest.tsv"):
        if page["record_id"] in wanted:
            path = files[page["warc_file"].rpartition("/")[2]]
            texts[page["record_id"]] = _main_text(path, int(page["offset"]), int(page["length"]))
    left, right = ([texts[pair[f"record_id_{side}"]] for pair in listed] for side in "ab")
    return pa.array(left), pa.array(right)


def _main_text(warc: Path, offset: int, length: int) -> str:
    with warc.open("rb") as file:
        file.seek(offset)
        record = gzip.decompress(file.read(length))
    body = record.split(b"\r\n\r\n", 2)[2]
    html = bytes_to_str(body, detect_encoding(body) or "utf-8")
    return str(extract_plain_text(html, main_content=True))


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
