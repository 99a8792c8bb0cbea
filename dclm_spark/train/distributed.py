"""Ranks and devices: one process without any set-up, or several under torchrun."""

import os
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

from dclm_spark.train.network import Block, OpenLM
from dclm_spark.train.scales import TrainSettings


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """This process's place among all; a single process has neither mesh nor group."""

    rank: int = 0
    num_ranks: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    mesh: DeviceMesh | None = None
    # Gloo groups beside the devices' own: for agreement on the host, and for checkpoints, whose
    # background writer must not mix its messages with the loop's.
    group: dist.ProcessGroup | None = None
    checkpoint_group: dist.ProcessGroup | None = None

    @property
    def is_first(self) -> bool:
        """True on the one rank that writes logs."""
        return self.rank == 0

    def add_up(self, values: Tensor) -> Tensor:
        """Sum `values` over all ranks in place."""
        if self.mesh is not None:
            dist.all_reduce(values)
        return values

    def any(self, flag: bool) -> bool:
        """Return True on every rank when any rank says so; waits for the hosts only."""
        if self.group is None:
            return flag
        value = torch.tensor(int(flag))
        dist.all_reduce(value, dist.ReduceOp.MAX, group=self.group)
        return bool(value.item())


def join() -> Ranks:
    """Return this process's place, from the variables that torchrun sets."""
    num_ranks = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    has_gpu = torch.cuda.is_available()
    device = torch.device("cuda", local) if has_gpu else torch.device("cpu")
    if has_gpu:
        torch.cuda.set_device(device)
        torch.set_float32_matmul_precision("high")
    if num_ranks == 1:
        return Ranks(device=device)
    if not dist.is_initialized():
        dist.init_process_group("cpu:gloo,cuda:nccl" if has_gpu else "gloo")
    return Ranks(
        rank=dist.get_rank(),
        num_ranks=num_ranks,
        device=device,
        mesh=init_device_mesh(device.type, (num_ranks,)),
        group=dist.new_group(backend="gloo"),
        checkpoint_group=dist.new_group(backend="gloo"),
    )


def leave(ranks: Ranks) -> None:
    """Close the process group, if there is one."""
    if ranks.group is not None and dist.is_initialized():
        dist.destroy_process_group()


def spread(model: OpenLM, settings: TrainSettings, ranks: Ranks) -> None:
    """Apply recomputation, compilation and FSDP2 to each block of a model on the meta device."""
    policy = (
        MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        if settings.precision == "bf16-mixed"
        else MixedPrecisionPolicy()
    )
    model.loss_chunk_tokens = settings.loss_chunk_tokens
    for layer in model.layers:
        assert isinstance(layer, Block)
        layer.recompute = settings.recompute
        if settings.compile:
            layer.compile()
        if ranks.mesh is not None:
            fully_shard(layer, mesh=ranks.mesh, mp_policy=policy)
    if ranks.mesh is not None:
        fully_shard(model, mesh=ranks.mesh, mp_policy=policy)


def reduce_gradients(model: OpenLM, wanted: bool) -> None:
    """Say whether the next backward pass exchanges gradients; only the last of a step does."""
    if isinstance(model, FSDPModule):
        model.set_requires_gradient_sync(wanted)
