"""Hugging Face folders that load without this package, and weighted means of models."""

import dataclasses
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dclm_spark.train.model import load
from dclm_spark.train.network import ModelSettings, OpenLM
from dclm_spark.train.openlm import inference_settings, load_weights
from dclm_spark.train.scales import TrainSettings

_WEIGHTS, _PREFIX = "model.safetensors", "network."
_SOURCES = ("modeling_openlm.py", "network.py")
_AUTO = {
    "AutoConfig": "modeling_openlm.OpenLMConfig",
    "AutoModelForCausalLM": "modeling_openlm.OpenLMForCausalLM",
}


def write_folder(
    model: OpenLM, output: Path, *, tokenizer: Path | None = None, end_of_text_id: int = 0
) -> Path:
    """Write `model` so that `AutoModelForCausalLM.from_pretrained(output, trust_remote_code=True)`
    gives equal logits; the network's own source goes along.
    """
    from safetensors.torch import save_file

    output.mkdir(parents=True, exist_ok=True)
    weights = {_PREFIX + name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(weights, output / _WEIGHTS, metadata={"format": "pt"})
    (output / "config.json").write_text(json.dumps(_config(model, end_of_text_id), indent=1))
    for name in _SOURCES:
        shutil.copy(Path(__file__).with_name(name), output / name)
    if tokenizer is not None:
        _write_tokenizer(tokenizer, output, model.settings.sequence_length)
    return output


def read_model(folder: Path) -> tuple[OpenLM, TrainSettings]:
    """Read a folder that `write_folder` wrote, without the transformers package."""
    from safetensors.torch import load_file

    config = json.loads((folder / "config.json").read_text())
    if "network" not in config:
        raise ValueError(f"{folder}: config.json has no network settings; not our export")
    settings = ModelSettings(**config["network"])
    model = OpenLM(settings)
    weights: Mapping[str, Tensor] = load_file(folder / _WEIGHTS)
    load_weights(model, {name.removeprefix(_PREFIX): value for name, value in weights.items()})
    return model, inference_settings(settings, name=f"export:{folder.name}")


@torch.no_grad()
def average_models(
    paths: Sequence[str | Path], shares: Sequence[float], *, weights: str = "last"
) -> OpenLM:
    """Return the weighted mean of several models' `weights` (the "soup" of spec 6.3)."""
    if len(paths) != len(shares) or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(
            f"shares = {tuple(shares)}: give one for each of the {len(paths)} models, with sum 1"
        )
    mean, _ = load(paths[0], weights=weights)
    sums = {name: weight * shares[0] for name, weight in mean.named_parameters()}
    for path, share in zip(paths[1:], shares[1:], strict=True):
        other, _ = load(path, weights=weights)
        if other.settings != mean.settings:
            raise ValueError(f"{path}: {other.settings} differs from {mean.settings}")
        for name, weight in other.named_parameters():
            sums[name] += weight * share
    for name, weight in mean.named_parameters():
        weight.copy_(sums[name])
    return mean


def _config(model: OpenLM, end_of_text_id: int) -> dict[str, Any]:
    return {
        "architectures": ["OpenLMForCausalLM"],
        "model_type": "dclm_spark_openlm",
        "auto_map": _AUTO,
        "network": dataclasses.asdict(model.settings),
        "dtype": str(next(model.parameters()).dtype).removeprefix("torch."),
        "bos_token_id": None,
        "eos_token_id": end_of_text_id,
        "tie_word_embeddings": False,
    }


def _write_tokenizer(tokenizer: Path, output: Path, sequence_length: int) -> None:
    shutil.copy(tokenizer, output / "tokenizer.json")
    facts = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|endoftext|>",
        "model_max_length": sequence_length,
    }
    (output / "tokenizer_config.json").write_text(json.dumps(facts, indent=1))
