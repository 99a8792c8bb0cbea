"""Checkpoints: sharded, written in the background, whole or absent, for any number of ranks.

A checkpoint is written to `step-NNN.partial`, renamed when every rank's part is on disk, and
only then named by the file `latest`. A kill at any moment leaves the previous one usable.
They need a file system that all ranks share.
"""

import json
import os
import shutil
import warnings
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.state_dict import (
    get_model_state_dict,
    get_state_dict,
    set_state_dict,
)
from torch.distributed.checkpoint.state_dict_loader import load as load_sharded
from torch.distributed.checkpoint.state_dict_saver import async_save
from torch.distributed.checkpoint.state_dict_saver import save as save_sharded

from dclm_spark import settings as settings_tree
from dclm_spark.train.network import OpenLM

if TYPE_CHECKING:
    from dclm_spark.train.scales import TrainSettings

LATEST, FACTS, SETTINGS, PARTIAL = "latest", "facts.json", "settings.yaml", ".partial"

# One process that saves or loads alone means to.
warnings.filterwarnings("ignore", message="torch.distributed is (disabled|unavailable)")


class CheckpointError(ValueError):
    """A checkpoint is missing, or does not belong to this run."""


@dataclass(frozen=True, kw_only=True)
class CheckpointSettings:
    """When to save, and what to keep."""

    interval_steps: int = 1000
    # The newest that stay; those at a multiple of permanent_steps stay for good.
    keep: int = 2
    permanent_steps: int | None = None
    # Write in the background while training goes on.
    asynchronous: bool = True


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a checkpoint says of itself beside its tensors."""

    # Steps whose updates are in the weights, and so the next step's number.
    step: int
    tokens: int
    # One for each manifest, in their order.
    fingerprints: tuple[str, ...]
    num_ranks: int
    # Of the held-out sequences; None when there were none, or before it was recorded.
    heldout_fingerprint: str | None = None


class Checkpointer:
    """Saves and rotates one run's checkpoints; call `finish` before leaving."""

    def __init__(
        self, directory: Path, settings: CheckpointSettings, group: dist.ProcessGroup | None
    ) -> None:
        self.directory, self.settings, self.group = directory, settings, group
        self.is_first = group is None or dist.get_rank() == 0
        self._pending: Future[Any] | None = None
        self._publish: Callable[[], None] = lambda: None
        if self.is_first:
            directory.mkdir(parents=True, exist_ok=True)
            for stale in directory.glob(f"*{PARTIAL}"):
                shutil.rmtree(stale)
        self._barrier()

    def save(self, state: dict[str, Any], facts: Facts, settings: "TrainSettings") -> Path:
        """Start writing a checkpoint and return the path it will have."""
        self.finish()
        target = self.directory / f"step-{facts.step:09d}"
        partial = target.with_name(target.name + PARTIAL)
        if self.is_first:
            partial.mkdir(exist_ok=True)
            (partial / FACTS).write_text(json.dumps(facts.__dict__))
            settings_tree.save(settings, partial / SETTINGS)
        self._barrier()
        self._publish = lambda: self._make_latest(partial, target)
        writer = FileSystemWriter(partial, sync_files=True)
        if self.settings.asynchronous:
            saved = async_save(state, storage_writer=writer, process_group=self.group)
            assert isinstance(saved, Future)
            self._pending = saved
        else:
            save_sharded(state, storage_writer=writer, process_group=self.group)
            self._settle()
        return target

    def poll(self) -> None:
        """Publish a checkpoint whose writing has ended; costs nothing otherwise."""
        if self.is_first and self._pending is not None and self._pending.done():
            self._settle()

    def finish(self) -> None:
        """Wait until what was begun is on disk and named; raises what writing it raised."""
        if self._pending is not None:
            self._settle()
        self._barrier()

    def _settle(self) -> None:
        if self._pending is not None:
            self._pending.result()
            self._pending = None
        if self.is_first:
            self._publish()

    def _make_latest(self, partial: Path, target: Path) -> None:
        if target.exists():
            shutil.rmtree(target)
        partial.rename(target)
        pointer = self.directory / (LATEST + PARTIAL)
        with pointer.open("w") as stream:
            stream.write(target.name)
            stream.flush()
            os.fsync(stream.fileno())
        pointer.rename(self.directory / LATEST)
        self._publish = lambda: None
        self._rotate()

    def _rotate(self) -> None:
        permanent = self.settings.permanent_steps
        steps = sorted(path for path in self.directory.glob("step-*") if path.suffix != PARTIAL)
        for path in steps[: -max(1, self.settings.keep)]:
            if permanent is None or int(path.name.removeprefix("step-")) % permanent:
                shutil.rmtree(path)

    def _barrier(self) -> None:
        if self.group is not None:
            dist.barrier(self.group)


