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
from typing import TYPE_CHECKING, Any, Protocol

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
from dclm_spark.train.checkpoints.folder import (
    FACTS,
    LATEST,
    PARTIAL,
    SETTINGS,
    CheckpointError,
    Facts,
    is_permanent,
    steps_below,
)
from dclm_spark.train.network import OpenLM

if TYPE_CHECKING:
    from dclm_spark.train.scales import TrainSettings

# One process that saves or loads alone means to.
warnings.filterwarnings("ignore", message="torch.distributed is (disabled|unavailable)")


@dataclass(frozen=True, kw_only=True)
class CheckpointSettings:
    """When to save, and what to keep."""

    interval_steps: int = 1000
    # The newest that stay; those at a multiple of permanent_steps stay for good.
    keep: int = 2
    permanent_steps: int | None = None
    # Write in the background while training goes on.
    asynchronous: bool = True
    # s3://, gs:// or a folder that finished checkpoints are copied to in the background, and
    # where --resume looks when the output holds none.
    mirror: str | None = None


class CheckpointCopier(Protocol):
    """Takes finished checkpoints elsewhere (`mirror.Mirror`)."""

    def start(self, path: Path) -> None:
        """Begin to copy the checkpoint at `path`."""

    def holds(self, path: Path) -> bool:
        """Say whether the checkpoint at `path` is still needed."""

    def finish(self) -> None:
        """Wait for what was begun."""


class Checkpointer:
    """Saves and rotates one run's checkpoints; call `finish` before leaving."""

    def __init__(
        self, directory: Path, settings: CheckpointSettings, group: dist.ProcessGroup | None,
        copier: CheckpointCopier | None = None,
    ) -> None:  # fmt: skip
        self.directory, self.settings, self.group = directory, settings, group
        self.copier = copier
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

    def close(self) -> None:
        """Wait until everything is on disk, and copied if there is a copier."""
        self.finish()
        if self.is_first and self.copier is not None:
            self.copier.finish()
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
        if self.copier is not None:
            self.copier.start(target)
        self._rotate()

    def _rotate(self) -> None:
        for path in steps_below(self.directory)[: -max(1, self.settings.keep)]:
            is_held = self.copier is not None and self.copier.holds(path)
            if not is_held and not is_permanent(path.name, self.settings.permanent_steps):
                shutil.rmtree(path)

    def _barrier(self) -> None:
        if self.group is not None:
            dist.barrier(self.group)


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
