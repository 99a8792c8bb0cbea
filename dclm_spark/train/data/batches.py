"""Training batches from shards: same order for any number of ranks, resumed by step alone."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dclm_spark.shard_format import ShardError, ShardManifest, blanked
from dclm_spark.train.data.order import MIXTURE_PERIOD, ROWS_IN_TURN, Mixture, SourceOrder
from dclm_spark.train.data.shard_reader import ShardCache, ShardReader
from dclm_spark.train.data.sources import DataSettings, data_step, source_weights
from udfs.shards.packed_rows import ROWS_PER_GROUP

# A step may begin with groups whose turns end and go on with those that come next.
NEXT_GROUPS = 4


@dataclass(frozen=True)
class Batch:
    """One rank's share of one step."""

    step: int
    # Token ids [B, tokens_per_row]: inputs are all but the last, targets all but the first.
    tokens: NDArray[np.int32]
    # For each sequence: its source, the shard's number in the source, and the row in the shard.
    sources: NDArray[np.int64]
    shards: NDArray[np.int64]
    rows: NDArray[np.int64]
    # Tokens of removed documents [B, tokens_per_row], which stand as padding in `tokens` and are
    # no targets; None where there are none.
    removed: NDArray[np.bool_] | None = None


def cut_rows(rows: NDArray[Any], sequence_length: int) -> NDArray[Any]:
    """Return rows [R, k S + 1] as [R k, S + 1]: k sequences each, which share one token.

    Every token but a row's first is predicted once, as in the whole row.
    """
    width = rows.shape[1] - 1
    if width == sequence_length:
        return rows
    windows = np.lib.stride_tricks.sliding_window_view(rows, sequence_length + 1, axis=1)
    return windows[:, ::sequence_length].reshape(-1, sequence_length + 1)


@dataclass(frozen=True, kw_only=True)
class BatchShape:
    """How many sequences of which length all ranks take in a step, in the order of `seed`."""

    sequences: int
    sequence_length: int
    seed: int


