"""From settings to a network with weights: building, drawing the first weights, loading."""

import dataclasses
import math
import zlib
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from dclm_spark.train.distributed import Ranks
from dclm_spark.train.network import ModelSettings, OpenLM
from dclm_spark.train.scales import TrainSettings

# The weights of the last step, or their moving average (optimizer.average_decay).
WEIGHTS = ("last", "averaged")


def check_weights(name: str, value: str) -> None:
    """Raise ValueError unless the setting `name` is one of WEIGHTS."""
    if value not in WEIGHTS:
        raise ValueError(f"{name} = {value!r}: must be one of {WEIGHTS}")


def build(settings: ModelSettings, *, precision: str = "fp32") -> OpenLM:
    """Return the network on the meta device: shapes and dtypes, no memory."""
    with torch.device("meta"):
        model = OpenLM(settings)
    if precision == "bf16":
        model.to(torch.bfloat16)
    elif precision == "bf16-mixed":
        model.activation_dtype = torch.bfloat16
    return model


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


@torch.no_grad()
def initialize(model: OpenLM, *, seed: int) -> None:
    """Draw all weights (spec 7.2); the same values for any number of ranks.

    Each matrix is drawn whole in fp32 from its own stream and then cut, so the peak need beside
    the model is its largest matrix.
    """
    deviations = initial_deviations(model.settings)
    model.rotary.reset()
    for name, weight in model.named_parameters():
        if name not in deviations:
            nn.init.ones_(weight)
            continue
        generator = torch.Generator(weight.device).manual_seed(
            seed + (zlib.crc32(name.encode()) << 20)
        )
        whole = torch.empty(weight.shape, device=weight.device)
        limit = 3 * deviations[name]
        nn.init.trunc_normal_(whole, std=deviations[name], a=-limit, b=limit, generator=generator)
        assign(weight, whole)


@torch.no_grad()
def assign(weight: Tensor, whole: Tensor) -> None:
    """Copy a whole tensor into a weight that may be sharded over ranks."""
    whole = whole.to(device=weight.device, dtype=weight.dtype)
    if isinstance(weight, DTensor):
        # Every rank holds the whole tensor already: nothing is sent.
        whole = distribute_tensor(whole, weight.device_mesh, weight.placements, src_data_rank=None)
    weight.copy_(whole)


@torch.no_grad()
def take_weights(model: OpenLM, settings: TrainSettings, ranks: Ranks) -> None:
    """Fill `model` from `initial_weights`, which the first rank alone reads and sends around.

    Raises ValueError when they are of another architecture.
    """
    whole: dict[str, Tensor] = {}
    ranks.agreed(lambda: whole.update(_initial_weights(settings)))
    model.rotary.reset()
    for name, weight in model.named_parameters():
        value = whole.pop(name) if ranks.is_first else torch.empty(weight.shape)
        assign(weight.detach(), ranks.broadcast(value))


def _initial_weights(settings: TrainSettings) -> dict[str, Tensor]:
    given, _ = load(str(settings.initial_weights))
    had, has = given.settings, settings.model
    # A context is extended with longer sequences and a larger rotary base, never a smaller one.
    as_before = dataclasses.replace(
        has, sequence_length=had.sequence_length, rotary_base=had.rotary_base
    )
    if had != as_before or has.rotary_base < had.rotary_base:
        differing = ", ".join(
            f"model.{one.name} was {getattr(had, one.name)!r} and is {getattr(has, one.name)!r} now"
            for one in dataclasses.fields(had)
            if getattr(had, one.name) != getattr(has, one.name)
        )
        raise ValueError(
            f"initial_weights = {settings.initial_weights}: {differing}; only "
            "model.sequence_length may differ, and model.rotary_base be larger"
        )
    return dict(given.named_parameters())


def load(
    path: str | Path, *, device: str = "cpu", weights: str = "last"
) -> tuple[OpenLM, TrainSettings]:
    """Return the model (fp32, evaluation mode) and the settings of a trained or released model.

    `path` is a training run's output, one of its checkpoints, a Hugging Face folder written by
    `dclm_spark.train.export`, or an OpenLM `.pt` checkpoint. `model(tokens[B, S])` gives fp32
    logits [B, S, V]. `weights` is one of WEIGHTS; only runs and checkpoints hold averaged ones.
    Raises ValueError when the path is none of these, or has no such weights.
    """
    from dclm_spark.train import export, openlm
    from dclm_spark.train.checkpoints import checkpointer, folder

    check_weights("weights", weights)
    path = Path(path)
    is_export = path.is_file() or (path / "config.json").is_file()
    if is_export and weights != "last":
        raise ValueError(
            f"{path}: an export holds one set of weights; take weights = last, or export again "
            "from the training run with --weights averaged"
        )
    if path.is_file():
        model, settings = openlm.read_model(path)
    elif (path / "config.json").is_file():
        model, settings = export.read_folder(path)
    else:
        found = folder.resolve(path)
        model, settings = checkpointer.read_model(found, averaged=weights == "averaged")
    return model.to(device).eval().requires_grad_(False), settings


def with_vocabulary(settings: TrainSettings, vocabulary_size: int) -> TrainSettings:
    """Return `settings` with the vocabulary filled in from the shards unless it was given.

    Raises ValueError when the given one cannot hold the shards' token ids.
    """
    given = settings.model.vocabulary_size
    padded = -(-vocabulary_size // 256) * 256
    if given is not None and given < vocabulary_size:
        raise ValueError(
            f"model.vocabulary_size = {given}: the shards have {vocabulary_size} token ids; "
            f"pass --set model.vocabulary_size={padded} or take shards of the right tokenizer"
        )
    model = dataclasses.replace(settings.model, vocabulary_size=given or padded)
    return dataclasses.replace(settings, model=model)
