"""Which document that stays holds what another one says: similarity to each of the survivors.

The documents of a cluster come one after another, in the order in which they are to stay. One that
a survivor covers goes; any other stays and may cover those after it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from udfs.checks import at_least, check, one_of, share_above_zero
from udfs.text.hashing import Hashes, mix, table_size

MEASURES = ("jaccard", "containment")
Numbers = npt.NDArray[np.int32]
# Shingles of survivors that are held for comparison: about 130 MB.
_MAX_HELD_SHINGLES = 4_000_000


@dataclass(frozen=True, kw_only=True)
class CoverageSettings:
    """When a survivor stands for a document.

    `measure` "containment" is the share of the document's distinct shingles that the survivor has,
    "jaccard" the shingles of both among those of either.
    """

    measure: str
    threshold: float
    # Survivors of one cluster that a document is compared with, besides those with its very
    # shingles. Documents that only later ones cover stay.
    max_survivors: int = 1000

    def __post_init__(self) -> None:
        """Check every value."""
        check(self, measure=one_of(MEASURES), threshold=share_above_zero())
        check(self, max_survivors=at_least(1))


class Survivors:
    """The documents of one cluster that stay so far, by number in the order in which they came."""

    def __init__(self, settings: CoverageSettings) -> None:
        self._settings = settings
        self._by_digest: dict[tuple[int, int], int] = {}
        # Number of each survivor that is held, and how many distinct shingles it has.
        self._held: list[int] = []
        self._sizes = np.zeros(8, np.int32)
        # From a shingle to a chain of the survivors that have it.
        self._keys = np.zeros(16, np.uint64)
        self._heads = np.full(16, -1, np.int32)
        self._owners = np.zeros(16, np.int32)
        self._following = np.zeros(16, np.int32)
        self._num_links = 0

    def judge(self, number: int, shingles: Hashes) -> tuple[int, float] | None:
        """Return the survivor that covers a document best and its similarity; None where it stays.

        `shingles` are the document's, distinct and sorted; `number` is its own.
        """
        digest = (len(shingles), int(_digest(shingles)))
        if digest in self._by_digest:
            return self._by_digest[digest], 1.0
        held, similarity = _most_alike(
            shingles, self._keys, self._heads, (self._owners, self._following),
            self._sizes[: len(self._held)], self._settings.measure == "containment",
        )  # fmt: skip
        if held >= 0 and similarity >= self._settings.threshold:
            return self._held[held], float(similarity)
        self._by_digest[digest] = number
        self._hold(number, shingles)
        return None

    def _hold(self, number: int, shingles: Hashes) -> None:
        place = len(self._held)
        full = self._num_links >= _MAX_HELD_SHINGLES or place >= self._settings.max_survivors
        if full or not len(shingles):
            return
        self._make_room(place, self._num_links + len(shingles))
        self._held.append(number)
        self._sizes[place] = len(shingles)
        self._num_links = _link(
            shingles, place, self._keys, self._heads,
            (self._owners, self._following), self._num_links,
        )  # fmt: skip

    def _make_room(self, place: int, num_links: int) -> None:
        if place == len(self._sizes):
            self._sizes = np.concatenate((self._sizes, np.zeros(place, np.int32)))
        if num_links > len(self._owners):
            more = np.zeros(max(num_links, len(self._owners)), np.int32)
            self._owners = np.concatenate((self._owners, more))
            self._following = np.concatenate((self._following, more))
        size = table_size(num_links)
        if size > len(self._keys):
            keys, heads = np.zeros(size, np.uint64), np.full(size, -1, np.int32)
            _move(self._keys, self._heads, keys, heads)
            self._keys, self._heads = keys, heads


def sketched_similarity(
    jaccard: npt.NDArray[np.float64], size: int, sizes: npt.NDArray[np.int64], measure: str
) -> npt.NDArray[np.float64]:
    """Return what a Jaccard similarity to documents of `sizes` shingles says in `measure`.

    `size` is the number of shingles of the document that may go.
    """
    if measure == "jaccard" or size == 0:
        return jaccard
    return np.minimum(1.0, jaccard * (size + sizes) / (1.0 + jaccard) / size)


@njit(cache=True, nogil=True)
def _digest(shingles):
    state = np.uint64(len(shingles))
    for shingle in shingles:
        state = mix(state ^ shingle)
    return state


@njit(cache=True, nogil=True)
def _slot(key, keys, heads):
    slot = np.int64(key & np.uint64(len(keys) - 1))
    while heads[slot] >= 0 and keys[slot] != key:
        slot = (slot + 1) & (len(keys) - 1)
    return slot


@njit(cache=True, nogil=True)
def _link(shingles, survivor, keys, heads, chains, num_links):
    owners, following = chains
    for shingle in shingles:
        slot = _slot(shingle, keys, heads)
        owners[num_links] = survivor
        following[num_links] = heads[slot]
        keys[slot] = shingle
        heads[slot] = num_links
        num_links += 1
    return num_links


@njit(cache=True, nogil=True)
def _move(old_keys, old_heads, keys, heads):
    for place in range(len(old_keys)):
        if old_heads[place] >= 0:
            slot = _slot(old_keys[place], keys, heads)
            keys[slot] = old_keys[place]
            heads[slot] = old_heads[place]


@njit(cache=True, nogil=True)
def _most_alike(shingles, keys, heads, chains, sizes, contained):
    """Return (survivor, similarity) of the best one, the first of equals; (-1, 0) without any."""
    owners, following = chains
    common = np.zeros(len(sizes), np.int32)
    for shingle in shingles:
        link = heads[_slot(shingle, keys, heads)]
        while link >= 0:
            common[owners[link]] += 1
            link = following[link]
    best, most = -1, 0.0
    for survivor in range(len(sizes)):
        whole = len(shingles)
        if not contained:
            whole += sizes[survivor] - common[survivor]
        similarity = common[survivor] / whole if whole else 0.0
        if similarity > most:
            best, most = survivor, similarity
    return best, most
