"""OpenLM's network in plain PyTorch (spec section 7.1).

This file, `attention_kernels.py` and `losses.py` are also copied into Hugging Face exports, so they
import nothing but torch.

Shape letters: B sequences, S positions (T with those of a cache), D model width, N heads, H head
width (D = N * H), F feed-forward width, V vocabulary. Every weight is cast to the dtype of the
activations where it is used, so the same code serves fp32, bf16, FSDP's mixed precision and fp32
weights under bf16 activations; norms are computed in the low precision that the reference uses.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    create_selective_checkpoint_contexts,
)

from .attention_kernels import attend
from .losses import head_losses

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
        for name in ("width", "num_layers", "num_heads", "sequence_length"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: expected at least 1")
        if self.width % (2 * self.num_heads):
            raise ValueError(
                f"width = {self.width}: must be a multiple of twice num_heads "
                f"({self.num_heads}); change either"
            )

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
        """Return forward and backward floating-point operations per token (docs/training.md)."""
        vocabulary = vocabulary_size or self.vocabulary_size or 0
        in_products = self.num_parameters(vocabulary) - vocabulary * self.width
        return 6 * in_products + 12 * self.num_layers * self.width * self.sequence_length


class KeyValueCache(Protocol):
    """Keys and values of earlier positions; `transformers.Cache` is one."""

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int
    ) -> tuple[Tensor, Tensor]:
        """Append those of new positions [B, N, S, H] to a layer's; return all [B, N, T, H]."""


class Linear(nn.Linear):
    """A matrix product without bias, in the dtype of its input."""

    def __init__(self, num_inputs: int, num_outputs: int) -> None:
        super().__init__(num_inputs, num_outputs, bias=False)

    def reset_parameters(self) -> None:
        """Leave the weights alone: `model.initialize` draws them."""

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

    def forward(self, positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return the cosines and sines [..., 1, H] that turn queries and keys at `positions`."""
        frequencies = self.inverse_frequencies
        if self.rounded:
            frequencies = frequencies.to(dtype)
        angles = positions[..., None].float() * frequencies.float()
        angles = torch.cat((angles, angles), dim=-1)[..., None, :]
        return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(x_BSNH: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn each pair (i, i + H/2) of channels by its position's angle."""
    first, second = x_BSNH.chunk(2, dim=-1)
    return x_BSNH * cosine + torch.cat((-second, first), dim=-1) * sine


class Places(NamedTuple):
    """Where the positions of a forward pass stand, and what each of them may see."""

    cosine: Tensor
    sine: Tensor
    # [B, 1, S, T], True where attention is allowed; None: `is_causal` says.
    mask: Tensor | None = None
    is_causal: bool = True
    cache: KeyValueCache | None = None


class Attention(nn.Module):
    """Causal attention with one fused projection and norms over the whole q and k vectors."""

    def __init__(self, settings: ModelSettings, layer: int) -> None:
        super().__init__()
        self.layer = layer
        width = settings.width
        self.head_width = settings.head_width
        self.in_proj = Linear(width, 3 * width)
        self.out_proj = Linear(width, width)
        self.q_norm = Norm(width, settings.norm_epsilon)
        self.k_norm = Norm(width, settings.norm_epsilon)

    def forward(self, x_BSD: Tensor, places: Places) -> Tensor:
        """Mix positions."""
        num_sequences, num_positions, width = x_BSD.shape
        heads = (num_sequences, num_positions, -1, self.head_width)
        q, k, v = self.in_proj(x_BSD).split(width, dim=-1)
        q_BNSH = rotate(self.q_norm(q).view(heads), places.cosine, places.sine).transpose(1, 2)
        k_BNTH = rotate(self.k_norm(k).view(heads), places.cosine, places.sine).transpose(1, 2)
        v_BNTH = v.view(heads).transpose(1, 2)
        if places.cache is not None:
            k_BNTH, v_BNTH = places.cache.update(k_BNTH, v_BNTH, self.layer)
        is_causal = places.mask is None and places.is_causal
        y_BNSH = attend(q_BNSH, k_BNTH, v_BNTH, places.mask, is_causal)
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

    def __init__(self, settings: ModelSettings, layer: int) -> None:
        super().__init__()
        self.attention = Attention(settings, layer)
        self.feed_forward = FeedForward(settings)
        self.attention_norm = Norm(settings.width, settings.norm_epsilon)
        self.ffn_norm = Norm(settings.width, settings.norm_epsilon)
        self.recompute = "none"

    def forward(self, h_BSD: Tensor, places: Places) -> Tensor:
        """Return the stream after this layer; recompute activations in backward if set."""
        if self.recompute == "none" or not torch.is_grad_enabled():
            return self._layer(h_BSD, places)
        options: dict[str, Any] = {"use_reentrant": False}
        if self.recompute == "selective":
            options["context_fn"] = partial(create_selective_checkpoint_contexts, _save_products)
        return checkpoint(self._layer, h_BSD, places, **options)  # type: ignore[no-any-return]

    def _layer(self, h_BSD: Tensor, places: Places) -> Tensor:
        h_BSD = h_BSD + self.attention(self.attention_norm(h_BSD), places)
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
        # Replaced by a compiled form where the run compiles.
        self.losses = head_losses
        self.tok_embeddings = nn.Embedding(settings.vocabulary_size, settings.width)
        self.layers = nn.ModuleList(Block(settings, layer) for layer in range(settings.num_layers))
        self.norm = Norm(settings.width, settings.norm_epsilon)
        self.output = Linear(settings.width, settings.vocabulary_size)
        self.rotary = Rotary(settings)

    def forward(
        self, tokens_BS: Tensor, targets_BS: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Return logits; with targets, each position's cross entropy and log normalizer [B, S].

        Both are in fp32 nats. `mask` [B, 1, S, S] replaces the causal mask.
        """
        h_BSD = self.norm(self.states(tokens_BS, mask))
        if targets_BS is None:
            return self.output(h_BSD).float()  # type: ignore[no-any-return]
        return self.losses(h_BSD, self.output.weight, targets_BS, self.loss_chunk_tokens)

    def states(
        self,
        tokens_BS: Tensor,
        mask: Tensor | None = None,
        positions_BS: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Return the stream [B, S, D] behind the last layer, before the last norm.

        With a `cache`, the tokens stand after those in it: then `positions_BS` says where, and
        without a `mask` [B, 1, S, T] each token sees all that the cache holds.
        """
        if positions_BS is None:
            positions_BS = torch.arange(tokens_BS.shape[1], device=tokens_BS.device)
        h_BSD = self.tok_embeddings(tokens_BS)
        h_BSD = h_BSD.to(self.activation_dtype or h_BSD.dtype)
        cosine, sine = self.rotary(positions_BS, h_BSD.dtype)
        places = Places(cosine, sine, mask, cache is None or tokens_BS.shape[1] > 1, cache)
        for layer in self.layers:
            h_BSD = layer(h_BSD, places)
        return h_BSD  # type: ignore[no-any-return]

    def head(self, h_BSD: Tensor) -> Tensor:
        """Return fp32 logits [..., V] of states behind the last layer."""
        return self.output(self.norm(h_BSD)).float()  # type: ignore[no-any-return]
