"""An exponential moving average of the weights that a run keeps beside them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor


class AveragedWeights:
    """An exponential moving average of the weights, sharded as they are."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: p.detach().float().clone() for name, p in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module, refused: Tensor) -> None:
        """Move the average towards the model's present weights unless `refused` is 1."""
        share = (1 - self.decay) * (1 - refused)
        for name, weight in model.named_parameters():
            local(self.weights[name]).lerp_(local(weight).float(), share)

    @contextmanager
    def standing_in(self, model: nn.Module) -> Iterator[None]:
        """Give `model` the averages for a while; its own weights return bit for bit.

        Holds a third copy of the weights meanwhile.
        """
        own = {name: p.detach().clone() for name, p in model.named_parameters()}
        try:
            _copy(self.weights, model)
            yield
        finally:
            _copy(own, model)


def local(value: Tensor) -> Tensor:
    """Return this rank's share of a tensor, the whole of one that is not shared out."""
    return value.to_local() if isinstance(value, DTensor) else value


@torch.no_grad()
def _copy(weights: Mapping[str, Tensor], model: nn.Module) -> None:
    # A forward pass leaves some weights gathered: those would be used again, unchanged.
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()
    for name, weight in model.named_parameters():
        weight.copy_(weights[name])
