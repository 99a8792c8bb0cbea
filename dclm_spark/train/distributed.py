"""Ranks and devices: one process without any set-up, or several under torchrun."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

from dclm_spark.train.losses import head_losses
from dclm_spark.train.network import Block, OpenLM
from dclm_spark.train.scales import TrainSettings

Answer = TypeVar("Answer")
# Activations [B, S, D] of one micro-batch, from which on more than one thread is worth it.
_NUMBERS_WORTH_THREADS = 1 << 20


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

    def broadcast(self, values: Tensor) -> Tensor:
        """Return the first rank's `values`, on this rank's device; others give the same shape."""
        if self.mesh is None:
            return values
        values = values.to(self.device).contiguous()
        dist.broadcast(values, 0)
        return values

    def any(self, flag: bool) -> bool:
        """Return True on every rank when any rank says so; waits for the hosts only."""
        if self.group is None:
            return flag
        value = torch.tensor(int(flag))
        dist.all_reduce(value, dist.ReduceOp.MAX, group=self.group)
        return bool(value.item())

    def agreed(self, decide: Callable[[], Answer]) -> Answer:
        """Return what `decide` returns on the first rank, on all; raise there what it raised."""
        if self.group is None:
            return decide()
        found: list[Any] = [None, None]
        if self.is_first:
            try:
                found[0] = decide()
            except Exception as error:  # sent to the other ranks, which must not wait for ever
                found[1] = error
        dist.broadcast_object_list(found, 0, group=self.group)
        if found[1] is not None:
            raise found[1]
        return found[0]  # type: ignore[no-any-return]


def join(settings: TrainSettings) -> Ranks:
    """Return this process's place, from the variables that torchrun sets.

    Raises ValueError when settings.replicas does not divide the ranks.
    """
    num_ranks = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    has_gpu = torch.cuda.is_available()
    device = torch.device("cuda", local) if has_gpu else torch.device("cpu")
    if not has_gpu and (threads := num_threads(settings)) is not None:
        torch.set_num_threads(threads)
    if has_gpu:
        torch.cuda.set_device(device)
        torch.set_float32_matmul_precision("high")
    if num_ranks % settings.replicas:
        raise ValueError(
            f"replicas = {settings.replicas}: must divide the number of ranks ({num_ranks}); "
            "one replica a node is usual"
        )
    if num_ranks == 1:
        return Ranks(device=device)
    if not dist.is_initialized():
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if has_gpu else "gloo",
            timeout=timedelta(minutes=settings.timeout_minutes),
            # Binds NCCL to this device at once, so that no rank opens a context on another's.
            device_id=device if has_gpu else None,
        )
    return Ranks(
        rank=dist.get_rank(),
        num_ranks=num_ranks,
        device=device,
        mesh=_mesh(device, num_ranks, settings.replicas),
        group=dist.new_group(backend="gloo"),
        checkpoint_group=dist.new_group(backend="gloo"),
    )


def num_threads(settings: TrainSettings) -> int | None:
    """Return the CPU threads that suit the model, or None to leave torch's own choice.

    Threads wait for one another after every operation: with small ones they wait longer than they
    compute, and on a busy machine many times longer. OMP_NUM_THREADS, when set, decides.
    """
    if "OMP_NUM_THREADS" in os.environ:
        return None
    model = settings.model
    numbers = settings.micro_batch_sequences * model.sequence_length * model.width
    return 1 if numbers < _NUMBERS_WORTH_THREADS else None


def _mesh(device: torch.device, num_ranks: int, replicas: int) -> DeviceMesh:
    """Return the ranks in one dimension, or as replicas x shards of the model (HSDP)."""
    if replicas == 1:
        return init_device_mesh(device.type, (num_ranks,))
    shape = (replicas, num_ranks // replicas)
    return init_device_mesh(device.type, shape, mesh_dim_names=("replicate", "shard"))


def leave(ranks: Ranks) -> None:
    """Close the process group, if there is one."""
    if ranks.group is not None and dist.is_initialized():
        dist.destroy_process_group()


def on_device(values: NDArray[Any], device: torch.device) -> Tensor:
    """Return `values` on `device`; the host does not wait for the copy."""
    tensor = torch.from_numpy(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def spread(model: OpenLM, settings: TrainSettings, ranks: Ranks) -> None:
    """Apply recomputation, compilation and FSDP2 to each block of a model on the meta device."""
    policy = (
        MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        if settings.precision == "bf16-mixed"
        else MixedPrecisionPolicy()
    )
    model.loss_chunk_tokens = settings.loss_chunk_tokens
    if settings.compile and settings.loss_chunk_tokens is None:
        # Fuses the cast to fp32 with what is computed from it: the logits are read in bf16.
        model.losses = torch.compile(head_losses)
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
