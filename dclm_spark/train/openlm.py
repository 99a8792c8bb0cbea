"""OpenLM's state-dict names and files: reading released checkpoints, writing our weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dclm_spark.train.network import ModelSettings, OpenLM
from dclm_spark.train.optimizer import OptimizerSettings, ScheduleSettings
from dclm_spark.train.scales import TrainSettings

_FREQUENCIES = "layers.{}.attention.pos_embed.inv_freq"
_PREFIXES = ("module.", "_orig_mod.", "model.")


def to_openlm(weights: Mapping[str, Tensor], num_layers: int) -> dict[str, Tensor]:
    """Return our state dict under OpenLM's names: one copy of the frequencies for each layer."""
    renamed = dict(weights)
    frequencies = renamed.pop("rotary.inverse_frequencies")
    return renamed | {
        _FREQUENCIES.format(layer): frequencies.clone() for layer in range(num_layers)
    }


def from_openlm(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return an OpenLM state dict under our names; wrapper prefixes are taken off.

    Raises ValueError when the layers' rotary frequencies differ, which our model cannot express.
    """
    renamed = {_without_prefix(name): value for name, value in weights.items()}
    frequencies = [renamed.pop(name) for name in list(renamed) if name.endswith(".inv_freq")]
    if not frequencies:
        raise ValueError("not an OpenLM state dict: no layers.N.attention.pos_embed.inv_freq")
    if any(not torch.equal(other, frequencies[0]) for other in frequencies[1:]):
        raise ValueError("OpenLM state dict: inv_freq differs between layers")
    return renamed | {"rotary.inverse_frequencies": frequencies[0]}


def _without_prefix(name: str) -> str:
    for prefix in _PREFIXES * 2:
        name = name.removeprefix(prefix)
    return name


def infer_settings(weights: Mapping[str, Tensor], *, sequence_length: int = 2048) -> ModelSettings:
    """Return the model settings that `weights` (under our names) were made with."""
    vocabulary_size, width = weights["tok_embeddings.weight"].shape
    frequencies = weights["rotary.inverse_frequencies"].double()
    head_width = 2 * len(frequencies)
    num_layers = 1 + max(int(n.split(".")[1]) for n in weights if n.startswith("layers."))
    # The second frequency is base ** (-2 / head_width), maybe rounded to bf16.
    base = float(frequencies[1] ** (-head_width / 2)) if len(frequencies) > 1 else 10_000.0
    return ModelSettings(
        width=width,
        num_layers=num_layers,
        num_heads=width // head_width,
        vocabulary_size=vocabulary_size,
        sequence_length=sequence_length,
        rotary_base=float(f"{base:.2g}"),
    )


def read_model(path: Path) -> tuple[OpenLM, TrainSettings]:
    """Read an OpenLM `.pt` file (a bare state dict, or one under "state_dict")."""
    content: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    weights = from_openlm(content.get("state_dict", content))
    settings = infer_settings(weights)
    model = OpenLM(settings)
    load_weights(model, weights)
    return model, inference_settings(settings, name=f"openlm:{path.name}")


def load_weights(model: OpenLM, weights: Mapping[str, Tensor]) -> None:
    """Copy `weights` (our names) into `model`; ValueError lists names or shapes that differ."""
    own = model.state_dict()
    wrong = sorted(
        name
        for name in own.keys() | weights.keys()
        if name not in own or name not in weights or own[name].shape != weights[name].shape
    )
    if wrong:
        raise ValueError(
            f"weights do not fit the model: {', '.join(wrong[:5])} ({len(wrong)} in all)"
        )
    model.load_state_dict({name: weights[name].to(own[name].dtype) for name in own})


def write_model(model: OpenLM, path: Path) -> None:
    """Write an OpenLM `.pt` file that its own evaluation loads."""
    weights = to_openlm(model.state_dict(), model.settings.num_layers)
    torch.save({"epoch": 0, "name": "dclm-spark", "state_dict": weights}, path)


def inference_settings(model: ModelSettings, *, name: str) -> TrainSettings:
    """Wrap a network whose training is not known; only `model` means something."""
    return TrainSettings(
        scale=name,
        model=model,
        optimizer=OptimizerSettings(peak_rate=0.0, weight_decay=0.0),
        schedule=ScheduleSettings(warmup_steps=0),
        tokens=model.sequence_length,
        batch_sequences=1,
        micro_batch_sequences=1,
        z_loss=0.0,
        precision="fp32",
        compile=False,
    )
