"""Token ids of texts: `tokenizers` is the reference, a faster exact engine does the work.

Special tokens that stand literally in a page (`<|endoftext|>`) are encoded as ordinary text, never
as the special id.
"""

import json
import logging
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from udfs.checks import check, one_of
from udfs.storage.cache import fetch
from udfs.storage.reference import FileReference
from udfs.tokens.engines import Engine, FastEngine, Ids, Offsets, ReferenceEngine
from udfs.tokens.id_types import IdType, id_type

LOGGER = logging.getLogger(__name__)

ENGINES = ("auto", "tokenizers", "gigatoken")
NUM_PROBES = 200
_LONGEST_SPACE_RUN = 24

# The file at this commit; its ids are those of the reference's tokenizer (spec 5.1).
GPT_NEOX = "hf://EleutherAI/gpt-neox-20b@c292233c833e336628618a88a648727eb3dff0a7/tokenizer.json"
GPT_NEOX_SHA256 = "c24618a1b3e6a38167beff1c72cffd126c3a66254347304b50547d12c5f25624"


@dataclass(frozen=True, kw_only=True)
class TokenizerSettings(FileReference):
    """Which tokenizer.json to use, and what runs it.

    `engine` "auto" takes gigatoken when it is installed and gives the ids of `tokenizers` on the
    start-up probe, and `tokenizers` otherwise; the ids are the same with either.
    """

    # The tokenizer.json.
    uri: str = GPT_NEOX
    # What runs it; the ids are the same with any.
    engine: str = "auto"

    def __post_init__(self) -> None:
        check(self, engine=one_of(ENGINES))


def gpt_neox() -> TokenizerSettings:
    """Return the reference's tokenizer by commit and checksum."""
    return TokenizerSettings(uri=GPT_NEOX, sha256=GPT_NEOX_SHA256)


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """A loaded tokenizer; build it once per process with `load_encoder`."""

    reference: ReferenceEngine
    fast: Engine | None
    # By id.
    special_ids: dict[int, str]
    # Added tokens that stand for nothing but spaces, as GPT-NeoX has them.
    space_run_ids: frozenset[int]
    # One more than the highest id; a vocabulary may leave some out below it.
    vocabulary_size: int
    # Without added tokens.
    base_vocabulary_size: int

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """Return the special tokens as they would stand in a text, sorted."""
        return tuple(sorted(self.special_ids.values()))

    @property
    def id_type(self) -> IdType:
        """Return the type that stored ids have."""
        return id_type(self.vocabulary_size)

    def token_of(self, id: int) -> str | None:
        """Return the token with an id, None where there is none."""
        if not 0 <= id < self.vocabulary_size:
            return None
        token: str | None = self.reference.tokenizer.id_to_token(id)
        return token


def load_encoder(settings: TokenizerSettings) -> Encoder:
    """Return this process's encoder for a tokenizer, made on the first call.

    Raises ValueError when `engine` demands gigatoken but it is missing or gives other ids.
    """
    return _load(settings)


@cache
def _load(settings: TokenizerSettings) -> Encoder:
    path = fetch(settings.uri, settings.sha256)
    reference = ReferenceEngine(path)
    added = sorted(reference.tokenizer.get_added_tokens_decoder().items())
    return Encoder(
        reference=reference,
        fast=None if settings.engine == "tokenizers" else _fast(path, reference, settings.engine),
        special_ids={id: token.content for id, token in added if token.special},
        space_run_ids=frozenset(id for id, token in added if not token.content.strip(" ")),
        vocabulary_size=1 + max(reference.tokenizer.get_vocab().values(), default=-1),
        base_vocabulary_size=reference.tokenizer.get_vocab_size(with_added_tokens=False),
    )


def _fast(path: Path, reference: ReferenceEngine, engine: str) -> Engine | None:
    """Return gigatoken when it proves itself equal on the probe, None (with a warning) if not."""
    reason = ""
    try:
        fast = FastEngine(path)
        probe = [text.encode() for text in probe_texts()]
        ids, offsets = fast.encode(probe)
        expected, expected_offsets = reference.encode(probe)
        if np.array_equal(ids, expected) and np.array_equal(offsets, expected_offsets):
            return fast
        reason = "it gives other ids than tokenizers"
    except ImportError:
        reason = "it is not installed"
    except Exception as error:  # a young engine may refuse a tokenizer in any way it likes
        reason = f"it cannot load this tokenizer ({error})"
    if engine == "gigatoken":
        raise ValueError(
            f"tokens.tokenizer.engine = 'gigatoken': {reason}; use 'auto' or 'tokenizers'"
        )
    LOGGER.warning("gigatoken is not used, tokenization will be slow: %s", reason)
    return None


