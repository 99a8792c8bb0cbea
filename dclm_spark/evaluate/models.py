"""Models by name: our runs and exports, OpenLM's files and folders, `hf:` and a name or folder."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from dclm_spark.errors import InputError
from dclm_spark.evaluate.scoring import Scorer
from dclm_spark.evaluate.tokens import PromptEncoder, Tokenizer
from dclm_spark.train.network import OpenLM
from udfs.tokens.special_ids import named_end_of_text

_END_OF_TEXT = "<|endoftext|>"
# fp32; tf32: products of fp32 numbers with 10 bits of mantissa, where a GPU has them; bf16: fp32
# weights, bf16 arithmetic; auto: bf16 on a GPU that has it, else fp32.
PRECISIONS = ("fp32", "tf32", "bf16", "auto")
# Folders that our own code reads, so that no code of theirs has to be trusted.
_OWN_KINDS = ("dclm_spark_openlm", "openlm")


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model ready to be scored; `fingerprint` changes when its weights or tokenizer do.

    `max_positions` is the longest sequence that it can read, None where nothing bounds it.
    `special_tokens` says whether prompts get those that the tokenizer adds. `precision` is one of
    PRECISIONS but auto; the fingerprint tells it, too.
    """

    name: str
    scorer: Scorer
    tokenizer: Tokenizer
    fingerprint: str
    end_of_text_id: int = 0
    max_positions: int | None = None
    special_tokens: bool = True
    precision: str = "fp32"

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
    return LoadedModel(name=name, special_tokens=special_tokens, **loaded)


def in_precision(model: LoadedModel, precision: str) -> LoadedModel:
    """Return the model with its arithmetic in one of PRECISIONS; InputError for another name.

    Ours keeps fp32 weights under bf16, others are cast.
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision = {precision}: expected one of {', '.join(PRECISIONS)}")
    if precision == "auto":
        precision = "bf16" if _has_bf16() else "fp32"
    if precision == "fp32":
        return model
    network = getattr(model.scorer, "model", None)
    if precision == "bf16" and isinstance(network, OpenLM):
        network.activation_dtype = torch.bfloat16
    elif precision == "bf16" and network is not None:
        network.to(torch.bfloat16)
    fingerprint = f"{model.fingerprint}-{precision}"
    return replace(model, precision=precision, fingerprint=fingerprint)


def _has_bf16() -> bool:
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported()


@contextmanager
def products(model: LoadedModel) -> Iterator[None]:
    """Compute the products of this block as the model's precision says, whatever ran before."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest" if model.precision == "fp32" else "high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _own(source: str, tokenizer: str | None, device: str, weights: str) -> dict[str, Any]:
    from dclm_spark.evaluate.scorers import OpenLMScorer
    from dclm_spark.train.model import load

    if not Path(source).exists():
        raise InputError(
            f"model = {source}: there is no such file or folder (give a run, a checkpoint, an "
            "export, an OpenLM file, or hf: and a name or folder)"
        )
    inside = Path(source) / "tokenizer.json"
    if tokenizer is None and not inside.is_file():
        raise InputError(
            f"model = {source}: give --tokenizer, the tokenizer.json that its tokens were made with"
        )
    file = tokenizer or str(inside)
    ours = read_tokenizer(file)
    model, _ = load(source, device=device, weights=weights)
    end = end_of_text_of(ours, _config(source).get("eos_token_id"))
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
    ours = _as_tokenizer(own) if tokenizer is None else read_tokenizer(tokenizer)
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


def end_of_text_of(tokenizer: Any, told: int | Sequence[int] | None = None) -> int:
    """Return the id that ends a text: by its usual name, as `told`, or by other names; else 0."""
    end = tokenizer.token_to_id(_END_OF_TEXT)
    if end is None:
        end = _first(_named_end(tokenizer) if told is None else told)
    return int(end)


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

    def encode_batch(self, input: list[str], *, add_special_tokens: bool = True) -> list[Any]:
        """Return the encoding of each text."""
        return [self.encode(text, add_special_tokens=add_special_tokens) for text in input]

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        """Return the text of `ids`."""
        return str(self._tokenizer.decode(ids, skip_special_tokens=skip_special_tokens))


def _as_tokenizer(tokenizer: Any) -> Any:
    fast = getattr(tokenizer, "backend_tokenizer", None)
    return _PythonTokenizer(tokenizer) if fast is None else _unpadded(fast)


def _unpadded(tokenizer: Any) -> Any:
    # Its file may ask for texts that are encoded together to be padded to one length.
    tokenizer.no_padding()
    return tokenizer


def read_tokenizer(path: str) -> Any:
    """Return a tokenizer.json; InputError where there is none."""
    from tokenizers import Tokenizer as FastTokenizer

    if not Path(path).is_file():
        raise InputError(f"tokenizer = {path}: no such file; give a tokenizer.json")
    try:
        return _unpadded(FastTokenizer.from_file(path))
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