def resolve(path: Path) -> Path:
    """Return the checkpoint that `path` (a run's output or a checkpoint) stands for."""
    for directory in (path, path / "checkpoints"):
        if (directory / LATEST).is_file():
            return directory / (directory / LATEST).read_text().strip()
    if (path / FACTS).is_file():
        return path
    raise CheckpointError(
        f"{path}: neither a training output with checkpoints, a checkpoint, a Hugging Face "
        "export nor an OpenLM .pt file"
    )


def read_facts(path: Path) -> Facts:
    """Read what the checkpoint at `path` says of itself."""
    facts = json.loads((path / FACTS).read_text())
    return Facts(**facts | {"fingerprints": tuple(facts["fingerprints"])})


def check_same_corpus(path: Path, facts: Facts, fingerprints: tuple[str, ...]) -> None:
    """Raise CheckpointError when the shards are not those that the checkpoint was trained on."""
    if facts.fingerprints != fingerprints:
        raise CheckpointError(
            f"{path}: trained on the corpus {_short(facts.fingerprints)}, but the shards given are "
            f"{_short(fingerprints)}; pass the original shards, or start a new run from these "
            f"weights with --set initial_weights={path}"
        )


def check_same_heldout(path: Path, facts: Facts, fingerprint: str | None) -> None:
    """Raise CheckpointError when held-out losses would not compare with the earlier ones."""
    if facts.heldout_fingerprint not in (None, fingerprint):
        raise CheckpointError(
            f"{path}: its held-out losses are of the sequences "
            f"{_short((str(facts.heldout_fingerprint),))}, but those given now are "
            f"{_short((str(fingerprint),))}, so that the log's losses would not compare; pass the "
            "original data.heldout, or measure the new sequences in a run of their own"
        )


def run_state(
    model: OpenLM, optimizer: torch.optim.Optimizer, extra: dict[str, Any]
) -> dict[str, Any]:
    """Return all tensors of a run under names that do not depend on the number of ranks."""
    weights, moments = get_state_dict(model, optimizer)
    return {"model": weights, "optimizer": moments, **extra}


def restore(
    path: Path, model: OpenLM, optimizer: torch.optim.Optimizer, extra: dict[str, Any],
    group: dist.ProcessGroup | None,
) -> dict[str, Any]:  # fmt: skip
    """Load a checkpoint into model and optimizer in place; return the loaded `extra`."""
    state = run_state(model, optimizer, extra)
    load_sharded(state, storage_reader=FileSystemReader(path), process_group=group)
    set_state_dict(
        model,
        optimizer,
        model_state_dict=state["model"],
        optim_state_dict=state["optimizer"],
    )
    return {name: state[name] for name in extra}


def read_model(path: Path, *, averaged: bool = False) -> "tuple[OpenLM, TrainSettings]":
    """Return the weights of a checkpoint in fp32, by one process, and the run's settings.

    With `averaged`, their moving average instead; CheckpointError when none was kept.
    """
    from dclm_spark.train.scales import TrainSettings

    settings = settings_tree.read(TrainSettings, path / SETTINGS)
    model = OpenLM(settings.model)
    if averaged and settings.optimizer.average_decay is None:
        raise CheckpointError(
            f"{path}: holds no averaged weights, for its run had optimizer.average_decay = None; "
            "take weights = last, or train with --set optimizer.average_decay=0.999"
        )
    if settings.precision == "bf16":
        model.to(torch.bfloat16)
    _load_alone(path, {"model": get_model_state_dict(model)})
    model.float()
    if averaged:
        # Averages are kept in fp32; the buffers are the model's.
        _load_alone(path, {"average": {n: p.detach() for n, p in model.named_parameters()}})
    return model, settings


def _load_alone(path: Path, state: dict[str, Any]) -> None:
    """Fill the tensors of `state` by one process, whatever wrote them."""
    load_sharded(state, storage_reader=FileSystemReader(path), no_dist=True)


def _short(fingerprints: tuple[str, ...]) -> str:
    return "+".join(fingerprint[:12] for fingerprint in fingerprints)
