"""Where a run begins: at step 0, at its newest whole checkpoint, or as a branch of another run."""

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dclm_spark import settings as settings_tree
from dclm_spark.shard_format import ShardManifest, fingerprints
from dclm_spark.source_commit import source_commit
from dclm_spark.train.checkpoints import folder, mirror
from dclm_spark.train.checkpoints.folder import CheckpointError
from dclm_spark.train.data.order import ROWS_IN_TURN
from dclm_spark.train.data.sources import data_step
from dclm_spark.train.distributed import Ranks
from dclm_spark.train.heldout import Heldout
from dclm_spark.train.scales import TrainSettings

LOGGER = logging.getLogger("dclm_spark")
CHANGES = "changes.jsonl"

# Settings that may change between a run and its continuation, for they change no result; a name
# stands for all below it.
_FREE = (
    "micro_batch_sequences", "compile", "recompute", "loss_chunk_tokens", "checkpoint", "observe",
    "stop_tokens", "replicas", "timeout_minutes", "initial_weights", "initial_state",
    # What the held-out sequences and the tokenizer hold is checked, wherever they lie.
    "data.heldout", "data.tokenizer", "data.passes", "data.prefetch_batches",
    "data.cache_directory", "data.cache_bytes", "data.verify_checksums",
)  # fmt: skip
# Settings that change the run from here on: with a reason, which is recorded.
_WITH_REASON = (
    "tokens", "schedule", "z_loss", "optimizer.peak_rate", "optimizer.weight_decay",
    "optimizer.clip_norm", "optimizer.skip_deviations", "data.skip_steps",
)  # fmt: skip
# What a branch may not change: its tensors are those of the checkpoint.
_OF_TENSORS = (
    "model", "optimizer.matrices", "optimizer.average_decay", "optimizer.skip_window_steps",
)  # fmt: skip
_NEVER_TENSORS = ("model.sequence_length", "model.rotary_base")


@dataclass(frozen=True, kw_only=True)
class Request:
    """Where a run writes, whether it may go on there, and why its settings differ from before."""

    output: Path
    resume: bool = False
    reason: str = ""


def beginning(
    request: Request, settings: TrainSettings, manifests: Sequence[ShardManifest],
    heldout: Heldout | None, ranks: Ranks,
) -> Path | None:  # fmt: skip
    """Return the checkpoint to begin with, after checking that it fits; None to begin anew."""
    found = ranks.agreed(lambda: _newest(request, settings))
    if found is None:
        return _branched_from(settings, manifests, ranks)
    facts = folder.read_facts(found)
    folder.check_same_corpus(found, facts, manifests)
    if facts.fingerprints == fingerprints(manifests):
        folder.check_same_heldout(found, facts, heldout.fingerprint if heldout else None)
    else:
        LOGGER.warning("%s: documents were removed since; later losses are without them", found)
    before = _settings_of(found)
    changed = _changes(before, settings, _FREE)
    _check_changes(found, changed, request.reason)
    _check_skipped(found, before, settings, facts.step)
    if changed and ranks.is_first:
        _record(request, found, changed)
    return found


def _newest(request: Request, settings: TrainSettings) -> Path | None:
    directory = request.output / "checkpoints"
    if not folder.steps_below(directory):
        if request.resume and settings.checkpoint.mirror is not None:
            return mirror.fetch_newest(settings.checkpoint.mirror, directory)
        return None
    if not request.resume:
        raise CheckpointError(
            f"{request.output}: holds a run already; pass --resume or another --output"
        )
    return folder.newest_whole(directory)


