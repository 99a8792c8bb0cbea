"""The order of training sequences: a pure function of (seed, epoch, position).

Shards are permuted and taken in windows; the row groups of a window are permuted, and the rows
of each group. A few groups are read by turns, a part of each: so a rank takes its rows of several
steps from one group, and unpacks it once. Reads stay sequential, a rank needs no state but the
step, and any number of ranks sees the same global order. Several sources are mixed in periods of
exact counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dclm_spark.shard_format import group_sizes
from udfs.shards.packed_rows import ROWS_PER_GROUP

# Weights are honored exactly to one part in this many sequences.
MIXTURE_PERIOD = 4096
# How many rows of a group are read before it is the next one's turn.
ROWS_IN_TURN = 32
Index = NDArray[np.int64]


def permutation(size: int, *key: int) -> Index:
    """Return a permutation of range(size) that depends on `key` alone.

    Sorting hashed counters, so that it is the same under every NumPy version.
    """
    state = np.zeros(1, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for part in key:
            state = _mixed(state ^ np.uint64(part))
        hashes = _mixed(np.arange(size, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + state)
    return np.argsort(hashes, kind="stable")


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the finalizer of splitmix64."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@dataclass(frozen=True)
class Piece:
    """Consecutive training positions that one row group serves."""

    shard: int
    group: int
    # Row numbers inside the group, in training order.
    rows: Index


class SourceOrder:
    """The endless sequence order of one source, epoch after epoch."""

    def __init__(
        self, shard_sizes: Sequence[int], *, seed: int, window_shards: int,
        interleaved_groups: int = 1,
    ) -> None:  # fmt: skip
        self.shard_sizes = np.asarray(shard_sizes, dtype=np.int64)
        self.seed, self.window_shards = seed, window_shards
        self.interleaved_groups = interleaved_groups
        self.num_sequences = int(self.shard_sizes.sum())
        self._epoch = lru_cache(3)(self._shuffled_shards)
        self._window = lru_cache(4)(self._shuffled_turns)
        self._rows = lru_cache(2 * interleaved_groups)(self._shuffled_rows)

    def pieces(self, start: int, stop: int) -> list[Piece]:
        """Return what serves positions start to stop (which count on through epochs)."""
        found: list[Piece] = []
        while start < stop:
            piece = self._piece(start, stop)
            found.append(piece)
            start += len(piece.rows)
        return found

    def next_uses(self, position: int) -> Index:
        """Return for each shard how far after `position` the window begins that reads it next."""
        epoch = position // self.num_sequences
        uses = np.empty(len(self.shard_sizes), dtype=np.int64)
        # What is left of this epoch comes before the next one.
        for number in (epoch + 1, epoch):
            order, ends = self._epoch(number)
            first = np.arange(len(order)) // self.window_shards * self.window_shards
            last = np.minimum(first + self.window_shards, len(order)) - 1
            base = number * self.num_sequences - position
            ahead = base + ends[last] > 0
            starts = base + ends[first] - self.shard_sizes[order[first]]
            uses[order[ahead]] = np.maximum(starts[ahead], 0)
        return uses

    def most_shards(self, num_sequences: int) -> int:
        """Return how many shards the windows of that many consecutive positions have at most."""
        num_shards = len(self.shard_sizes)
        # An epoch's last window may be smaller than the others.
        fewest = num_shards % self.window_shards or self.window_shards
        smallest = min(fewest, num_shards) * int(self.shard_sizes.min())
        num_windows = 1 + -(-num_sequences // smallest)
        return min(num_shards, num_windows * self.window_shards)

    def _piece(self, start: int, stop: int) -> Piece:
        epoch, position = divmod(start, self.num_sequences)
        _, ends = self._epoch(epoch)
        window = int(np.searchsorted(ends, position, side="right")) // self.window_shards
        turns, turn_ends = self._window(epoch, window)
        index = int(np.searchsorted(turn_ends, position, side="right"))
        shard, group, size, first, count = (int(value) for value in turns[index])
        left = int(turn_ends[index]) - position
        first += count - left
        rows = self._rows(epoch, shard, group, size)[first : first + min(left, stop - start)]
        return Piece(shard, group, rows)

    def _shuffled_rows(self, epoch: int, shard: int, group: int, size: int) -> Index:
        return permutation(size, self.seed, epoch, 2, shard, group)

    def _shuffled_shards(self, epoch: int) -> tuple[Index, Index]:
        order = permutation(len(self.shard_sizes), self.seed, epoch, 0)
        return order, np.cumsum(self.shard_sizes[order])

    def _shuffled_turns(self, epoch: int, window: int) -> tuple[Index, Index]:
        """Return (shard, group, its size, first row, rows) of each turn, and where turns end."""
        order, ends = self._epoch(epoch)
        first = window * self.window_shards
        shards = order[first : first + self.window_shards]
        groups = np.array(
            [
                (shard, group, size)
                for shard in shards
                for group, size in enumerate(group_sizes(int(self.shard_sizes[shard])))
            ],
            dtype=np.int64,
        )
        groups = groups[permutation(len(groups), self.seed, epoch, 1, window)]
        turns = _turns(groups, self.interleaved_groups)
        before = int(ends[first - 1]) if first else 0
        return turns, before + np.cumsum(turns[:, 4])


def _turns(groups: Index, interleaved_groups: int) -> Index:
    """Return (shard, group, size, first row, rows) in order: so many groups take turns."""
    if interleaved_groups == 1:
        whole = np.zeros(len(groups), dtype=np.int64)
        return np.column_stack((groups, whole, groups[:, 2]))
    turns = [
        (shard, group, size, row, min(ROWS_IN_TURN, size - row))
        for first in range(0, len(groups), interleaved_groups)
        for row in range(0, ROWS_PER_GROUP, ROWS_IN_TURN)
        for shard, group, size in groups[first : first + interleaved_groups].tolist()
        if row < size
    ]
    return np.array(turns, dtype=np.int64)


class Mixture:
    """Which source serves each training position, in exact proportion per period."""

    def __init__(self, weights: Sequence[float], *, seed: int) -> None:
        if len(weights) < 1 or min(weights) <= 0:
            raise ValueError(f"data.weights = {tuple(weights)}: every weight must be above 0")
        self.counts = _shares(weights)
        if min(self.counts) == 0:
            raise ValueError(
                f"data.weights = {tuple(weights)}: the smallest must be at least "
                f"1/{MIXTURE_PERIOD} of their sum"
            )
        self.seed = seed
        self._period = lru_cache(2)(self._shuffled_period)

    def needed(self, num_sequences: int) -> list[int]:
        """Return how many sequences of each source the first `num_sequences` take."""
        periods, rest = divmod(num_sequences, MIXTURE_PERIOD)
        sources, _ = self._period(periods)
        tail = np.bincount(sources[:rest], minlength=len(self.counts))
        return [periods * n + int(t) for n, t in zip(self.counts, tail, strict=True)]

    def assign(self, start: int, stop: int) -> tuple[Index, Index]:
        """Return the source of each position, and the position within that source."""
        sources, positions = [], []
        while start < stop:
            period, offset = divmod(start, MIXTURE_PERIOD)
            end = min(MIXTURE_PERIOD, offset + stop - start)
            chosen, within = self._period(period)
            sources.append(chosen[offset:end])
            positions.append(within[offset:end])
            start += end - offset
        return np.concatenate(sources), np.concatenate(positions)

    def _shuffled_period(self, period: int) -> tuple[Index, Index]:
        sources = np.repeat(np.arange(len(self.counts)), self.counts)
        sources = sources[permutation(MIXTURE_PERIOD, self.seed, period, 3)]
        within = np.empty(MIXTURE_PERIOD, dtype=np.int64)
        for source, count in enumerate(self.counts):
            within[sources == source] = period * count + np.arange(count)
        return sources, within


def _shares(weights: Sequence[float]) -> list[int]:
    """Split a period by weight, giving what rounding leaves to the largest fractions."""
    exact = np.asarray(weights, dtype=np.float64) / sum(weights) * MIXTURE_PERIOD
    counts = np.floor(exact).astype(np.int64)
    missing = MIXTURE_PERIOD - int(counts.sum())
    counts[np.argsort(counts - exact, kind="stable")[:missing]] += 1
    return [int(count) for count in counts]
