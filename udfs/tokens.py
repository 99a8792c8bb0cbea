"""Token ids of texts: the exact ids of Hugging Face `tokenizers`, by a fast engine where it agrees.

Page text never becomes a special token. The tokenizer is loaded without its special added tokens
and without its post-processor, so a literal `<|endoftext|>` in a page is ordinary text and gets
the ids that byte-level BPE gives to those characters (`count_special_literals` counts them). The
added tokens that are not special, GPT-NeoX's runs of spaces, stay.
"""

import functools
import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from udfs.cache import fetch
from udfs.columns import Bytes, Offsets, utf8_buffers

LOGGER = logging.getLogger("dclm_spark")

ENGINES = ("auto", "tokenizers", "gigatoken")
LONGEST_SPACE_RUN = 24
END_OF_TEXT, PADDING = "<|endoftext|>", "<|padding|>"
_SLOW_BATCH_BYTES = 1 << 20

TokenIds = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]
# Encodes the texts data[offsets[i]:offsets[i + 1]] into ids and their int64 offsets.
Engine = Callable[[Bytes, Offsets], tuple[npt.NDArray[np.uint32], Offsets]]


@dataclass(frozen=True, kw_only=True)
class TokenizerSettings:
    """A Hugging Face tokenizer.json and the engine that runs it.

    `auto` takes gigatoken when it is installed and gives the reference's ids on the probe, else
    `tokenizers`; `gigatoken` makes either case an error.
    """

    # Spec 5.1: DCLM-BASELINE is tokenized with GPT-NeoX-20B's tokenizer.
    uri: str = "hf://EleutherAI/gpt-neox-20b/tokenizer.json"
    sha256: str | None = None
    engine: str = "auto"
    end_of_text: str = END_OF_TEXT


@dataclass(frozen=True)
class Encoder:
    """A loaded tokenizer. It belongs to the process that loaded it and cannot be pickled."""

    engine_name: str
    engine: Engine
    # One more than the largest id, special tokens included.
    vocabulary_size: int
    end_of_text_id: int
    special_literals: tuple[str, ...]


@functools.lru_cache(maxsize=2)
def load_encoder(settings: TokenizerSettings) -> Encoder:
    """Load the tokenizer of `settings`, once per process, and check the fast engine.

    ValueError when it is no tokenizer.json, lacks the end-of-text token, or the engine that was
    asked for is missing or inexact.
    """
    if settings.engine not in ENGINES:
        raise ValueError(
            f"tokenizer.engine: {settings.engine!r} is unknown; allowed are {', '.join(ENGINES)}"
        )
    try:
        description = json.loads(fetch(settings.uri, settings.sha256).read_bytes())
        added, vocabulary = description["added_tokens"], description["model"]["vocab"]
    except (ValueError, KeyError, TypeError) as error:
        if type(error) is ValueError:
            raise
        raise ValueError(f"{settings.uri}: not a Hugging Face tokenizer.json ({error})") from error
    ids = {token["content"]: token["id"] for token in added}
    if settings.end_of_text not in ids:
        raise ValueError(
            f"tokenizer.end_of_text: {settings.uri} has no added token {settings.end_of_text!r}; "
            f"it has {', '.join(repr(name) for name in ids if name.strip())}"
        )
    name, engine = _engine(settings, _without_special_tokens(description))
    return Encoder(
        engine_name=name,
        engine=engine,
        vocabulary_size=max(len(vocabulary), *(number + 1 for number in ids.values())),
        end_of_text_id=ids[settings.end_of_text],
        special_literals=tuple(token["content"] for token in added if token["special"]),
    )


def encode(texts: pa.Array | pa.ChunkedArray, encoder: Encoder) -> tuple[TokenIds, Offsets]:
    """Return (ids, offsets): text i has ids[offsets[i]:offsets[i + 1]], without end-of-text.

    Ids are uint16 where the vocabulary fits, else uint32. A null text has no ids.
    """
    data, offsets = utf8_buffers(texts)
    ids, token_offsets = encoder.engine(data, offsets)
    small = encoder.vocabulary_size <= 1 << 16
    return ids.astype(np.uint16) if small else ids, token_offsets


def count_special_literals(texts: pa.Array | pa.ChunkedArray, encoder: Encoder) -> int:
    """Return how often the texts spell a special token, which `encode` reads as plain text."""
    counts = (pc.sum(pc.count_substring(texts, name)).as_py() for name in encoder.special_literals)
    return sum(count or 0 for count in counts)


def tokenizer_fingerprint(settings: TokenizerSettings) -> str:
    """Return the SHA-256 of the tokenizer's file, its identity in manifests and checkpoints."""
    return hashlib.sha256(fetch(settings.uri, settings.sha256).read_bytes()).hexdigest()


