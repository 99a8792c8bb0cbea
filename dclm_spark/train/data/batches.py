"""Training batches from shards: same order for any number of ranks, resumed by step alone."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dclm_spark.shard_format import ROWS_PER_GROUP, ShardError, ShardManifest
from dclm_spark.train.data.order import MIXTURE_PERIOD, Mixture, SourceOrder
from dclm_spark.train.data.shard_reader import ShardCache, ShardReader


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """How shards become batches."""

    # One weight for each manifest, in their order; None: in proportion to their sizes.
    weights: tuple[float, ...] | None = None
    # How often a source may be read; a budget beyond that is refused before the first step.
    passes: float = 1.0
    # The step whose batch is the first of these shards, for a branch that goes on with others.
    start_step: int = 0
    # Windows of batches that are left out, each [first, stop), counted from the shards' first.
    skip_steps: tuple[tuple[int, ...], ...] = ()
    # Leave each row's trailing padding out of the loss; the reference does not.
    mask_padding: bool = False
    # Keep attention inside documents; the reference does not.
    reset_at_document_ends: bool = False
    # Shards whose row groups are shuffled together, and which a host caches if they are remote.
    window_shards: int = 16
    verify_checksums: bool = True
    prefetch_batches: int = 4
    # Where a host keeps remote shards, on a disk of its own.
    cache_directory: str | None = None
    # What they may take together; None: all are kept.
    cache_bytes: int | None = None
    # Sequences of the held-out evaluation, and the manifest they come from; None: the training
    # manifests' remainder shards.
    heldout_sequences: int = 256
    heldout: str | None = None
    # tokenizer.json; gives bits per byte, and goes into exports.
    tokenizer: str | None = None

    def __post_init__(self) -> None:
        end = 0
        for window in sorted(self.skip_steps):
            if len(window) != 2 or window[0] < end or window[1] <= window[0]:
                raise ValueError(
                    f"data.skip_steps = {[list(one) for one in self.skip_steps]}: must be windows "
                    "[first, stop) of batches that do not overlap, such as [[1000, 1010]]"
                )
            end = window[1]


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


def check_sources(manifests: Sequence[ShardManifest], *, sequence_length: int) -> None:
    """Raise ShardError unless all manifests can be trained on, together and by the model."""
    check_fit(manifests, sequence_length=sequence_length)
    for manifest in manifests:
        if not manifest.train_shards:
            raise ShardError(
                f"{manifest.path}: no full shard to train on; write smaller shards "
                "(fewer sequences each) or take more text"
            )


def check_fit(manifests: Sequence[ShardManifest], *, sequence_length: int) -> None:
    """Raise ShardError unless all manifests have the model's length and one tokenizer."""
    first = manifests[0]
    for manifest in manifests:
        if manifest.sequence_length != sequence_length:
            raise ShardError(
                f"{manifest.path}: sequences of {manifest.sequence_length} tokens, but "
                f"model.sequence_length = {sequence_length}; write shards of that length or "
                f"pass --set model.sequence_length={manifest.sequence_length}"
            )
        for name in ("vocabulary_size", "tokenizer_sha256", "end_of_text_id", "padding_id"):
            if getattr(manifest, name) != getattr(first, name):
                raise ShardError(
                    f"{manifest.path}: {name} is {getattr(manifest, name)!r}, but "
                    f"{getattr(first, name)!r} in {first.path}; sources need one tokenizer"
                )


def check_unseen(heldout: ShardManifest, manifests: Sequence[ShardManifest]) -> None:
    """Raise ShardError when a held-out shard is trained on."""
    trained = {shard.sha256 for manifest in manifests for shard in manifest.train_shards}
    for shard in heldout.shards:
        if shard.sha256 in trained:
            raise ShardError(
                f"data.heldout = {heldout.path}: its {shard.path} is training data too; hold out "
                "another corpus, or leave data.heldout away for the remainder shard"
            )


def source_weights(settings: DataSettings, manifests: Sequence[ShardManifest]) -> tuple[float, ...]:
    """Return one mixing weight for each source."""
    if settings.weights is None:
        return tuple(float(manifest.num_sequences) for manifest in manifests)
    if len(settings.weights) != len(manifests):
        raise ValueError(
            f"data.weights has {len(settings.weights)} values for {len(manifests)} manifests"
        )
    return settings.weights


def data_step(settings: DataSettings, step: int) -> int:
    """Return which batch of the shards' order serves `step`: later ones move up for skipped ones.

    >>> [data_step(DataSettings(skip_steps=((1, 3),)), step) for step in range(3)]
    [0, 3, 4]
    """
    batch = step - settings.start_step
    for first, stop in sorted(settings.skip_steps):
        if batch >= first:
            batch += stop - first
    return batch


class Loader:
    """Serves the batches of one rank; `batch(step)` depends on nothing but its arguments."""

    def __init__(
        self, settings: DataSettings, manifests: Sequence[ShardManifest], *, seed: int,
        batch_sequences: int, rank: int = 0, num_ranks: int = 1,
    ) -> None:  # fmt: skip
        if batch_sequences % num_ranks:
            raise ValueError(
                f"batch_sequences = {batch_sequences}: must be a multiple of the {num_ranks} ranks"
            )
        self.settings, self.manifests = settings, manifests
        self.batch_sequences = batch_sequences
        self.share = batch_sequences // num_ranks
        self.first = rank * self.share
        self.wait_seconds = 0.0
        self._mixture = Mixture(source_weights(settings, manifests), seed=seed)
        self._orders = [
            SourceOrder(
                [shard.num_sequences for shard in manifest.train_shards],
                seed=seed + index,
                window_shards=settings.window_shards,
            )
            for index, manifest in enumerate(manifests)
        ]
        self._step = 0
        cache = open_cache(settings, self._next_uses)
        self._readers = [open_reader(settings, manifest, cache) for manifest in manifests]

    def check_cache(self) -> None:
        """Raise ShardError when the cache cannot hold the remote shards that are read by turns."""
        budget, needed, num_shards = self.settings.cache_bytes, 0, 0
        reach = (2 * self._steps_apart + 1) * self.batch_sequences
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
        needed = self._mixture.needed(last * self.batch_sequences)
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
        start = data_step(self.settings, earlier) * self.batch_sequences
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
        start = data_step(self.settings, step) * self.batch_sequences + self.first
        sources, positions = self._mixture.assign(start, start + self.share)
        width = self.manifests[0].tokens_per_row
        tokens = np.empty((self.share, width), dtype=np.int32)
        shards, rows = np.empty_like(sources), np.empty_like(sources)
        for source in np.unique(sources):
            places = np.flatnonzero(sources == source)
            first = int(positions[places[0]])
            done = 0
            for piece in self._orders[source].pieces(first, first + len(places)):
                here = places[done : done + len(piece.rows)]
                shard = self.manifests[source].train_shards[piece.shard]
                tokens[here] = self._readers[source].rows(shard, piece.group)[piece.rows]
                shards[here] = piece.shard
                rows[here] = piece.group * ROWS_PER_GROUP + piece.rows
                done += len(here)
        return Batch(step, tokens, sources, shards, rows)

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
    settings: DataSettings, manifest: ShardManifest, cache: ShardCache | None = None
) -> ShardReader:
    """Return a reader of the manifest's shards."""
    return ShardReader(
        manifest, verify=settings.verify_checksums, cache=cache or open_cache(settings)
    )


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
