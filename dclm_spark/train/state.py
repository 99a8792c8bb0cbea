"""The live parts of a training run, which `prepare` makes and the trainer changes step by step."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dclm_spark.shard_format import ShardManifest, fingerprints
from dclm_spark.train.checkpoints.checkpointer import Checkpointer
from dclm_spark.train.checkpoints.folder import Facts
from dclm_spark.train.data.batches import Loader
from dclm_spark.train.distributed import Ranks
from dclm_spark.train.heldout import Heldout, Provenance
from dclm_spark.train.logs import RunLog
from dclm_spark.train.network import OpenLM
from dclm_spark.train.optimizer import StepJudge
from dclm_spark.train.optimizers.averages import AveragedWeights
from dclm_spark.train.scales import TrainSettings


@dataclass(kw_only=True)
class Interval:
    """What happened since the last log line."""

    started: float = field(default_factory=time.perf_counter)
    num_steps: int = 0
    wait_seconds: float = 0.0
    # On the device: losses, squared normalizers, gradient norms; then losses and counts by source.
    sums: Tensor | None = None

    def add(self, observed: Tensor) -> None:
        """Add the sums of one more step."""
        self.sums = observed if self.sums is None else self.sums + observed
        self.num_steps += 1


@dataclass(kw_only=True)
class TrainState:
    """The live parts of a training run."""

    settings: TrainSettings
    manifests: Sequence[ShardManifest]
    output: Path
    ranks: Ranks
    loader: Loader
    model: OpenLM
    optimizer: torch.optim.AdamW
    judge: StepJudge
    average: AveragedWeights | None
    checkpointer: Checkpointer
    heldout: Heldout | None
    provenance: Provenance | None
    log: RunLog
    # Updates done, and so the number of the next step.
    step: int = 0
    interval: Interval = field(default_factory=Interval)

    def extra(self) -> dict[str, Any]:
        """Return the tensors that a checkpoint holds beside weights and moments."""
        extra: dict[str, Any] = {"judge": self.judge.state()}
        if self.average is not None:
            extra["average"] = self.average.weights
        return extra

    def facts(self, step: int) -> Facts:
        """Return what a checkpoint of the weights before `step` says of itself."""
        return Facts(
            step=step,
            tokens=step * self.settings.tokens_per_step,
            fingerprints=fingerprints(self.manifests),
            num_ranks=self.ranks.num_ranks,
            heldout_fingerprint=self.heldout.fingerprint if self.heldout else None,
        )
