"""Hugging Face wrapper of OpenLM's network; copied into exports next to `network.py`."""

from typing import Any

import torch
from torch import Tensor
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from .network import ModelSettings, OpenLM


class OpenLMConfig(PretrainedConfig):  # type: ignore[misc]
    """The network's settings under their own names."""

    model_type = "dclm_spark_openlm"
    keys_to_ignore_at_inference = ()

    def __init__(self, network: dict[str, Any] | None = None, **options: Any) -> None:
        self.network = network or {"width": 64, "num_layers": 1, "num_heads": 1}
        settings = ModelSettings(**self.network)
        self.vocab_size = settings.vocabulary_size or 256
        self.hidden_size = settings.width
        self.num_hidden_layers = settings.num_layers
        self.num_attention_heads = settings.num_heads
        self.max_position_embeddings = settings.sequence_length
        super().__init__(**{"tie_word_embeddings": False, "use_cache": False} | options)


class OpenLMForCausalLM(PreTrainedModel, GenerationMixin):  # type: ignore[misc]
    """A causal language model; every call computes all positions (there is no key-value cache)."""

    config_class = OpenLMConfig
    base_model_prefix = "network"
    _supports_sdpa = True

    def __init__(self, config: OpenLMConfig) -> None:
        super().__init__(config)
        settings = ModelSettings(**{"vocabulary_size": config.vocab_size} | config.network)
        self.network = OpenLM(settings)
        self.post_init()

    def _init_weights(self, module: torch.nn.Module) -> None:
        """Leave weights alone: exports hold all of them."""

    def get_input_embeddings(self) -> torch.nn.Module:
        """Return the token embedding."""
        return self.network.tok_embeddings

    def prepare_inputs_for_generation(self, input_ids: Tensor, **options: Any) -> dict[str, Any]:
        """Pass the whole text at every step."""
        return {"input_ids": input_ids, "attention_mask": options.get("attention_mask")}

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None,
        labels: Tensor | None = None, **_: Any,
    ) -> CausalLMOutput:  # fmt: skip
        """Return logits, and with `labels` the mean loss of predicting each from those before."""
        logits = self.network(input_ids, mask=_allowed(attention_mask))
        loss = None
        if labels is not None:
            loss = torch.nn.functional.cross_entropy(
                logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100
            )
        return CausalLMOutput(loss=loss, logits=logits)


def _allowed(attention_mask: Tensor | None) -> Tensor | None:
    """Return [B, 1, S, S], True where attention may go; None when nothing is padding.

    Padding is allowed to see itself, so that no row of the softmax is empty. Positions are not
    shifted: pad on the right, or score texts one by one.
    """
    if attention_mask is None or bool(attention_mask.all()):
        return None
    length = attention_mask.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=attention_mask.device).tril()
    own = torch.eye(length, dtype=torch.bool, device=attention_mask.device)
    return (attention_mask[:, None, None, :].bool() | own) & causal
