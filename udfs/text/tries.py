"""Word lists as byte tries: flat arrays that compiled kernels walk over UTF-8 text."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit


class Trie(NamedTuple):
    """A word list as a byte automaton; node 0 is the root and also stands for "no such child".

    Kernels take it as it is.
    """

    # Byte -> column of `children`; column 0 is that of bytes which occur in no word.
    columns: npt.NDArray[np.uint8]
    # children[node, column] is the next node, 0 where there is none.
    children: npt.NDArray[np.int32]
    # Index of the word that ends at a node, -1 where none does.
    word_at: npt.NDArray[np.int32]


def as_written(character: str) -> tuple[str, ...]:
    """Return the one spelling of `character` that equals it."""
    return (character,)


def build_trie(
    words: Iterable[str], spellings: Callable[[str], tuple[str, ...]] = as_written
) -> Trie:
    """Build the trie of `words`, each character in all its `spellings`.

    Characters have the same spellings or none in common (as those that differ in case only).
    """
    nodes: list[dict[int, int]] = [{}]
    word_at = [-1]

    def step(node: int, byte: int, target: int | None) -> int:
        if byte not in nodes[node]:
            if target is None:
                target = len(nodes)
                nodes.append({})
                word_at.append(-1)
            nodes[node][byte] = target
        return nodes[node][byte]

    for index, word in enumerate(words):
        node = 0
        for character in word:
            target: int | None = None
            for encoded in (spelling.encode() for spelling in spellings(character)):
                branch = node
                for byte in encoded[:-1]:
                    branch = step(branch, byte, None)
                target = step(branch, encoded[-1], target)
            assert target is not None
            node = target
        word_at[node] = index
    return _flattened(nodes, word_at)


def _flattened(nodes: list[dict[int, int]], word_at: list[int]) -> Trie:
    used = sorted({byte for node in nodes for byte in node})
    columns = np.zeros(256, np.uint8)
    columns[used] = np.arange(1, len(used) + 1)
    children = np.zeros((len(nodes), len(used) + 1), np.int32)
    for index, node in enumerate(nodes):
        for byte, target in node.items():
            children[index, columns[byte]] = target
    return Trie(columns=columns, children=children, word_at=np.array(word_at, np.int32))


@njit(cache=True, nogil=True)
def starts_with_word(data, start, end, trie):
    """Return whether data[start:end] begins with a word of the trie."""
    node = 0
    for position in range(start, end):
        node = trie.children[node, trie.columns[data[position]]]
        if node == 0:
            return False
        if trie.word_at[node] >= 0:
            return True
    return False
