"""OpenLM's state-dict names, files and hub folders: reading released weights, writing ours."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dclm_spark.train.network import ModelSettings, OpenLM
from dclm_spark.train.optimizer import OptimizerSettings, ScheduleSettings
from dclm_spark.train.scales import TrainSettings

_FREQUENCIES = "layers.{}.attention.pos_embed.inv_freq"
_PREFIXES = ("module.", "_orig_mod.", "model.")
# Rotary bases in use, tried before any other round number.
_USUAL_BASES = (10_000.0, 100_000.0, 500_000.0, 1_000_000.0)
# What our network is; hub folders that say otherwise are refused.
_ARCHITECTURE = {
    "qk_norm": (True,), "apply_qk_norm": (True,), "weight_tying": (False,),
    "post_embed_norm": (False,), "positional_embedding_type": ("rotary",),
    "model_norm": ("gain_only_lp_layer_norm", "gain_only_layer_norm"),
    "ffn_type": ("swiglu", "swiglu_torch"),
}  # fmt: skip


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
    frequencies = weights["rotary.inverse_frequencies"]
    head_width = 2 * len(frequencies)
    num_layers = 1 + max(int(n.split(".")[1]) for n in weights if n.startswith("layers."))
    return ModelSettings(
        width=width,
        num_layers=num_layers,
        num_heads=width // head_width,
        vocabulary_size=vocabulary_size,
        sequence_length=sequence_length,
        rotary_base=rotary_base(frequencies),
    )


def rotary_base(frequencies: Tensor) -> float:
    """Return the base b whose b ** (-2 i / head width), in the dtype of `frequencies`, they are.

    Rounded to bf16 the frequencies fit many bases: the usual ones come first, then the roundest.
    Raises ValueError when no base fits (rescaled frequencies, which our model cannot express).
    """
    for base in (*_USUAL_BASES, *_round_numbers(frequencies)):
        exact = _frequencies(base, len(frequencies))
        if torch.allclose(frequencies.float(), exact, rtol=1e-5, atol=0.0) or (
            torch.equal(frequencies.to(torch.bfloat16), exact.to(torch.bfloat16))
            and _is_rounded(frequencies)
        ):
            return base
    raise ValueError(
        "OpenLM state dict: inv_freq are the frequencies of no rotary base; rescaled ones cannot "
        "be expressed"
    )


def _frequencies(base: float, count: int) -> Tensor:
    exponent = torch.arange(0, 2 * count, 2).float() / (2 * count)
    return 1.0 / (base**exponent)


def _is_rounded(frequencies: Tensor) -> bool:
    """Say whether the values are bf16's, whatever dtype they are kept in."""
    return bool(torch.equal(frequencies.float(), frequencies.to(torch.bfloat16).float()))


def _round_numbers(frequencies: Tensor) -> Iterator[float]:
    """Yield bases near the one that the frequencies' slope gives, fewest digits first."""
    steps = torch.arange(len(frequencies)).double()
    if len(steps) < 2:
        return
    slope = float((steps * frequencies.double().log()).sum() / (steps * steps).sum())
    estimate = float(torch.tensor(-slope * len(steps)).exp())
    for digits in (1, 2, 3, 4, 5):
        unit = 10.0 ** (len(str(int(estimate))) - digits)
        nearest = round(estimate / unit)
        for count in sorted(
            range(max(1, nearest - 20), nearest + 21), key=lambda n: abs(n - nearest)
        ):
            yield count * unit


def read_model(path: Path) -> tuple[OpenLM, TrainSettings]:
    """Read an OpenLM `.pt` file (a bare state dict, or one under "state_dict")."""
    content: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    weights = from_openlm(content.get("state_dict", content))
    settings = infer_settings(weights)
    model = OpenLM(settings)
    load_weights(model, weights)
    return model, inference_settings(settings, name=f"openlm:{path.name}")


def read_folder(folder: Path) -> tuple[OpenLM, TrainSettings]:
    """Read a hub folder of OpenLM's own form (`model_type: openlm`), such as DCLM-7B's.

    Raises ValueError for an architecture that is not ours.
    """
    config = json.loads((folder / "config.json").read_text())
    options: dict[str, Any] = config.get("params_args_dict") or config
    for name, allowed in _ARCHITECTURE.items():
        if options.get(name) is not None and options[name] not in allowed:
            raise ValueError(f"{folder}: {name} = {options[name]!r}; only {allowed[0]!r} is read")
    weights = from_openlm(_with_frequencies(read_safetensors(folder), options))
    settings = infer_settings(weights, sequence_length=int(options.get("seq_len") or 2048))
    settings = replace(settings, norm_epsilon=options.get("norm_eps") or settings.norm_epsilon)
    if options.get("n_heads") not in (None, settings.num_heads):
        raise ValueError(
            f"{folder}: n_heads = {options['n_heads']} in config.json, but the rotary frequencies "
            f"are those of {settings.num_heads} heads"
        )
    model = OpenLM(settings)
    load_weights(model, weights)
    return model, inference_settings(settings, name=f"openlm:{folder.name}")


def _with_frequencies(
    weights: Mapping[str, Tensor], options: Mapping[str, Any]
) -> Mapping[str, Tensor]:
    """Return the weights of a hub folder that was saved without OpenLM's buffers as with them."""
    if any(name.endswith(".inv_freq") for name in weights) or not options.get("n_heads"):
        return weights
    count = options["dim"] // options["n_heads"] // 2
    return {**weights, _FREQUENCIES.format(0): _frequencies(_USUAL_BASES[0], count)}


def read_safetensors(folder: Path) -> dict[str, Tensor]:
    """Return the tensors of a folder's `model.safetensors`, or of the parts that its index names.

    Raises ValueError when a file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    index = folder / "model.safetensors.index.json"
    names = ["model.safetensors"]
    if index.is_file():
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    found: dict[str, Tensor] = {}
    for name in names:
        try:
            found |= load_file(folder / name)
        except (OSError, SafetensorError) as error:
            raise ValueError(f"{folder / name}: cannot be read ({error})") from error
    return found


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
