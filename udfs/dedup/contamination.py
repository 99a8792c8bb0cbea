"""Word n-grams that documents share with evaluation data (normalised as in udfs.dedup.shingles).

An index is an .npy file of shape [2, n] and type uint64: the sorted n-gram hashes, and for each the
set of tasks that have it, as bits. It is mapped, so the workers of a host share its memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from udfs.dedup.shingles import shingle_hashes
from udfs.text.columns import Offsets, read_only
from udfs.text.hashing import Hashes

MAX_TASKS = 64
# Words in common that chance does not give; the length that GPT-3's authors took.
NGRAM_WORDS = 13
_BUCKET_BITS = 16
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """Per document: its n-grams, those of them in evaluation data, and the bits of the tasks."""

    num_ngrams: Counts
    shared_ngrams: Counts
    tasks: Hashes


@dataclass(frozen=True, kw_only=True)
class ContaminationIndex:
    """A loaded index; `starts[b]` is the first hash whose upper 16 bits are b or more."""

    hashes: Hashes
    tasks: Hashes
    starts: Offsets
    ngram_words: int = NGRAM_WORDS

    def overlap(self, texts: pa.Array | pa.ChunkedArray) -> Overlap:
        """Count the n-grams that each text shares with the evaluation data."""
        hashes, offsets = shingle_hashes(texts, self.ngram_words)
        shared, tasks = _overlap_rows(
            read_only(hashes), read_only(offsets), self.hashes, self.tasks, self.starts
        )
        return Overlap(num_ngrams=np.diff(offsets), shared_ngrams=shared, tasks=tasks)


def build_index(
    texts_by_task: Mapping[str, Sequence[str]], ngram_words: int = NGRAM_WORDS
) -> npt.NDArray[np.uint64]:
    """Return the index of the texts; task number i of the mapping is bit i.

    Texts of fewer words have no n-gram, so they match nothing. ValueError for over 64 tasks.
    """
    if len(texts_by_task) > MAX_TASKS:
        raise ValueError(
            f"{len(texts_by_task)} evaluation tasks: an index holds {MAX_TASKS}; make two"
        )
    hashes, bits = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
    for task, texts in enumerate(texts_by_task.values()):
        found = np.unique(full_ngrams(texts, ngram_words))
        hashes.append(found)
        bits.append(np.full(len(found), np.uint64(1) << np.uint64(task)))
    every = np.concatenate(hashes)
    distinct, places = np.unique(every, return_inverse=True)
    masks = np.zeros(len(distinct), np.uint64)
    np.bitwise_or.at(masks, places, np.concatenate(bits))
    return np.stack((distinct, masks))


def full_ngrams(texts: Sequence[str], ngram_words: int = NGRAM_WORDS) -> Hashes:
    """Return the hashes of n-grams, without those that stand for a text of fewer words."""
    column = pa.array(texts, pa.large_string())
    hashes, offsets = shingle_hashes(column, ngram_words)
    _, longer_offsets = shingle_hashes(column, ngram_words - 1)
    # A text of n words or more has one (n - 1)-gram more than n-grams.
    full = np.diff(longer_offsets) > np.diff(offsets)
    return hashes[np.repeat(full, np.diff(offsets))]


@cache
def load_index(path: Path, ngram_words: int = NGRAM_WORDS) -> ContaminationIndex:
    """Map an index file; ValueError when it is none."""
    table = np.load(path, mmap_mode="r", allow_pickle=False)
    if table.ndim != 2 or len(table) != 2 or table.dtype != np.uint64:
        raise ValueError(
            f"contamination index {path}: expected uint64 [2, n], found {table.dtype} "
            f"{table.shape}; write it with dclm_spark.stages.decontaminate.write_index"
        )
    return index_of(table, ngram_words)


def index_of(table: npt.NDArray[np.uint64], ngram_words: int = NGRAM_WORDS) -> ContaminationIndex:
    """Return what `build_index` returned, ready to be asked."""
    hashes, tasks = np.asarray(table[0]), np.asarray(table[1])
    edges = np.arange(1 << _BUCKET_BITS, dtype=np.uint64) << np.uint64(64 - _BUCKET_BITS)
    starts = np.append(np.searchsorted(hashes, edges), len(hashes)).astype(np.int64)
    return ContaminationIndex(
        hashes=read_only(hashes),
        tasks=read_only(tasks),
        starts=read_only(starts),
        ngram_words=ngram_words,
    )


@njit(cache=True, nogil=True)
def _overlap_rows(
    hashes: Hashes, offsets: Offsets, index: Hashes, index_tasks: Hashes, starts: Offsets
) -> tuple[Counts, Hashes]:
    shared = np.zeros(len(offsets) - 1, np.int64)
    tasks = np.zeros(len(offsets) - 1, np.uint64)
    for row in range(len(shared)):
        for place in range(offsets[row], offsets[row + 1]):
            wanted = hashes[place]
            bucket = np.int64(wanted >> np.uint64(48))
            low, high = starts[bucket], starts[bucket + 1]
            while low < high:
                middle = (low + high) // 2
                if index[middle] < wanted:
                    low = middle + 1
                else:
                    high = middle
            if low < starts[bucket + 1] and index[low] == wanted:
                shared[row] += 1
                tasks[row] |= index_tasks[low]
    return shared, tasks
