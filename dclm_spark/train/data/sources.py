"""The shards that a run reads: how, whether they fit together, and which batch serves a step."""

from collections.abc import Sequence
from dataclasses import dataclass

from dclm_spark.shard_format import ShardError, ShardManifest


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
    # Row groups that are read by turns of 32 rows; None: as many as a step has such parts, so that
    # a rank unpacks a group once for several steps. Runs from before this setting have 1.
    interleaved_groups: int | None = None
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
        if self.interleaved_groups is not None and self.interleaved_groups < 1:
            raise ValueError(
                f"interleaved_groups = {self.interleaved_groups}: must be 1 or more, or null"
            )
        end = 0
        for window in sorted(self.skip_steps):
            if len(window) != 2 or window[0] < end or window[1] <= window[0]:
                raise ValueError(
                    f"skip_steps = {[list(one) for one in self.skip_steps]}: must be windows "
                    "[first, stop) of batches that do not overlap, such as [[1000, 1010]]"
                )
            end = window[1]


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
        if manifest.sequence_length != first.sequence_length:
            raise ShardError(
                f"{manifest.path}: sequences of {manifest.sequence_length} tokens, but "
                f"{first.sequence_length} in {first.path}; sources need one length"
            )
        if manifest.sequence_length % sequence_length:
            raise ShardError(
                f"{manifest.path}: sequences of {manifest.sequence_length} tokens, but "
                f"model.sequence_length = {sequence_length}, which does not divide them; write "
                f"shards of that length or pass --set model.sequence_length="
                f"{manifest.sequence_length}"
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
