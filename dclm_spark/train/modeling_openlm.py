"""Hugging Face form of OpenLM's network; copied into exports next to `network.py`."""

from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast

from .network import ModelSettings, OpenLM


class OpenLMConfig(PretrainedConfig):  # type: ignore[misc]
    """The network's settings under their own names."""

    model_type = "dclm_spark_openlm"
    keys_to_ignore_at_inference = ("past_key_values",)

    def __init__(self, network: dict[str, Any] | None = None, **options: Any) -> None:
        self.network = network or {"width": 64, "num_layers": 1, "num_heads": 1}
        settings = ModelSettings(**self.network)
        self.vocab_size = settings.vocabulary_size or 256
        self.hidden_size = settings.width
        self.intermediate_size = settings.feed_forward_width
        self.num_hidden_layers = settings.num_layers
        self.num_attention_heads = settings.num_heads
        self.num_key_value_heads = settings.num_heads
        self.head_dim = settings.head_width
        self.max_position_embeddings = settings.sequence_length
        super().__init__(**{"tie_word_embeddings": False} | options)


class OpenLMBackbone(OpenLM):
    """The network as libraries call a model's body: states, and not logits."""

    # Set by `gradient_checkpointing_enable`.
    gradient_checkpointing = False

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        **_: Any,
    ) -> BaseModelOutputWithPast:
        """Return the states [B, S, D] behind the last norm, which the head turns into logits."""
        for layer in self.layers:
            recompute = self.gradient_checkpointing and self.training
            layer.recompute = "full" if recompute else "none"  # type: ignore[assignment]
        seen, length = _filled(past_key_values, input_ids.shape[1])
        if position_ids is None:
            position_ids = _positions(input_ids, attention_mask, seen)
        mask = _allowed(attention_mask, input_ids.shape[1], seen, length)
        states = self.norm(self.states(input_ids, mask, position_ids, past_key_values))
        return BaseModelOutputWithPast(last_hidden_state=states, past_key_values=past_key_values)


class OpenLMForCausalLM(PreTrainedModel, GenerationMixin):  # type: ignore[misc]
    """A causal language model with a key-value cache."""

    config_class = OpenLMConfig
    base_model_prefix = "network"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _no_split_modules = ("Block",)
    # The network rounds the frequencies itself where the reference does.
    _keep_in_fp32_modules_strict = ("rotary",)

    def __init__(self, config: OpenLMConfig) -> None:
        super().__init__(config)
        settings = ModelSettings(**{"vocabulary_size": config.vocab_size} | config.network)
        self.network = OpenLMBackbone(settings)
        self.post_init()

    def _init_weights(self, module: torch.nn.Module) -> None:
        """Leave weights alone: exports hold all of them."""

    def get_input_embeddings(self) -> torch.nn.Module:
        """Return the token embedding."""
        return self.network.tok_embeddings

    def set_input_embeddings(self, value: torch.nn.Module) -> None:
        """Replace the token embedding."""
        self.network.tok_embeddings = value  # type: ignore[assignment]

    def get_output_embeddings(self) -> torch.nn.Module:
        """Return the matrix that gives logits."""
        return self.network.output

    def set_output_embeddings(self, value: torch.nn.Module) -> None:
        """Replace the matrix that gives logits."""
        self.network.output = value  # type: ignore[assignment]

    # transformers finds out by these names what a model can do, so none may be left out.
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **_: Any,
    ) -> CausalLMOutputWithPast:
        """Return logits [B, S, V] in fp32, and with `labels` the mean loss of the next tokens.

        `attention_mask` [B, T] is 0 where a position is padding, on either side; positions count
        from the first real one. `logits_to_keep` asks for those of the last positions alone.
        """
        wants_cache = getattr(self.config, "use_cache", True) if use_cache is None else use_cache
        if wants_cache and past_key_values is None and not self.training and labels is None:
            past_key_values = DynamicCache(config=self.config)
        states = self.network(input_ids, attention_mask, position_ids, past_key_values)[0]
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.network.output(states[:, kept]).float()
        loss = None
        if labels is not None:
            loss = torch.nn.functional.cross_entropy(
                logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100
            )
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=past_key_values)


def _positions(input_ids: Tensor, attention_mask: Tensor | None, seen: int) -> Tensor:
    """Return each new token's position [B, S], counted from its text's first real token."""
    if attention_mask is None or attention_mask.ndim == 4:
        return seen + torch.arange(input_ids.shape[1], device=input_ids.device)
    places = (attention_mask.long().cumsum(-1) - 1).clamp(min=0)
    return places[:, -input_ids.shape[1] :]


def _filled(cache: Any, num_new: int) -> tuple[int, int]:
    """Return how many tokens the cache holds, and how many places it has with the new ones.

    A static cache has all its places from the start, those to come filled with zeros.
    """
    if cache is None:
        return 0, num_new
    seen = int(cache.get_seq_length())
    places = (getattr(layer, "max_cache_len", 0) for layer in cache.layers)
    return seen, max([seen + num_new, *places])


def _allowed(attention_mask: Tensor | None, num_new: int, seen: int, length: int) -> Tensor | None:
    """Return [B, 1, S, T], True where attention may go; None for plain causal attention.

    T is `length`. Padding is allowed to see itself, so that no row of the softmax is empty.
    A mask of that shape, which generation with a static cache makes, is taken as it is.
    """
    if attention_mask is not None and attention_mask.ndim == 4:
        return attention_mask
    whole = attention_mask is None or bool(attention_mask.all())
    if whole and length == seen + num_new and (seen == 0 or num_new == 1):
        return None
    device = None if attention_mask is None else attention_mask.device
    rows = torch.arange(seen, seen + num_new, device=device)
    columns = torch.arange(length, device=device)
    causal = columns <= rows[:, None]
    if attention_mask is None:
        return causal[None, None]
    own = columns == rows[:, None]
    attention_mask = torch.nn.functional.pad(attention_mask, (0, length - attention_mask.shape[1]))
    return ((attention_mask[:, None, None, :].bool() | own) & causal).contiguous()
