"""Muon: momentum whose matrices are made orthogonal, for the matrices of the layers.

Everything else (embedding, output matrix, norms) stays with AdamW in the same optimizer, so that a
checkpoint holds one state. An update has the root mean square that AdamW's usually has, 0.2, so one
rate and one weight decay serve both.

Sharded matrices are gathered, and each rank makes all of them orthogonal: the work is not shared
out, which is cheap for the sizes of a probe.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from dclm_spark.train.optimizers.averages import local

# Matrices that hold several of one shape, one below the other: queries, keys and values; gate and
# input. Each is made orthogonal by itself.
_PARTS = {"attention.in_proj.weight": 3, "feed_forward.w12.weight": 2}
# Of the quintic iteration that takes singular values between 0 and 1 to near 1 in few steps.
_COEFFICIENTS, _NUM_ITERATIONS = (3.4445, -4.7750, 2.0315), 5
_ROOT_MEAN_SQUARE = 0.2


def muon_groups(model: nn.Module, momentum: float) -> list[dict[str, Any]]:
    """Return groups of parameters: those of AdamW, then the layers' matrices by their parts."""
    adamw: list[nn.Parameter] = []
    matrices: dict[int, list[nn.Parameter]] = {}
    for name, weight in model.named_parameters():
        if weight.ndim == 2 and name.startswith("layers."):
            parts = next((n for end, n in _PARTS.items() if name.endswith(end)), 1)
            matrices.setdefault(parts, []).append(weight)
        else:
            adamw.append(weight)
    groups = [{"params": adamw, "parts": 0, "momentum": momentum}]
    return groups + [
        {"params": weights, "parts": parts, "momentum": momentum}
        for parts, weights in sorted(matrices.items())
    ]


class MuonAdamW(torch.optim.AdamW):
    """Muon for the groups with `parts`, AdamW for the others."""

    # 1 where a step must change nothing, as torch's own fused kernels have it.
    found_inf: Tensor | None = None

    def __init__(self, groups: list[dict[str, Any]], **options: Any) -> None:
        super().__init__(groups, fused=True, **options)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update all weights, unless `found_inf` is 1."""
        every = self.param_groups
        self.param_groups = [group for group in every if not group["parts"]]
        try:
            super().step(closure)
        finally:
            self.param_groups = every
        for group in every:
            if group["parts"]:
                self._step_matrices(group)

    def _step_matrices(self, group: dict[str, Any]) -> None:
        weights = [weight for weight in group["params"] if weight.grad is not None]
        if not weights:
            return
        counts = self.found_inf
        kept = 1 - counts if counts is not None else torch.ones((), device=weights[0].device)
        directions = [self._direction(weight, group["momentum"], kept) for weight in weights]
        for weight, update in zip(weights, _orthogonal(directions, group["parts"]), strict=True):
            own = _like(update, weight)
            share = local(weight)
            share.mul_(1 - group["lr"] * group["weight_decay"] * kept)
            share.sub_((own * (group["lr"] * kept)).to(share.dtype))

    def _direction(self, weight: Tensor, momentum: float, kept: Tensor) -> Tensor:
        """Move the momentum of a weight and return Nesterov's direction, whole."""
        state = self.state[weight]
        if not state:
            # AdamW looks for the step count when it takes over a saved state.
            state["step"] = torch.zeros((), device=weight.device)
            state["momentum"] = torch.zeros_like(weight)
        assert weight.grad is not None
        gradient, average = local(weight.grad), local(state["momentum"])
        # A refused gradient may not be finite: times 0 it would still be none.
        gradient = torch.where(kept > 0, gradient, 0.0).to(average.dtype)
        average.lerp_(gradient, (1 - momentum) * kept)
        state["step"] += kept
        direction = gradient.lerp(average, momentum)
        if isinstance(weight, DTensor):
            whole = DTensor.from_local(
                direction, weight.device_mesh, weight.placements,
                shape=weight.shape, stride=weight.stride(), run_check=False,
            )  # fmt: skip
            direction = whole.full_tensor()
        return direction


def _like(update: Tensor, weight: Tensor) -> Tensor:
    """Return this rank's share of a whole update."""
    if not isinstance(weight, DTensor):
        return update
    cut = distribute_tensor(update, weight.device_mesh, weight.placements, src_data_rank=None)
    return cut.to_local()


def _orthogonal(directions: list[Tensor], parts: int) -> Iterator[Tensor]:
    """Yield the update of each matrix; those of one shape are made orthogonal together."""
    by_shape: dict[torch.Size, list[int]] = {}
    for place, one in enumerate(directions):
        by_shape.setdefault(one.shape, []).append(place)
    found: dict[int, Tensor] = {}
    for places in by_shape.values():
        stacked = torch.stack([directions[place] for place in places])
        cut = stacked.view(len(places) * parts, -1, stacked.shape[-1])
        updates = orthogonal(cut) * (_ROOT_MEAN_SQUARE * math.sqrt(max(cut.shape[-2:])))
        found |= dict(zip(places, updates.view(stacked.shape), strict=True))
    yield from (found[place] for place in range(len(directions)))


def orthogonal(matrices: Tensor) -> Tensor:
    """Return [M, R, C] with the singular values of each of M matrices taken to about 1.

    In bf16 on a GPU. A matrix of zeros stays one.
    """
    is_tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if is_tall else matrices
    x = x.to(torch.bfloat16 if matrices.is_cuda else torch.float32)
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    a, b, c = _COEFFICIENTS
    for _ in range(_NUM_ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    found: Tensor = x.mT if is_tall else x
    return found.to(torch.float32)
