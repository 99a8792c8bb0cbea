"""Passages that stand elsewhere too, by anchors in the text, and sentences that a text repeats.

A text is cut into pieces before words that their own and the previous word's hash choose: the same
words are cut in the same places wherever they stand. A passage is a run of pieces of at least so
many bytes; its key is the hash of all its words. What two texts share is found but for less than a
piece at either end, and nothing is found that is shorter.
"""

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from udfs.checks import at_least, check
from udfs.dedup.evaluation_index import words
from udfs.dedup.ngrams import DedupResult
from udfs.text.columns import Offsets, read_only
from udfs.text.hashing import mix

# Changes whenever the same text would have other keys.
PASSAGE_VERSION = 1
# Pieces have so many words on average, and never more than the second number.
_WORDS_OF_PIECE, _MOST_WORDS = 8, 64
_BASE = np.uint64(0xD6E8FEB86659FD93)
_SENTENCE = re.compile(r"[^.!?\u2026\n]+(?:[.!?\u2026]+[\"'\u201d\u2019)]*|\n|$)\s*")
Spans = list[tuple[int, int]]


@dataclass(frozen=True, kw_only=True)
class PassageSettings:
    """Dedup by passages of at least `min_size_bytes` that stand elsewhere in the corpus."""

    # Shortest passage that is looked for.
    min_size_bytes: int = 200
    # Sentences of so many words that a text repeats go too, all but the first; None: they stay.
    repeated_sentence_words: int | None = None
    # Version of the passages' keys; not to be set.
    version: int = PASSAGE_VERSION

    def __post_init__(self) -> None:
        """Check every value."""
        check(self, min_size_bytes=at_least(50), repeated_sentence_words=at_least(1))
        if self.version != PASSAGE_VERSION:
            raise ValueError(
                f"version = {self.version}: this code finds passages of version {PASSAGE_VERSION}"
            )


