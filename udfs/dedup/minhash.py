"""MinHash signatures by fast similarity sketching, as band hashes and a compact sketch.

Every row of a signature is the minimum of a hash over the shingles that fall into the row's bin;
rounds of fresh hashes go on until no bin is empty (Dahlgaard, Knudsen, Thorup 2017). Two texts
agree in a row with the probability of their Jaccard similarity, as with independent permutations,
but a text of n shingles costs about n + t ln t hashes for t rows in place of n * t.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from udfs.checks import at_least, check
from udfs.dedup.shingles import SHINGLE_VERSION, Folding, folding_table, shingle_document
from udfs.dedup.windows import largest_document
from udfs.text.columns import Bytes, Offsets, read_only, utf8_buffers
from udfs.text.hashing import STEP, Hashes, leading_factor, mix

# Changes whenever the same text and settings would give another signature.
SIGNATURE_VERSION = 1
# More rows than this are not kept for estimates: their standard error at 0.8 is 0.0125.
MAX_SKETCH_ROWS = 1024

_EMPTY = np.uint64(0xFFFFFFFFFFFFFFFF)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_BASE = np.uint64(0xD6E8FEB86659FD93)


@dataclass(frozen=True, kw_only=True)
class MinHashSettings:
    """The rows of a signature; two texts are candidates when all rows of any band agree.

    Defaults are the paper's 93 bands of 15 rows over word 5-grams (spec 3.2). Signatures of
    different settings or versions cannot be compared. Raises ValueError for values below 1.
    """

    # Bands of a signature; two texts that agree in any are candidates.
    bands: int = 93
    # Rows of a band; all must agree.
    rows: int = 15
    # Words per shingle.
    ngram: int = 5
    # Seed of the hash functions.
    seed: int = 1
    # Version of signatures and shingles; not to be set.
    version: int = SIGNATURE_VERSION * 1000 + SHINGLE_VERSION

    def __post_init__(self) -> None:
        """Check every value."""
        least = at_least(1).but("the published setting is bands = 93, rows = 15, ngram = 5")
        check(self, bands=least, rows=least, ngram=least)
        current = SIGNATURE_VERSION * 1000 + SHINGLE_VERSION
        if self.version != current:
            raise ValueError(
                f"version = {self.version}: this code computes signatures of version {current}; "
                "compute the saved signatures again, or use the release that wrote them"
            )

    @property
    def num_rows(self) -> int:
        """Return the rows of a whole signature: bands * rows."""
        return self.bands * self.rows

    @property
    def sketch_rows(self) -> int:
        """Return the rows (one byte each) that a sketch keeps."""
        return min(self.num_rows, MAX_SKETCH_ROWS)


# By published use (spec 3.2, and datatrove's default); `dclm` is the default.
PRESETS = {
    "dclm": MinHashSettings(),
    "refinedweb": MinHashSettings(bands=450, rows=20),
    "global_study": MinHashSettings(bands=14, rows=9),
    "datatrove": MinHashSettings(bands=14, rows=8),
}


@dataclass(frozen=True, kw_only=True)
class Signatures:
    """Signatures of a batch, one row per document.

    `bands` (int64[n, bands]) are hashes of whole bands, distinct between bands; `sketch`
    (uint8[n, sketch_rows]) serves `estimated_jaccard`; rows of documents with `num_shingles` 0
    mean nothing.
    """

    bands: npt.NDArray[np.int64]
    sketch: npt.NDArray[np.uint8]
    num_shingles: npt.NDArray[np.int64]


def candidate_probability(jaccard: float, settings: MinHashSettings) -> float:
    """Return the S-curve: the chance that two texts of that similarity become candidates."""
    return 1.0 - (1.0 - float(jaccard) ** settings.rows) ** settings.bands


def fitting_bands(threshold: float, recall: float, settings: MinHashSettings) -> MinHashSettings:
    """Return settings that find texts of the similarity `threshold` with the chance `recall`.

    Of the bands that do, those with most rows each are taken, as they bring up least else, while a
    signature has no more rows than the published one.
    """
    most_rows = MinHashSettings().num_rows
    chosen = None
    for rows in range(1, most_rows + 1):
        missed = 1.0 - threshold**rows
        bands = 1 if missed <= 1.0 - recall else math.ceil(math.log(1.0 - recall, missed))
        if bands * rows > most_rows:
            break
        chosen = replace(settings, bands=bands, rows=rows)
    if chosen is None:
        raise ValueError(
            f"threshold = {threshold}: no signature of {most_rows} rows finds {recall:.0%} of the "
            "texts that are so little alike; expected a larger threshold or a smaller recall"
        )
    return chosen


def signatures(texts: pa.Array | pa.ChunkedArray, settings: MinHashSettings) -> Signatures:
    """Return the signatures of a column of texts; scratch memory follows the largest text."""
    data, offsets = utf8_buffers(texts)
    bands, sketch, num_shingles = _sign_batch(
        read_only(data),
        read_only(offsets),
        folding_table(),
        settings.ngram,
        settings.bands,
        settings.rows,
        settings.sketch_rows,
        np.uint64(settings.seed % 2**64),
    )
    return Signatures(bands=bands, sketch=sketch, num_shingles=num_shingles)


def estimated_jaccard(
    left: npt.NDArray[np.uint8], right: npt.NDArray[np.uint8]
) -> npt.NDArray[np.float64]:
    """Return the similarity that two arrays of sketches (uint8[n, rows]) tell, row by row.

    The standard error is sqrt(J (1 - J) / rows); a byte agrees by chance once in 256.
    """
    agreeing = np.mean(left == right, axis=1)
    chance = 1.0 / 256.0
    return np.asarray(np.maximum(0.0, (agreeing - chance) / (1.0 - chance)))


@njit(cache=True, nogil=True)
def _fill_rows(shingles: Hashes, num_shingles: int, seed: np.uint64, rows: Hashes) -> None:
    """Set every row to (round << 32 | value): the least value of the first round that reached it.

    After as many rounds as there are rows, round number `num_rows + i` fills row i alone.
    """
    num_rows = len(rows)
    scale = np.uint64(num_rows)
    rows[:] = _EMPTY
    empty = num_rows
    for turn in range(2 * num_rows):
        key = mix(seed + np.uint64(turn + 1) * STEP)
        high = np.uint64(turn) << _HALF
        alone = turn - num_rows
        if alone >= 0 and rows[alone] != _EMPTY:
            continue
        for index in range(num_shingles):
            value = (shingles[index] ^ key) * STEP
            value ^= value >> _HALF
            value *= _BASE
            value ^= value >> np.uint64(29)
            row = np.int64(((value >> _HALF) * scale) >> _HALF) if alone < 0 else alone
            value = high | (value & _LOW)
            if value < rows[row]:
                empty -= rows[row] == _EMPTY
                rows[row] = value
        if empty == 0:
            return


@njit(cache=True, nogil=True)
def _sign_batch(
    data: Bytes,
    offsets: Offsets,
    table: Folding,
    ngram: int,
    bands: int,
    rows_per_band: int,
    sketch_rows: int,
    seed: np.uint64,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    num_documents = len(offsets) - 1
    most_words = largest_document(offsets)
    words = np.empty(most_words, np.uint64)
    shingles = np.empty(most_words, np.uint64)
    rows = np.empty(bands * rows_per_band, np.uint64)
    hashes = np.zeros((num_documents, bands), np.int64)
    sketch = np.zeros((num_documents, sketch_rows), np.uint8)
    counts = np.zeros(num_documents, np.int64)
    leading = leading_factor(ngram)
    for document in range(num_documents):
        counts[document] = shingle_document(
            data, offsets[document], offsets[document + 1], table, ngram, leading,
            words, shingles, 0,
        )  # fmt: skip
        if counts[document] == 0:
            continue
        _fill_rows(shingles, counts[document], seed, rows)
        for band in range(bands):
            state = np.uint64(band + 1) * STEP
            for row in range(band * rows_per_band, (band + 1) * rows_per_band):
                state = state * _BASE + rows[row]
            hashes[document, band] = np.int64(mix(state))
        for row in range(sketch_rows):
            sketch[document, row] = rows[row] & np.uint64(255)
    return hashes, sketch, counts