def train_tokenizer(texts: Iterator[str], vocabulary_size: int) -> str:
    """Train a byte-level BPE tokenizer of GPT-NeoX's pipeline; return its tokenizer.json.

    NFC, byte-level pieces, added tokens for runs of 24 to 2 spaces; end-of-text is id 0 and
    padding id 1. The same texts give the same tokenizer. At most `vocabulary_size` ids.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers
    from tokenizers import pre_tokenizers, processors, trainers

    runs = [" " * length for length in range(LONGEST_SPACE_RUN, 1, -1)]
    smallest = 256 + 2 + len(runs)
    if vocabulary_size < smallest:
        raise ValueError(f"vocabulary_size: {vocabulary_size} is too small; give {smallest} or more")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size - len(runs),
        special_tokens=[END_OF_TEXT, PADDING],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(run, normalized=True) for run in runs])
    return str(tokenizer.to_str(pretty=False))


def probe_texts() -> list[str]:
    """Return about 200 short texts on which BPE engines are known to differ."""
    marks = ["e\u0301", "a\u0308\u0323", "\u1112\u1161\u11ab", "\u0915\u094d\u0937", "\ufb01", "\u212b"]
    spaces = [" " * n for n in (1, 2, 3, 7, 23, 24, 25, 26, 49)] + ["\u00a0", "\u00a0\u00a0 ", "\u3000"]
    breaks = ["\r\n", "\n\n\n", "\t\t", " \n ", "\n ", "\x0b\x0c", "\u2028", "\x85", "\x00"]
    emoji = ["\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "\u2764\ufe0f"]
    literals = [END_OF_TEXT, PADDING, "<|endof text|>", "<|endoftext", "|||EMAIL|||", "</s>"]
    scripts = ["naïve Straße", "Привет, мир", "日本語のテキスト", "مرحبا بالعالم", "שלום", "ภาษาไทย"]
    numbers = ["1234567890", "3.14e-10", "٣٤٥", "½²Ⅷ", "it's we'll I'VE 'd", "a_b-c/d\\e", "C++;//{}"]
    parts = [*marks, *spaces, *breaks, *emoji, *literals, *scripts, *numbers]
    shifted = parts[7:] + parts[:7]
    pairs = [f"{left}{right}" for left, right in zip(parts, shifted, strict=True)]
    words = [f"The {left} quick{right} fox " for left, right in zip(shifted, parts, strict=True)]
    return ["", *parts, *pairs, *words, *(f"{part}  {part}" for part in parts)]


def _without_special_tokens(description: dict[str, Any]) -> str:
    added = [token for token in description["added_tokens"] if not token["special"]]
    return json.dumps({**description, "added_tokens": added, "post_processor": None})


def _engine(settings: TokenizerSettings, description: str) -> tuple[str, Engine]:
    reference = _reference_engine(description)
    if settings.engine == "tokenizers":
        return "tokenizers", reference
    problem = "it is not installed (pip install gigatoken)"
    try:
        fast = _fast_engine(description)
    except ImportError:
        pass
    except Exception as error:
        problem = f"it cannot load {settings.uri}: {error}"
    else:
        if _agree(fast, reference):
            return "gigatoken", fast
        problem = f"its ids differ from those of `tokenizers` for {settings.uri}"
    if settings.engine == "gigatoken":
        raise ValueError(f"tokenizer.engine: gigatoken cannot be used, {problem}; use 'auto'")
    LOGGER.warning("tokenizer: gigatoken is not used, %s; `tokenizers` is 30 times slower", problem)
    return "tokenizers", reference


def _agree(first: Engine, second: Engine) -> bool:
    data, offsets = utf8_buffers(pa.array(probe_texts(), pa.large_string()))
    pairs = zip(first(data, offsets), second(data, offsets), strict=True)
    return all(np.array_equal(mine, theirs) for mine, theirs in pairs)


def _fast_engine(description: str) -> Engine:
    import awkward
    from gigatoken import Tokenizer

    tokenizer = Tokenizer.from_json(description)

    def run(data: Bytes, offsets: Offsets) -> tuple[npt.NDArray[np.uint32], Offsets]:
        if len(offsets) == 1:
            return np.zeros(0, np.uint32), np.zeros(1, np.int64)
        characters = awkward.contents.NumpyArray(data, parameters={"__array__": "char"})
        texts = awkward.contents.ListOffsetArray(
            awkward.index.Index64(offsets), characters, parameters={"__array__": "string"}
        )
        # One task, one core: Spark runs as many processes as there are cores.
        encoded = tokenizer.encode_batch(awkward.Array(texts), parallel=False)
        layout = awkward.to_packed(encoded).layout.to_ListOffsetArray64(start_at_zero=True)
        ids = np.asarray(layout.content.data, np.uint32)
        return ids, np.asarray(layout.offsets.data, np.int64)

    return run


def _reference_engine(description: str) -> Engine:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_str(description)
    except Exception as error:
        raise ValueError(f"`tokenizers` cannot load the tokenizer.json: {error}") from error

    def run(data: Bytes, offsets: Offsets) -> tuple[npt.NDArray[np.uint32], Offsets]:
        ids: list[npt.NDArray[np.uint32]] = [np.zeros(0, np.uint32)]
        counts = [0]
        for texts in _slices(data, offsets):
            for encoded in tokenizer.encode_batch_fast(texts, add_special_tokens=False):
                ids.append(np.array(encoded.ids, np.uint32))
                counts.append(len(encoded.ids))
        return np.concatenate(ids), np.cumsum(counts, dtype=np.int64)

    return run


def _slices(data: Bytes, offsets: Offsets) -> Iterator[list[str]]:
    """Yield the texts in lists of about a megabyte, since an encoding is 50 times its text."""
    first = 0
    while first < len(offsets) - 1:
        limit = offsets[first] + _SLOW_BATCH_BYTES
        last = max(first + 1, int(np.searchsorted(offsets, limit, "right")) - 1)
        bounds = zip(offsets[first:last], offsets[first + 1 : last + 1], strict=True)
        yield [data[start:end].tobytes().decode() for start, end in bounds]
        first = last
