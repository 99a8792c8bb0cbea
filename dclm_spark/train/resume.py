"""Going on from a checkpoint: whether it belongs to this run, and taking its state over."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dclm_spark.train import checkpoint
from dclm_spark.train import settings as settings_tree
from dclm_spark.train.checkpoint import CheckpointError
from dclm_spark.train.heldout import Heldout
from dclm_spark.train.run import Run
from dclm_spark.train.scales import TrainSettings
from dclm_spark.train.shards import Manifest, fingerprints

# Settings that may change between a run and its continuation, for they change no result.
_FREE = (
    "micro_batch_sequences", "compile", "recompute", "loss_chunk_tokens", "checkpoint", "observe",
    "stop_tokens",
)  # fmt: skip
_FREE_DATA = (
    # What the held-out sequences and the tokenizer hold is checked, wherever they lie.
    "heldout", "tokenizer", "passes", "prefetch_batches", "cache_directory", "cache_bytes",
    "verify_checksums",
)  # fmt: skip


def resumable(
    output: Path, settings: TrainSettings, manifests: Sequence[Manifest],
    heldout: Heldout | None, resume: bool,
) -> Path | None:  # fmt: skip
    """Return the checkpoint to go on from, after checking that it belongs to this run."""
    if not (output / "checkpoints" / checkpoint.LATEST).is_file():
        return None
    if not resume:
        raise CheckpointError(f"{output}: holds a run already; pass --resume or another --output")
    found = checkpoint.resolve(output)
    facts = checkpoint.read_facts(found)
    checkpoint.check_same_corpus(found, facts, fingerprints(manifests))
    checkpoint.check_same_heldout(found, facts, heldout.fingerprint if heldout else None)
    before = settings_tree.read(TrainSettings, found / checkpoint.SETTINGS)
    for key in settings_tree.keys(settings):
        first, _, rest = key.partition(".")
        old, new = _value(before, key), _value(settings, key)
        if old != new and first not in _FREE and (first != "data" or rest not in _FREE_DATA):
            raise CheckpointError(
                f"{found}: {key} was {old!r} and is {new!r} now; a run continues with its own "
                f"settings: pass --set {key}={old}, or start a new run from these weights with "
                f"--set initial_weights={found}"
            )
    return found


def _value(settings: Any, key: str) -> Any:
    for name in key.split("."):
        settings = getattr(settings, name)
    return settings


def restore(run: Run, found: Path) -> None:
    """Take over the whole state of the checkpoint `found`."""
    extra = checkpoint.restore(
        found, run.model, run.optimizer, run.extra(), run.ranks.checkpoint_group
    )
    run.judge.load(extra["judge"])
    if run.average is not None:
        run.average.weights = extra["average"]
    run.step = checkpoint.read_facts(found).step
