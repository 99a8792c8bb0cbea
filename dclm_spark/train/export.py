"""Hugging Face folders that load without this package, and weighted means of models."""

import dataclasses
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dclm_spark.train import openlm
from dclm_spark.train.model import load
from dclm_spark.train.network import ModelSettings, OpenLM
from dclm_spark.train.scales import TrainSettings
from udfs.tokens.special_ids import named_end_of_text

MODEL_TYPE = "dclm_spark_openlm"
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
_PREFIX, _BUFFER = "network.", "rotary.inverse_frequencies"
_SOURCES = ("modeling_openlm.py", "network.py", "attention_kernels.py", "losses.py")
_AUTO = {
    "AutoConfig": "modeling_openlm.OpenLMConfig",
    "AutoModelForCausalLM": "modeling_openlm.OpenLMForCausalLM",
}
_CARD = """---
library_name: transformers
pipeline_tag: text-generation
tags: [openlm, dclm-spark]
---
# {name}

A decoder-only language model of OpenLM's architecture: {parameters:,} weights, {layers} layers of
width {width}, {heads} heads, sequences of {length} tokens, a vocabulary of {vocabulary}.
{training}

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained(FOLDER, trust_remote_code=True)
tokenizer = AutoTokenizer.from_pretrained(FOLDER, trust_remote_code=True)
print(tokenizer.decode(model.generate(**tokenizer("Once", return_tensors="pt"))[0]))
```

It is a base model: it continues texts, and was trained neither to follow instructions nor to be
harmless. What it was trained on, its license and its evaluation are for its maker to add here.
"""


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """How an export is written."""

    # tokenizer.json that goes along.
    tokenizer: Path | None = None
    # None: what the tokenizer calls so, else 0.
    end_of_text_id: int | None = None
    # Of the weights: fp32 or bf16.
    dtype: str = "fp32"
    # No file of weights is larger, unless one weight is.
    max_file_bytes: int = 5_000_000_000

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype = {self.dtype!r}: must be one of {tuple(DTYPES)}")
        if self.tokenizer is not None and not self.tokenizer.is_file():
            raise ValueError(f"tokenizer = {self.tokenizer}: no such file; give a tokenizer.json")


_DEFAULT = ExportSettings()


def write_folder(
    model: OpenLM, output: Path, settings: ExportSettings = _DEFAULT,
    training: TrainSettings | None = None,
) -> Path:  # fmt: skip
    """Write `model` so that `AutoModelForCausalLM.from_pretrained(output, trust_remote_code=True)`
    gives equal logits; the network's own source goes along. `training` goes into the model card.
    """
    output.mkdir(parents=True, exist_ok=True)
    _write_weights(model, output, settings)
    ids = _token_ids(settings)
    _write_json(output / "config.json", _config(model, settings, ids))
    _write_json(output / "generation_config.json", ids)
    for name in _SOURCES:
        shutil.copy(Path(__file__).with_name(name), output / name)
    if settings.tokenizer is not None:
        _write_tokenizer(settings, output, model.settings.sequence_length)
    (output / "README.md").write_text(_card(model, output.name, training))
    return output


def read_folder(folder: Path) -> tuple[OpenLM, TrainSettings]:
    """Read a folder that `write_folder` wrote, or OpenLM's own hub form, without transformers."""
    config = json.loads((folder / "config.json").read_text())
    if config.get("model_type") == "openlm":
        return openlm.read_folder(folder)
    if "network" not in config:
        raise ValueError(
            f"{folder}: config.json is of model_type {config.get('model_type')!r}; give hf:{folder}"
        )
    settings = ModelSettings(**config["network"])
    model = OpenLM(settings)
    weights = openlm.read_safetensors(folder)
    own = {name.removeprefix(_PREFIX): value for name, value in weights.items()}
    # Other programs may have saved the frequencies in low precision; the settings give them all.
    openlm.load_weights(model, own | {_BUFFER: model.rotary.inverse_frequencies})
    return model, openlm.inference_settings(settings, name=f"export:{folder.name}")


@torch.no_grad()
def average_models(
    paths: Sequence[str | Path], shares: Sequence[float], *, weights: str = "last"
) -> tuple[OpenLM, TrainSettings]:
    """Return the weighted mean of several models' `weights` (the "soup" of spec 6.3).

    The settings are those of the first.
    """
    if len(paths) != len(shares) or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(
            f"shares = {tuple(shares)}: give one for each of the {len(paths)} models, with sum 1"
        )
    mean, settings = load(paths[0], weights=weights)
    sums = {name: weight * shares[0] for name, weight in mean.named_parameters()}
    for path, share in zip(paths[1:], shares[1:], strict=True):
        other, _ = load(path, weights=weights)
        if other.settings != mean.settings:
            raise ValueError(f"{path}: {other.settings} differs from {mean.settings}")
        for name, weight in other.named_parameters():
            sums[name] += weight * share
    for name, weight in mean.named_parameters():
        weight.copy_(sums[name])
    return mean, settings