def passage_keys(
    texts: pa.Array | pa.ChunkedArray, settings: PassageSettings
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Return (key, row, [first, last piece]) of the shortest passages of a text.

    Those from each piece on, and those up to each piece: at most two a piece.
    """
    hashes, offsets, starts, ends = words(texts, has_markup=False)
    pieces, piece_offsets = _cut(read_only(hashes), read_only(offsets))
    return _keys(  # type: ignore[no-any-return]
        read_only(hashes), read_only(starts), read_only(ends), read_only(pieces),
        read_only(piece_offsets), settings.min_size_bytes,
    )  # fmt: skip


def remove_passages(
    texts: pa.Array | pa.ChunkedArray, passages: pa.Array, settings: PassageSettings
) -> DedupResult:
    """Return the texts without their `passages`, lists of (first, last) pieces.

    What the result calls n-grams are pieces, its windows are spans of text; a text without a word
    left is dropped.
    """
    hashes, offsets, starts, _ = words(texts, has_markup=False)
    pieces, piece_offsets = _cut(read_only(hashes), read_only(offsets))
    cuts: list[Spans] = []
    contained = np.zeros(len(texts), np.int64)
    for row, found in enumerate(passages.to_pylist()):
        numbers = _numbers(found or [])
        contained[row] = len(numbers)
        bounds = starts[pieces[piece_offsets[row] : piece_offsets[row + 1] - 1]]
        cuts.append(_as_spans(numbers, bounds, len((texts[row].as_py() or "").encode())))
    total = np.diff(piece_offsets) - 1
    return _without(texts, cuts, contained, total, settings)


def _numbers(passages: list[dict[str, int]]) -> list[int]:
    return sorted({number for one in passages for number in range(one["first"], one["last"] + 1)})


def _as_spans(numbers: list[int], bounds: Offsets, size_bytes: int) -> Spans:
    """Return the bytes of pieces, from their first word to that of the next piece, joined."""
    spans: Spans = []
    for number in numbers:
        start = int(bounds[number])
        end = int(bounds[number + 1]) if number + 1 < len(bounds) else size_bytes
        if spans and spans[-1][1] == start:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return spans


def _without(
    texts: pa.Array, cuts: list[Spans], contained: npt.NDArray[np.int64],
    total: npt.NDArray[np.int64], settings: PassageSettings,
) -> DedupResult:  # fmt: skip
    kept: list[bytes] = []
    spans: list[Spans] = []
    for text, cut in zip(texts.to_pylist(), cuts, strict=True):
        data = (text or "").encode()
        if settings.repeated_sentence_words is not None:
            cut = _joined([*cut, *repeated_sentences(text or "", settings.repeated_sentence_words)])
        spans.append(cut)
        kept.append(_left(data, cut))
    text_left = pa.array([data.decode() for data in kept], pa.large_string())
    empty = np.array([not data.strip() for data in kept])
    removed = np.array([len(cut) for cut in spans], np.int64)
    listed = [[{"start": start, "end": end} for start, end in cut] for cut in spans]
    kind = pa.large_list(pa.struct([("start", pa.int64()), ("end", pa.int64())]))
    return DedupResult(
        text=text_left,
        contained=contained,
        total=total,
        windows=removed,
        removed_windows=removed,
        removed_size_bytes=np.array([sum(e - s for s, e in cut) for cut in spans], np.int64),
        dropped=empty & (removed > 0),
        removed_spans=pa.array(listed, kind),
    )


def _left(data: bytes, spans: Spans) -> bytes:
    parts, place = [], 0
    for start, end in spans:
        parts.append(data[place:start])
        place = end
    return b"".join([*parts, data[place:]])


def _joined(spans: Spans) -> Spans:
    """Return spans in order, those that touch as one."""
    found: Spans = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def repeated_sentences(text: str, min_words: int) -> Spans:
    """Return the bytes of sentences that stand in the text before, those of `min_words` or more.

    A sentence ends at a full stop or another mark, or with its line; case and white space do not
    tell two apart.
    """
    seen: set[str] = set()
    spans: Spans = []
    for match in _SENTENCE.finditer(text):
        normal = match[0].split()
        key = " ".join(normal).lower()
        if len(normal) >= min_words and key in seen:
            start = len(text[: match.start()].encode())
            spans.append((start, start + len(match[0].encode())))
        seen.add(key)
    return _joined(spans)


@njit(cache=True, nogil=True)
def _cut(hashes, offsets):
    """Return (words, offsets): where the pieces of each text begin, and where its last one ends."""
    bounds = np.empty(len(hashes) + 2 * len(offsets), np.int64)
    piece_offsets = np.zeros(len(offsets), np.int64)
    count = 0
    for text in range(len(offsets) - 1):
        first, last = offsets[text], offsets[text + 1]
        begun = first
        for word in range(first, last):
            anchor = word > first and (
                mix(hashes[word - 1] * _BASE + hashes[word]) % np.uint64(_WORDS_OF_PIECE)
                == np.uint64(0)
            )
            if word == first or anchor or word - begun >= _MOST_WORDS:
                bounds[count] = begun = word
                count += 1
        bounds[count] = last
        count += 1
        piece_offsets[text + 1] = count
    return bounds[:count].copy(), piece_offsets


@njit(cache=True, nogil=True)
def _keys(hashes, starts, ends, pieces, piece_offsets, min_size_bytes):
    keys = np.empty(2 * len(pieces), np.int64)
    rows = np.empty(2 * len(pieces), np.int64)
    places = np.empty((2 * len(pieces), 2), np.int32)
    count = 0
    for text in range(len(piece_offsets) - 1):
        begin, end = piece_offsets[text], piece_offsets[text + 1] - 1
        first = begin
        for last in range(begin, end):
            stop = ends[pieces[last + 1] - 1]
            # The shortest passage that ends with the piece `last`, and, of those that begin with
            # the same piece, whether it is the shortest too: then it is both.
            fresh = first
            while first < last and stop - starts[pieces[first + 1]] >= min_size_bytes:
                first += 1
            if stop - starts[pieces[first]] < min_size_bytes:
                continue
            # Pieces that were passed begin no passage that ended before.
            for piece in range(fresh, first + 1):
                before = ends[pieces[last] - 1] if last > begin else starts[pieces[begin]]
                if piece < first and before - starts[pieces[piece]] >= min_size_bytes:
                    continue
                keys[count] = _run_key(hashes, pieces[piece], pieces[last + 1])
                rows[count] = text
                places[count, 0], places[count, 1] = piece - begin, last - begin
                count += 1
    return keys[:count].copy(), rows[:count].copy(), places[:count].copy()


@njit(cache=True, nogil=True)
def _run_key(hashes, first, last):
    state = np.uint64(1)
    for word in range(first, last):
        state = mix(state * _BASE + hashes[word])
    return np.int64(state)
