"""Models by name: our runs and exports, OpenLM's files and folders, `hf:` and a name or folder."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from dclm_spark.errors import InputError
from dclm_spark.evaluate.scoring import Scorer
from dclm_spark.evaluate.tokens import PromptEncoder, Tokenizer
from udfs.tokens.special_ids import named_end_of_text

_END_OF_TEXT = "<|endoftext|>"
# Folders that our own code reads, so that no code of theirs has to be trusted.
_OWN_KINDS = ("dclm_spark_openlm", "openlm")


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model ready to be scored; `fingerprint` changes when its weights or tokenizer do.

    `max_positions` is the longest sequence that it can read, None where nothing bounds it.
    `special_tokens` says whether prompts get those that the tokenizer adds.
    """

    name: str
    scorer: Scorer
    tokenizer: Tokenizer
    fingerprint: str
    end_of_text_id: int = 0
    max_positions: int | None = None
    special_tokens: bool = True

    @property
    def encoder(self) -> PromptEncoder:
        """Return the tokenizer as prompts use it."""
        return PromptEncoder(self.tokenizer, self.end_of_text_id, self.special_tokens)


def load_model(
    name: str, tokenizer: str | None = None, device: str | None = None, *, weights: str = "last",
    trust_remote_code: bool = False, special_tokens: bool = True,
) -> LoadedModel:  # fmt: skip
    """Load `name` in fp32, as the reference evaluates.

    `tokenizer` is a `tokenizer.json`; a folder may bring its own. `weights` of a run are its last
    or its averaged ones. Code that comes with a Hugging Face model runs only with
    `trust_remote_code`. Raises InputError for a model that cannot be read or has no tokenizer,
    ValueError for weights that it does not hold.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    source = name.removeprefix("hf:")
    if name.startswith("hf:") and (trust_remote_code or _kind(source) not in _OWN_KINDS):
        if weights != "last":
            raise InputError(f"model = {name}: weights = {weights!r}: it holds one set; take last")
        loaded = _hugging_face(name, tokenizer, device, trust_remote_code)
    else:
        loaded = _own(source, tokenizer, device, weights)
    fields = loaded | {"special_tokens": special_tokens, "name": name}
    return LoadedModel(**fields)


def _own(source: str, tokenizer: str | None, device: str, weights: str) -> dict[str, Any]:
    from dclm_spark.evaluate.scorers import OpenLMScorer
    from dclm_spark.train.model import load

    inside = Path(source) / "tokenizer.json"
    if tokenizer is None and not inside.is_file():
        raise InputError(
            f"model = {source}: give --tokenizer, the tokenizer.json that its tokens were made with"
        )
    file = tokenizer or str(inside)
    ours = _read_tokenizer(file)
    model, _ = load(source, device=device, weights=weights)
    end = ours.token_to_id(_END_OF_TEXT)
    if end is None:
        end = _first(_config(source).get("eos_token_id", _named_end(ours)))
    return {
        "scorer": OpenLMScorer(model, ours, end),
        "tokenizer": ours,
        "fingerprint": _fingerprint(model.state_dict(), file),
        "end_of_text_id": end,
    }


def _hugging_face(
    name: str, tokenizer: str | None, device: str, trust_remote_code: bool
) -> dict[str, Any]:
    try:
        import transformers
    except ImportError as error:
        raise InputError(f"model = {name}: pip install transformers") from error
    from dclm_spark.evaluate.scorers import HuggingFaceScorer

    source = name.removeprefix("hf:")
    options = {"trust_remote_code": trust_remote_code}
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            source, dtype=torch.float32, **options
        )
        own = None
        if tokenizer is None:
            own = transformers.AutoTokenizer.from_pretrained(source, **options)
    except (OSError, ValueError, ImportError) as error:
        advice = "" if trust_remote_code else " (its own code runs with --trust-remote-code)"
        raise InputError(f"model = {name}: {str(error).splitlines()[0]}{advice}") from error
    end = _first(model.config.eos_token_id if own is None else own.eos_token_id)
    ours = _as_tokenizer(own) if tokenizer is None else _read_tokenizer(tokenizer)
    return {
        "scorer": HuggingFaceScorer(model.to(device), ours, end),
        "tokenizer": ours,
        "fingerprint": _fingerprint(model.state_dict(), tokenizer),
        "end_of_text_id": end,
        "max_positions": getattr(model.config, "max_position_embeddings", None),
    }


def _kind(source: str) -> str | None:
    return _config(source).get("model_type")


def _config(source: str) -> dict[str, Any]:
    """Return a local folder's config.json; empty where there is none."""
    path = Path(source) / "config.json"
    try:
        found = json.loads(path.read_text()) if path.is_file() else {}
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error})") from error
    return dict(found)


def _first(ids: int | Sequence[int] | None) -> int:
    """Return the end-of-text id; of several, as chat models have them, the first."""
    if isinstance(ids, Sequence):
        ids = next(iter(ids), None)
    return ids or 0


def _named_end(tokenizer: Any) -> int | None:
    special = tokenizer.get_added_tokens_decoder()
    return named_end_of_text({token.content: index for index, token in special.items()})


class _PythonTokenizer:
    """A tokenizer of transformers without a `tokenizers` backend, in the form of one."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def encode(self, sequence: str, *, add_special_tokens: bool = True) -> Any:
        """Return an encoding whose `ids` are the tokens."""
        found = self._tokenizer(sequence, add_special_tokens=add_special_tokens)
        return SimpleNamespace(ids=found["input_ids"])

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        """Return the text of `ids`."""
        return str(self._tokenizer.decode(ids, skip_special_tokens=skip_special_tokens))


def _as_tokenizer(tokenizer: Any) -> Any:
    return getattr(tokenizer, "backend_tokenizer", None) or _PythonTokenizer(tokenizer)


def _read_tokenizer(path: str) -> Any:
    from tokenizers import Tokenizer as FastTokenizer

    if not Path(path).is_file():
        raise InputError(f"tokenizer = {path}: no such file; give a tokenizer.json")
    try:
        return FastTokenizer.from_file(path)
    except Exception as error:  # the library raises nothing narrower
        raise InputError(f"tokenizer = {path}: not a tokenizer.json ({error})") from error


def _fingerprint(weights: dict[str, torch.Tensor], tokenizer: str | None) -> str:
    """Hash shapes and sums of the weights: cheap, and different for every checkpoint."""
    digest = hashlib.sha256()
    for key, tensor in sorted(weights.items()):
        digest.update(f"{key} {tuple(tensor.shape)} {tensor.double().sum().item()!r}".encode())
    if tokenizer is not None:
        digest.update(Path(tokenizer).read_bytes())
    return digest.hexdigest()[:16]
