"""OpenLM's network in plain PyTorch (spec section 7.1).

This file is also copied into Hugging Face exports, so it imports nothing but torch.

Shape letters: B sequences, S positions, D model width, N heads, H head width (D = N * H),
F feed-forward width, V vocabulary. Every weight is cast to the dtype of the activations where
it is used, so the same code serves fp32, pure bf16, FSDP's mixed precision and fp32 weights
under bf16 activations, and norms are computed in the low precision that the reference uses.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    create_selective_checkpoint_contexts,
)

from udfs.checks import at_least, check, one_of

QUIRKS = ("dclm-2024", "none")
RECOMPUTE = ("none", "selective", "full")


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """Everything that decides the network's shape and arithmetic."""

    width: int
    num_layers: int
    num_heads: int
    # None: the manifest's vocabulary, padded to a multiple of 256.
    vocabulary_size: int | None = None
    sequence_length: int = 2048
    rotary_base: float = 10_000.0
    norm_epsilon: float = 1e-5
    # dclm-2024 rounds the rotary frequencies to the dtype of the activations (spec 7.1).
    quirks: str = "dclm-2024"

    def __post_init__(self) -> None:
        whole = at_least(1)
        check(self, width=whole, num_layers=whole, num_heads=whole, sequence_length=whole)
        if self.width % (2 * self.num_heads):
            raise ValueError(
                f"width = {self.width}: must be a multiple of twice num_heads "
                f"({self.num_heads}); change either"
            )
        check(self, quirks=one_of(QUIRKS))

    @property
    def head_width(self) -> int:
        """Width of one attention head."""
        return self.width // self.num_heads

    @property
    def feed_forward_width(self) -> int:
        """SwiGLU's hidden width: 8/3 of the model's, rounded up to a multiple of 256."""
        return 256 * math.ceil(int(8 * self.width / 3) / 256)

    def num_parameters(self, vocabulary_size: int | None = None) -> int:
        """Return the number of weights, the gains of the QK norm included."""
        vocabulary = vocabulary_size or self.vocabulary_size or 0
        width, hidden = self.width, self.feed_forward_width
        layer = 4 * width**2 + 3 * width * hidden + 4 * width
        return 2 * vocabulary * width + self.num_layers * layer + width

    def flops_per_token(self, vocabulary_size: int | None = None) -> int:
        """Return forward and backward floating-point operations per token.

        6 for every weight that takes part in a matrix product (all but the input embedding) plus
        12 * layers * width * sequence_length for attention, counted without the causal half, as
        published MFU numbers do. Recomputed activations do not count.
        """
        vocabulary = vocabulary_size or self.vocabulary_size or 0
        in_products = self.num_parameters(vocabulary) - vocabulary * self.width
        return 6 * in_products + 12 * self.num_layers * self.width * self.sequence_length


class Linear(nn.Linear):
    """A matrix product without bias, in the dtype of its input."""

    def __init__(self, num_inputs: int, num_outputs: int) -> None:
        super().__init__(num_inputs, num_outputs, bias=False)

    def reset_parameters(self) -> None:
        """Leave the weights alone: `initial_deviations` says how they start."""

    def forward(self, x: Tensor) -> Tensor:
        """Map the last axis of `x`."""
        return F.linear(x, self.weight.to(x.dtype))


class Norm(nn.Module):
    """LayerNorm with a gain and no bias, computed in the dtype of its input."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Normalize the last axis of `x`."""
        weight = self.weight.to(x.dtype)
        return F.layer_norm(x, weight.shape, weight, None, self.epsilon)


