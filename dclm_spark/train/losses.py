"""Losses of the network's head; copied into Hugging Face exports next to `network.py`.

Shape letters as there, and P: positions of a flattened batch.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def position_losses(logits_BSV: Tensor, targets_BS: Tensor) -> tuple[Tensor, Tensor]:
    """Return cross entropy and log normalizer (both in nats) of each position."""
    log_normalizer_BS = logits_BSV.logsumexp(dim=-1)
    chosen_BS = logits_BSV.gather(-1, targets_BS[..., None]).squeeze(-1)
    return log_normalizer_BS - chosen_BS, log_normalizer_BS


def head_losses(
    h_BSD: Tensor, weight_VD: Tensor, targets_BS: Tensor, chunk_tokens: int | None = None
) -> tuple[Tensor, Tensor]:
    """Return `position_losses` of the logits h @ weight.T, at most `chunk_tokens` at a time."""
    weight_VD = weight_VD.to(h_BSD.dtype)
    if chunk_tokens is None:
        return position_losses(F.linear(h_BSD, weight_VD).float(), targets_BS)
    losses = ChunkedLosses.apply(  # type: ignore[no-untyped-call]
        h_BSD.flatten(0, 1), weight_VD, targets_BS.flatten(), chunk_tokens
    )
    return losses[0].view(targets_BS.shape), losses[1].view(targets_BS.shape)


class ChunkedLosses(torch.autograd.Function):
    """`position_losses` with the logits of one chunk of positions at a time.

    The backward pass computes the logits again (one more product with the output matrix) and
    turns them into gradients in place.
    """

    @staticmethod
    def forward(
        context: Any, h_PD: Tensor, weight_VD: Tensor, targets_P: Tensor, chunk_tokens: int
    ) -> tuple[Tensor, Tensor]:
        """Return cross entropy and log normalizer of each of P positions."""
        chunks = zip(
            torch.split(h_PD, chunk_tokens), torch.split(targets_P, chunk_tokens), strict=True
        )
        losses = [position_losses((h @ weight_VD.t()).float(), targets) for h, targets in chunks]
        cross_entropy_P, normalizer_P = (torch.cat(part) for part in zip(*losses, strict=True))
        context.save_for_backward(h_PD, weight_VD, targets_P, normalizer_P)
        context.chunk_tokens = chunk_tokens
        return cross_entropy_P, normalizer_P

    @staticmethod
    def backward(context: Any, by_loss_P: Tensor, by_normalizer_P: Tensor) -> Any:
        """Return the gradients of activations and output matrix."""
        h_PD, weight_VD, targets_P, normalizer_P = context.saved_tensors
        by_h_PD = torch.empty_like(h_PD)
        by_weight_VD = torch.zeros_like(weight_VD, dtype=torch.float32)
        for start in range(0, len(h_PD), context.chunk_tokens):
            part = slice(start, start + context.chunk_tokens)
            logits = (h_PD[part] @ weight_VD.t()).float()
            logits.sub_(normalizer_P[part, None]).exp_()
            logits.mul_((by_loss_P[part] + by_normalizer_P[part])[:, None])
            logits.scatter_add_(1, targets_P[part, None], -by_loss_P[part, None])
            by_logits = logits.to(h_PD.dtype)
            by_h_PD[part] = by_logits @ weight_VD
            by_weight_VD += by_logits.t() @ h_PD[part]
        return by_h_PD, by_weight_VD.to(weight_VD.dtype), None, None