def _branched_from(
    settings: TrainSettings, manifests: Sequence[ShardManifest], ranks: Ranks
) -> Path | None:
    """Return the checkpoint of another run that `initial_state` names."""
    if settings.initial_state is None:
        return None
    state = Path(settings.initial_state)
    # All its bytes are read, by one rank.
    found = ranks.agreed(lambda: folder.resolve(state))
    facts = folder.read_facts(found)
    before = _settings_of(found)
    for key, (old, new) in _changes(before, settings, ()).items():
        if _below(key, _OF_TENSORS) and key not in _NEVER_TENSORS:
            raise CheckpointError(
                f"initial_state = {found}: {key} was {old!r} and is {new!r} now, and its tensors "
                f"depend on it; pass --set {key}={old}"
                + ("" if _is_shape(key) else f", or --set initial_weights={found} (weights alone)")
            )
    same_place = before.batch_sequences == settings.batch_sequences
    same_place &= folder.is_same_corpus(facts, manifests)
    if settings.data.start_step != facts.step and not same_place:
        raise CheckpointError(
            f"initial_state = {found}: the shards or batch_sequences differ from those of that "
            f"run, so its place in the data means nothing here; pass --set data.start_step="
            f"{facts.step} to read the new shards from their beginning"
        )
    return found


def _is_shape(key: str) -> bool:
    """Say whether weights of another value of this setting fit no model."""
    return _below(key, ("model",)) and key not in _NEVER_TENSORS


def _settings_of(found: Path) -> TrainSettings:
    """Return the settings of a checkpoint's run.

    Runs from before `data.interleaved_groups` read a group to its end before the next one, as
    small steps still do.
    """
    before = settings_tree.read(TrainSettings, found / folder.SETTINGS)
    is_known = "interleaved_groups" in (found / folder.SETTINGS).read_text()
    if is_known or before.batch_sequences < 2 * ROWS_IN_TURN:
        return before
    return replace(before, data=replace(before.data, interleaved_groups=1))


def _check_changes(found: Path, changed: dict[str, tuple[Any, Any]], reason: str) -> None:
    for key, (old, new) in changed.items():
        text = f"{found}: {key} was {old!r} and is {new!r} now"
        if not _below(key, _WITH_REASON):
            new_run = (
                "train a model of another shape anew, in another --output"
                if _is_shape(key)
                else f"start a new run from it with --set initial_state={found} (weights alone: "
                "initial_weights)"
            )
            raise CheckpointError(
                f"{text}; a run continues with its own settings: pass --set {key}={old}, or "
                f"{new_run}"
            )
        if not reason:
            raise CheckpointError(
                f"{text}; that changes the run from here on: say why with --reason TEXT (kept in "
                f"{CHANGES}), or pass --set {key}={old}"
            )


def _check_skipped(found: Path, before: TrainSettings, settings: TrainSettings, step: int) -> None:
    """Raise CheckpointError when batches would be skipped, or not, that were read already."""
    read = data_step(before.data, step)
    old, new = set(before.data.skip_steps), set(settings.data.skip_steps)
    for window in sorted(old ^ new):
        if window[0] < read:
            raise CheckpointError(
                f"data.skip_steps: {list(window)} begins before batch {read}, the next one after "
                f"{found}; go back to an earlier checkpoint (write its name into the file "
                f"'{folder.LATEST}' beside it), or skip later batches"
            )


def _record(request: Request, found: Path, changed: dict[str, tuple[Any, Any]]) -> None:
    line = {
        "step": folder.read_facts(found).step,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "reason": request.reason,
        "changes": {key: list(pair) for key, pair in changed.items()},
        "commit": source_commit(),
    }
    with (request.output / CHANGES).open("a") as stream:
        stream.write(json.dumps(line) + "\n")
    for key, (old, new) in changed.items():
        LOGGER.info("%s: %r -> %r from step %s on: %s", key, old, new, line["step"], request.reason)


def _changes(
    before: TrainSettings, settings: TrainSettings, free: Sequence[str]
) -> dict[str, tuple[Any, Any]]:
    # As they are on record, which no signature of an address is.
    now = settings_tree.from_dict(TrainSettings, settings_tree.to_dict(settings))
    pairs = {
        key: (_value(before, key), _value(now, key))
        for key in settings_tree.keys(now)
        if not _below(key, free)
    }
    return {key: (old, new) for key, (old, new) in pairs.items() if old != new}


def _below(key: str, names: Sequence[str]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in names)


def _value(settings: Any, key: str) -> Any:
    for name in key.split("."):
        settings = getattr(settings, name)
    return settings