class Rotary(nn.Module):
    """Rotary position table: rotate-half layout, one frequency per pair of channels."""

    inverse_frequencies: Tensor

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.base, self.width = settings.rotary_base, settings.head_width
        self.rounded = settings.quirks == "dclm-2024"
        self.register_buffer("inverse_frequencies", torch.empty(self.width // 2))
        self.reset()

    def reset(self) -> None:
        """Fill in the frequencies (needed after materializing a meta module)."""
        buffer = self.inverse_frequencies
        exponent = torch.arange(0, self.width, 2, device=buffer.device).float() / self.width
        self.inverse_frequencies = (1.0 / (self.base**exponent)).to(buffer.dtype)

    def forward(self, num_positions: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return the cosines and sines [S, 1, H] that turn queries and keys."""
        frequencies = self.inverse_frequencies
        if self.rounded:
            frequencies = frequencies.to(dtype)
        positions = torch.arange(num_positions, device=frequencies.device, dtype=torch.float32)
        angles_SH = torch.outer(positions, frequencies.float()).repeat(1, 2)
        return angles_SH.cos().to(dtype)[:, None], angles_SH.sin().to(dtype)[:, None]


def rotate(x_BSNH: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn each pair (i, i + H/2) of channels by its position's angle."""
    first, second = x_BSNH.chunk(2, dim=-1)
    return x_BSNH * cosine + torch.cat((-second, first), dim=-1) * sine


class Attention(nn.Module):
    """Causal attention with one fused projection and norms over the whole q and k vectors."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        width = settings.width
        self.head_width = settings.head_width
        self.in_proj = Linear(width, 3 * width)
        self.out_proj = Linear(width, width)
        self.q_norm = Norm(width, settings.norm_epsilon)
        self.k_norm = Norm(width, settings.norm_epsilon)

    def forward(self, x_BSD: Tensor, cosine: Tensor, sine: Tensor, mask: Tensor | None) -> Tensor:
        """Mix positions; `mask` [B, 1, S, S] is True where attention is allowed."""
        num_sequences, num_positions, width = x_BSD.shape
        heads = (num_sequences, num_positions, -1, self.head_width)
        q, k, v = self.in_proj(x_BSD).split(width, dim=-1)
        q_BSNH = rotate(self.q_norm(q).view(heads), cosine, sine)
        k_BSNH = rotate(self.k_norm(k).view(heads), cosine, sine)
        y_BNSH = F.scaled_dot_product_attention(
            q_BSNH.transpose(1, 2),
            k_BSNH.transpose(1, 2),
            v.view(heads).transpose(1, 2),
            attn_mask=mask,
            is_causal=mask is None,
        )
        return self.out_proj(y_BNSH.transpose(1, 2).reshape(x_BSD.shape))  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """SwiGLU; the gate is the first half of the fused first matrix."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.w12 = Linear(settings.width, 2 * settings.feed_forward_width)
        self.w3 = Linear(settings.feed_forward_width, settings.width)

    def forward(self, x_BSD: Tensor) -> Tensor:
        """Map each position by itself."""
        gate_BSF, up_BSF = self.w12(x_BSD).chunk(2, dim=-1)
        return self.w3(F.silu(gate_BSF) * up_BSF)  # type: ignore[no-any-return]


_SAVED = {
    torch.ops.aten.mm.default,
    torch.ops.aten._scaled_dot_product_flash_attention.default,
    torch.ops.aten._scaled_dot_product_efficient_attention.default,
    torch.ops.aten._scaled_dot_product_cudnn_attention.default,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default,
}


def _save_products(_context: Any, operator: Any, *_: Any, **__: Any) -> CheckpointPolicy:
    if operator in _SAVED:
        return CheckpointPolicy.MUST_SAVE
    return CheckpointPolicy.PREFER_RECOMPUTE


class Block(nn.Module):
    """One layer: attention, then feed-forward, each added to the stream of its normed input."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.attention = Attention(settings)
        self.feed_forward = FeedForward(settings)
        self.attention_norm = Norm(settings.width, settings.norm_epsilon)
        self.ffn_norm = Norm(settings.width, settings.norm_epsilon)
        self.recompute = "none"

    def forward(self, h_BSD: Tensor, cosine: Tensor, sine: Tensor, mask: Tensor | None) -> Tensor:
        """Return the stream after this layer; recompute activations in backward if set."""
        if self.recompute == "none" or not torch.is_grad_enabled():
            return self._layer(h_BSD, cosine, sine, mask)
        options: dict[str, Any] = {"use_reentrant": False}
        if self.recompute == "selective":
            options["context_fn"] = partial(create_selective_checkpoint_contexts, _save_products)
        return checkpoint(self._layer, h_BSD, cosine, sine, mask, **options)  # type: ignore[no-any-return]

    def _layer(self, h_BSD: Tensor, cosine: Tensor, sine: Tensor, mask: Tensor | None) -> Tensor:
        h_BSD = h_BSD + self.attention(self.attention_norm(h_BSD), cosine, sine, mask)
        return h_BSD + self.feed_forward(self.ffn_norm(h_BSD))  # type: ignore[no-any-return]


class OpenLM(nn.Module):
    """A decoder-only language model; `model(tokens_BS)` gives fp32 logits [B, S, V]."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        if settings.vocabulary_size is None:
            raise ValueError("model.vocabulary_size is not set: take it from the shard manifest")
        self.settings = settings
        self.activation_dtype: torch.dtype | None = None
        self.loss_chunk_tokens: int | None = None
        self.tok_embeddings = nn.Embedding(settings.vocabulary_size, settings.width)
        self.layers = nn.ModuleList(Block(settings) for _ in range(settings.num_layers))
        self.norm = Norm(settings.width, settings.norm_epsilon)
        self.output = Linear(settings.width, settings.vocabulary_size)
        self.rotary = Rotary(settings)

    def forward(
        self, tokens_BS: Tensor, targets_BS: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Return logits; with targets, each position's cross entropy and log normalizer [B, S].

        Both are in fp32 and in nats. `mask` [B, 1, S, S] replaces the causal mask.
        """
        h_BSD = self.tok_embeddings(tokens_BS)
        h_BSD = h_BSD.to(self.activation_dtype or h_BSD.dtype)
        cosine, sine = self.rotary(tokens_BS.shape[1], h_BSD.dtype)
        for layer in self.layers:
            h_BSD = layer(h_BSD, cosine, sine, mask)
        h_BSD = self.norm(h_BSD)
        if targets_BS is None:
            return self.output(h_BSD).float()  # type: ignore[no-any-return]
        if self.loss_chunk_tokens is None:
            return position_losses(self.output(h_BSD).float(), targets_BS)
        weight_VD = self.output.weight.to(h_BSD.dtype)
        losses = ChunkedLosses.apply(  # type: ignore[no-untyped-call]
            h_BSD.flatten(0, 1), weight_VD, targets_BS.flatten(), self.loss_chunk_tokens
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


def position_losses(logits_BSV: Tensor, targets_BS: Tensor) -> tuple[Tensor, Tensor]:
    """Return cross entropy and log normalizer (both in nats) of each position."""
    log_normalizer_BS = logits_BSV.logsumexp(dim=-1)
    chosen_BS = logits_BSV.gather(-1, targets_BS[..., None]).squeeze(-1)
    return log_normalizer_BS - chosen_BS, log_normalizer_BS


def initial_deviations(settings: ModelSettings) -> dict[str, float]:
    """Return the deviation of each matrix's truncated normal by name (spec 7.2)."""
    narrow, wide = 1 / math.sqrt(settings.width), 1 / math.sqrt(settings.feed_forward_width)
    deviations = {"tok_embeddings.weight": narrow, "output.weight": narrow}
    for index in range(settings.num_layers):
        depth = math.sqrt(2 * (index + 1))
        deviations |= {
            f"layers.{index}.attention.in_proj.weight": narrow,
            f"layers.{index}.attention.out_proj.weight": narrow / depth,
            f"layers.{index}.feed_forward.w12.weight": narrow,
            f"layers.{index}.feed_forward.w3.weight": wide / depth,
        }
    return deviations