class Loader:
    """Serves the batches of one rank; `batch(step)` depends on nothing but its arguments."""

    def __init__(
        self, settings: DataSettings, manifests: Sequence[ShardManifest], shape: BatchShape,
        *, rank: int = 0, num_ranks: int = 1,
    ) -> None:  # fmt: skip
        self.settings, self.manifests, self.shape = settings, manifests, shape
        self.sequences_per_row = manifests[0].sequence_length // shape.sequence_length
        if shape.sequences % (num_ranks * self.sequences_per_row):
            raise ValueError(
                f"batch_sequences = {shape.sequences}: must be a multiple of the {num_ranks} ranks"
                f" x {self.sequences_per_row} sequences in a row of the shards"
            )
        # Rows of all ranks, and of this one, in a step.
        self.batch_rows = shape.sequences // self.sequences_per_row
        self.share = self.batch_rows // num_ranks
        self.first = rank * self.share
        self.wait_seconds = 0.0
        self._mixture = Mixture(source_weights(settings, manifests), seed=shape.seed)
        groups = settings.interleaved_groups or max(1, self.batch_rows // ROWS_IN_TURN)
        self._orders = [
            SourceOrder(
                [shard.num_sequences for shard in manifest.train_shards],
                seed=shape.seed + index,
                window_shards=settings.window_shards,
                interleaved_groups=groups,
            )
            for index, manifest in enumerate(manifests)
        ]
        self._step = 0
        cache = open_cache(settings, self._next_uses)
        kept = groups + NEXT_GROUPS
        self._readers = [open_reader(settings, manifest, cache, kept) for manifest in manifests]

    def check_cache(self) -> None:
        """Raise ShardError when the cache cannot hold the remote shards that are read by turns."""
        budget, needed, num_shards = self.settings.cache_bytes, 0, 0
        reach = (2 * self._steps_apart + 1) * self.batch_rows
        for manifest, order in zip(self.manifests, self._orders, strict=True):
            if "://" in manifest.path:
                count = order.most_shards(reach)
                sizes = sorted((shard.size_bytes for shard in manifest.train_shards), reverse=True)
                needed, num_shards = needed + sum(sizes[:count]), num_shards + count
        if budget is not None and budget < needed:
            raise ShardError(
                f"data.cache_bytes = {budget}: too small for the {num_shards} shards that are read "
                f"by turns (two windows of data.window_shards = {self.settings.window_shards} or "
                f"more), each would be fetched again and again; pass --set data.cache_bytes="
                f"{needed} or more, or train in a new run with a smaller data.window_shards"
            )

    def check_budget(self, num_steps: int) -> None:
        """Raise ShardError when the sources cannot serve that many steps."""
        last = data_step(self.settings, num_steps - 1) + 1
        needed = self._mixture.needed(last * self.batch_rows)
        for manifest, sequences in zip(self.manifests, needed, strict=True):
            if sequences > manifest.num_sequences * self.settings.passes:
                length = manifest.sequence_length
                passes = -(-sequences * 100 // manifest.num_sequences) / 100
                raise ShardError(
                    f"{manifest.path}: {manifest.num_sequences * length:,} tokens exist in "
                    f"{manifest.num_sequences:,} sequences, {num_steps:,} steps need "
                    f"{sequences * length:,} ({sequences:,} sequences, {passes} passes) and "
                    f"data.passes = {self.settings.passes:g}; take more data, lower tokens, or "
                    f"repeat the data with --set data.passes={passes}"
                )

    @property
    def _steps_apart(self) -> int:
        """How many steps two ranks' loaders are apart at most: ranks wait for one another."""
        return max(1, self.settings.prefetch_batches) + 1

    def _next_uses(self) -> dict[str, float]:
        """Return how many sequences ahead each shard is read next by the slowest rank."""
        earlier = max(self.settings.start_step, self._step - self._steps_apart)
        start = data_step(self.settings, earlier) * self.batch_rows
        uses: dict[str, float] = {}
        for manifest, order, position, count in zip(
            self.manifests, self._orders, self._mixture.needed(start), self._mixture.counts,
            strict=True,
        ):  # fmt: skip
            ahead = order.next_uses(position) * (MIXTURE_PERIOD / count)
            for shard, use in zip(manifest.train_shards, ahead.tolist(), strict=True):
                uses[shard.sha256] = min(use, uses.get(shard.sha256, use))
        return uses

    def batch(self, step: int) -> Batch:
        """Return this rank's share of `step`."""
        self._step = step
        start = data_step(self.settings, step) * self.batch_rows + self.first
        sources, positions = self._mixture.assign(start, start + self.share)
        width = self.manifests[0].tokens_per_row
        tokens = np.empty((self.share, width), dtype=np.int32)
        # Few corpora have removals, and a mask of each batch's size costs as much as copying it.
        removed: NDArray[np.bool_] | None = None
        shards, rows = np.empty_like(sources), np.empty_like(sources)
        for source in np.unique(sources):
            places = np.flatnonzero(sources == source)
            first = int(positions[places[0]])
            done = 0
            for piece in self._orders[source].pieces(first, first + len(places)):
                here = places[done : done + len(piece.rows)]
                shard = self.manifests[source].train_shards[piece.shard]
                reader = self._readers[source]
                tokens[here] = reader.rows(shard, piece.group)[piece.rows]
                mask = reader.removed(shard, piece.group)
                if mask is not None:
                    removed = np.zeros(tokens.shape, np.bool_) if removed is None else removed
                    removed[here] = mask[piece.rows]
                shards[here] = piece.shard
                rows[here] = piece.group * ROWS_PER_GROUP + piece.rows
                done += len(here)
        length = self.shape.sequence_length
        masked = None
        if removed is not None and removed.any():
            blanked(tokens, removed, self.manifests[0])
            masked = cut_rows(removed, length)
        cut = cut_rows(tokens, length)
        index = np.repeat(np.arange(self.share), self.sequences_per_row)
        return Batch(step, cut, sources[index], shards[index], rows[index], masked)

    def batches(self, first_step: int, last_step: int) -> Iterator[Batch]:
        """Yield batches in order, read ahead by a thread; `wait_seconds` sums what was waited."""
        steps = iter(range(first_step, last_step))
        with ThreadPoolExecutor(1, thread_name_prefix="loader") as pool:
            ahead: deque[Future[Batch]] = deque()
            for step in range(first_step, last_step):
                while len(ahead) < max(1, self.settings.prefetch_batches):
                    following = next(steps, None)
                    if following is None:
                        break
                    ahead.append(pool.submit(self.batch, following))
                started = time.perf_counter()
                batch = ahead.popleft().result()
                self.wait_seconds += time.perf_counter() - started
                assert batch.step == step
                yield batch


def open_cache(
    settings: DataSettings, next_uses: Callable[[], Mapping[str, float]] = dict
) -> ShardCache | None:
    """Return the cache of remote shards, if the settings name its folder."""
    if settings.cache_directory is None:
        return None
    return ShardCache(
        Path(settings.cache_directory),
        budget_bytes=settings.cache_bytes,
        verify=settings.verify_checksums,
        next_uses=next_uses,
    )


def open_reader(
    settings: DataSettings, manifest: ShardManifest, cache: ShardCache | None = None,
    num_groups_kept: int = NEXT_GROUPS,
) -> ShardReader:  # fmt: skip
    """Return a reader of the manifest's shards."""
    return ShardReader(
        manifest, verify=settings.verify_checksums, cache=cache or open_cache(settings),
        num_groups_kept=num_groups_kept,
    )  # fmt: skip


def loss_weights(tokens: Tensor, padding_id: int) -> Tensor:
    """Return 1.0 for each target [B, S] and 0.0 for those in a row's trailing run of padding."""
    trailing = (tokens == padding_id).flip(1).cumprod(1).flip(1)[:, 1:]
    return 1.0 - trailing.float()


def document_mask(inputs: Tensor, end_of_text_id: int) -> Tensor:
    """Return [B, 1, S, S]: causal attention that stays inside a document and its end token."""
    ends = (inputs == end_of_text_id).long()
    document = ends.cumsum(1) - ends
    length = inputs.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=inputs.device).tril()
    return ((document[:, :, None] == document[:, None, :]) & causal)[:, None]