def encode(texts: pa.Array | pa.ChunkedArray, encoder: Encoder) -> tuple[Ids, Offsets]:
    """Return (ids, offsets): text i has ids[offsets[i]:offsets[i + 1]]; no special id among them.

    Null texts have no ids.
    """
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    texts = pc.fill_null(texts, "")
    data = texts.cast(pa.large_binary()).to_pylist()
    if encoder.fast is None:
        return encoder.reference.encode(data)
    literal = _has_special(texts, encoder.special_tokens)
    if not literal.any():
        return encoder.fast.encode(data)
    return _encode_mixed(data, literal, encoder)


def count_special_literals(texts: pa.Array, encoder: Encoder) -> int:
    """Return how often special tokens stand literally in the texts (they are neutralised)."""
    counts = [
        pc.sum(pc.count_substring(texts, token)).as_py() or 0 for token in encoder.special_tokens
    ]
    return int(sum(counts))


def _has_special(texts: pa.Array, special_tokens: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    found = np.zeros(len(texts), np.bool_)
    for token in special_tokens:
        found |= pc.match_substring(texts, token).to_numpy(zero_copy_only=False)
    return found


def _encode_mixed(
    data: list[bytes], literal: npt.NDArray[np.bool_], encoder: Encoder
) -> tuple[Ids, Offsets]:
    """Encode texts with literal special tokens by the reference, which can treat them as text."""
    assert encoder.fast is not None
    parts: list[Ids] = [np.zeros(0, np.uint32)] * len(data)
    for engine, wanted in ((encoder.fast, False), (encoder.reference, True)):
        rows = np.flatnonzero(literal == wanted)
        ids, offsets = engine.encode([data[row] for row in rows])
        for number, row in enumerate(rows):
            parts[row] = ids[offsets[number] : offsets[number + 1]]
    offsets = np.zeros(len(data) + 1, np.int64)
    np.cumsum([len(part) for part in parts], out=offsets[1:])
    return np.concatenate(parts), offsets


def probe_texts() -> list[str]:
    """Return the strings on which a fast engine must equal the reference, always the same ones."""
    rng = random.Random(20)
    pieces = [
        "The quick brown fox", " jumps", "\n", "\r\n", "\t", "\u00a0", "  ", " " * 7, " " * 30,
        "e\u0301", "\u1e9b\u0323", "\u00df", "don't", "I'LL", "3.14159", "1,000", "\u0967\u0968",
        "\u4f60\u597d", "\u3053\u3093", "\ud55c\uad6d", "\u0440\u0443\u0441", "\u05e9\u05dc",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "\u200b", "\ufeff",
        "https://a.example/b?c=d&e", "{x: [1, 2]}", "#hash", "...", "\u2026", "'s", "`", "\\n",
    ]  # fmt: skip
    texts = ["", " ", "\n\n", *pieces]
    while len(texts) < NUM_PROBES:
        texts.append("".join(rng.choices(pieces, k=rng.randint(2, 24))))
    return texts


def tokenizer_fingerprint(settings: TokenizerSettings) -> str:
    """Return the SHA-256 of the tokenizer.json."""
    import hashlib

    return hashlib.sha256(fetch(settings.uri, settings.sha256).read_bytes()).hexdigest()


def train_tokenizer(texts: Iterator[str], vocabulary_size: int) -> str:
    """Return the JSON of a byte-level BPE built like GPT-NeoX's (NFC, runs of spaces as tokens).

    Id 0 is `<|endoftext|>`, id 1 `<|padding|>`. The same texts give the same tokenizer.
    """
    from tokenizers import (
        AddedToken,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        trainers,
    )

    tokenizer: Any = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    runs = [" " * length for length in range(_LONGEST_SPACE_RUN, 1, -1)]
    trainer: Any = trainers.BpeTrainer(
        vocab_size=vocabulary_size - len(runs),
        special_tokens=["<|endoftext|>", "<|padding|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(run, normalized=True) for run in runs])
    return json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False)
