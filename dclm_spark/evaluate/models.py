"""Models by name: a run of our trainer, an OpenLM checkpoint, or `hf:` and a name or folder."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dclm_spark.errors import InputError
from dclm_spark.evaluate.prompts import Tokenizer
from dclm_spark.evaluate.scoring import Scorer


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model ready to be scored; `fingerprint` changes when its weights or tokenizer do."""

    name: str
    scorer: Scorer
    tokenizer: Tokenizer
    fingerprint: str
    end_of_text_id: int = 0


def load_model(
    name: str, tokenizer: str | None = None, device: str | None = None, *, weights: str = "last"
) -> LoadedModel:
    """Load `name` in fp32, as the reference evaluates.

    `tokenizer` is a `tokenizer.json`; a Hugging Face model may bring its own. `weights` of a run
    are its last or its averaged ones. Raises InputError for one of our models without a
    tokenizer, ValueError for weights that it does not hold.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("hf:"):
        if weights != "last":
            raise InputError(f"model = {name}: weights = {weights!r}: it holds one set; take last")
        return _hugging_face(name, tokenizer, device)
    if tokenizer is None:
        raise InputError(f"model = {name}: give the tokenizer.json that its tokens were made with")
    from dclm_spark.evaluate.scorers import OpenLMScorer
    from dclm_spark.train.model import load

    model, _ = load(name, device=device, weights=weights)
    ours = _read_tokenizer(tokenizer)
    end = ours.token_to_id("<|endoftext|>") or 0
    scorer = OpenLMScorer(model, ours, end)
    return LoadedModel(
        name=name,
        scorer=scorer,
        tokenizer=ours,
        fingerprint=_fingerprint(model.state_dict(), tokenizer),
        end_of_text_id=end,
    )


def _hugging_face(name: str, tokenizer: str | None, device: str) -> LoadedModel:
    try:
        import transformers
    except ImportError as error:
        raise InputError(f"model = {name}: pip install transformers") from error
    from dclm_spark.evaluate.scorers import HuggingFaceScorer

    source = name.removeprefix("hf:")
    model = transformers.AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    end = model.config.eos_token_id or 0
    if tokenizer is None:
        own = transformers.AutoTokenizer.from_pretrained(source).backend_tokenizer
    else:
        own = _read_tokenizer(tokenizer)
    scorer = HuggingFaceScorer(model.to(device), own, end)
    return LoadedModel(
        name=name,
        scorer=scorer,
        tokenizer=own,
        fingerprint=_fingerprint(model.state_dict(), tokenizer),
        end_of_text_id=end,
    )


def _read_tokenizer(path: str) -> Any:
    from tokenizers import Tokenizer as FastTokenizer

    if not Path(path).is_file():
        raise InputError(f"tokenizer = {path}: no such file; give a tokenizer.json")
    return FastTokenizer.from_file(path)


def _fingerprint(weights: dict[str, torch.Tensor], tokenizer: str | None) -> str:
    """Hash shapes and sums of the weights: cheap, and different for every checkpoint."""
    digest = hashlib.sha256()
    for key, tensor in sorted(weights.items()):
        digest.update(f"{key} {tuple(tensor.shape)} {tensor.double().sum().item()!r}".encode())
    if tokenizer is not None:
        digest.update(Path(tokenizer).read_bytes())
    return digest.hexdigest()[:16]