def _write_weights(model: OpenLM, output: Path, settings: ExportSettings) -> None:
    from safetensors.torch import save_file

    dtype = DTYPES[settings.dtype]
    weights = {
        # Frequencies stay exact: the network rounds them itself where the reference does.
        _PREFIX + name: value.to(torch.float32 if name == _BUFFER else dtype).contiguous()
        for name, value in model.state_dict().items()
    }
    for stale in output.glob("model*.safetensors*"):
        stale.unlink()
    parts = list(_parts(weights, settings.max_file_bytes))
    files = {"model.safetensors": parts[0]}
    if len(parts) > 1:
        names = [f"model-{n:05d}-of-{len(parts):05d}.safetensors" for n in range(1, len(parts) + 1)]
        files = dict(zip(names, parts, strict=True))
        index = {
            "metadata": {"total_size": sum(w.nbytes for w in weights.values())},
            "weight_map": {name: file for file, part in files.items() for name in part},
        }
        _write_json(output / "model.safetensors.index.json", index)
    for file, part in files.items():
        path = output / file
        path.touch()
        mode = path.stat().st_mode
        save_file(part, path, metadata={"format": "pt"})
        # The library leaves its files to their owner alone.
        path.chmod(mode)


def _parts(weights: Mapping[str, Tensor], max_bytes: int) -> Iterator[dict[str, Tensor]]:
    part: dict[str, Tensor] = {}
    for name, weight in weights.items():
        if part and sum(w.nbytes for w in part.values()) + weight.nbytes > max_bytes:
            yield part
            part = {}
        part[name] = weight
    yield part


def _token_ids(settings: ExportSettings) -> dict[str, int | None]:
    """Return the ids of beginning and end of text and of padding, for which the end may serve."""
    ids, names = _vocabulary(settings), _token_names(settings)
    end = _end_of_text_id(settings)
    return {
        "bos_token_id": ids.get(names.get("bos_token", "")),
        "eos_token_id": end,
        "pad_token_id": ids.get(names.get("pad_token", ""), end),
    }


def _end_of_text_id(settings: ExportSettings) -> int:
    given = settings.end_of_text_id
    return given if given is not None else named_end_of_text(_vocabulary(settings)) or 0


def _vocabulary(settings: ExportSettings) -> dict[str, int]:
    """Return the special tokens of the tokenizer and their ids."""
    if settings.tokenizer is None:
        return {}
    facts = json.loads(settings.tokenizer.read_text("utf-8"))
    return {token["content"]: token["id"] for token in facts.get("added_tokens", [])}


def _token_names(settings: ExportSettings) -> dict[str, str]:
    names = {index: name for name, index in _vocabulary(settings).items()}
    end = names.get(_end_of_text_id(settings))
    if end is None:
        return {}
    padding = next((name for name in names.values() if "pad" in name.lower()), end)
    beginning = names.get(_added_beginning(settings), end)
    return {"eos_token": end, "pad_token": padding} | (
        {"bos_token": beginning} if beginning != end else {}
    )


def _added_beginning(settings: ExportSettings) -> int:
    """Return the token that the tokenizer sets before a text; -1 where it sets none."""
    from tokenizers import Tokenizer

    return next(iter(Tokenizer.from_file(str(settings.tokenizer)).encode("").ids), -1)


def _config(
    model: OpenLM, settings: ExportSettings, ids: Mapping[str, int | None]
) -> dict[str, Any]:
    return {
        "architectures": ["OpenLMForCausalLM"],
        "model_type": MODEL_TYPE,
        "auto_map": _AUTO,
        "network": dataclasses.asdict(model.settings),
        "dtype": str(DTYPES[settings.dtype]).removeprefix("torch."),
        **ids,
        "tie_word_embeddings": False,
    }


def _write_tokenizer(settings: ExportSettings, output: Path, sequence_length: int) -> None:
    assert settings.tokenizer is not None
    shutil.copy(settings.tokenizer, output / "tokenizer.json")
    names = _token_names(settings)
    facts = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": sequence_length,
        "model_input_names": ["input_ids", "attention_mask"],
        "clean_up_tokenization_spaces": False,
        "padding_side": "left",
        **names,
    }
    _write_json(output / "tokenizer_config.json", facts)
    _write_json(output / "special_tokens_map.json", names)


def _card(model: OpenLM, name: str, training: TrainSettings | None) -> str:
    settings, text = model.settings, ""
    if training is not None and training.optimizer.peak_rate > 0:
        text = (
            f"Trained at the scale {training.scale} on {training.last_step:,} steps of "
            f"{training.tokens_per_step:,} tokens, with a peak learning rate of "
            f"{training.optimizer.peak_rate:g}."
        )
    return _CARD.format(
        name=name,
        parameters=settings.num_parameters(),
        layers=settings.num_layers,
        width=settings.width,
        heads=settings.num_heads,
        length=settings.sequence_length,
        vocabulary=settings.vocabulary_size,
        training=text,
    )


def _write_json(path: Path, facts: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(facts, indent=1))
