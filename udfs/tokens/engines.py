"""What turns texts into ids: the reference library, and a faster one of the same ids."""

import json
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.uint32]
Offsets = npt.NDArray[np.int64]


class Engine(Protocol):
    """Something that turns UTF-8 texts into ids, special tokens in the text included."""

    def encode(self, texts: list[bytes]) -> tuple[Ids, Offsets]:
        """Return all ids, and where each text's begin (one offset more than texts)."""
        ...


class ReferenceEngine:
    """The `tokenizers` library, which gives the ids that count."""

    def __init__(self, path: Path) -> None:
        from tokenizers import Tokenizer

        try:
            self.tokenizer: Any = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises nothing more specific
            raise ValueError(f"{path}: not a tokenizer.json ({error})") from None
        self.tokenizer.encode_special_tokens = True
        neutral = _without_special_words(path.read_text("utf-8"))
        self._for_texts = self.tokenizer if neutral is None else Tokenizer.from_str(neutral)

    def encode(self, texts: list[bytes]) -> tuple[Ids, Offsets]:
        """Return all ids, and where each text's begin."""
        found = self._for_texts.encode_batch_fast(
            [text.decode() for text in texts], add_special_tokens=False
        )
        ids = [np.array(encoding.ids, np.uint32) for encoding in found]
        offsets = np.zeros(len(texts) + 1, np.int64)
        np.cumsum([len(part) for part in ids], out=offsets[1:])
        return np.concatenate(ids) if ids else np.zeros(0, np.uint32), offsets


def _without_special_words(tokenizer: str) -> str | None:
    """Return a tokenizer.json whose model finds no special token in a text, None if it is so.

    Unigram models, and BPE that looks whole words up first, have special tokens among their words
    and would take "</s>" in a page for the end of the text. There they get a space, which no word
    has that a model is asked for.
    """
    facts = json.loads(tokenizer)
    model = facts["model"]
    if model.get("type") != "Unigram" and not model.get("ignore_merges"):
        return None
    special = {token["content"] for token in facts["added_tokens"] if token["special"]}
    words = model["vocab"]
    if isinstance(words, dict):
        model["vocab"] = {_hidden(word, special): id for word, id in words.items()}
    else:
        model["vocab"] = [[_hidden(word, special), score] for word, score in words]
    facts["added_tokens"] = [one for one in facts["added_tokens"] if not one["special"]]
    return json.dumps(facts | {"post_processor": None}, ensure_ascii=False)


def _hidden(word: str, special: set[str]) -> str:
    return f" {word}" if word in special else word


class FastEngine:
    """gigatoken, which knows BPE; see the self-check in `udfs.tokens.tokenizer`."""

    def __init__(self, path: Path) -> None:
        import gigatoken

        self._tokenizer: Any = gigatoken.Tokenizer(str(path))

    def encode(self, texts: list[bytes]) -> tuple[Ids, Offsets]:
        """Return all ids, and where each text's begin."""
        layout = self._tokenizer.encode_batch(texts, parallel=False).layout
        offsets = np.asarray(layout.offsets.data, np.int64)
        ids = np.asarray(layout.content.data, np.uint32)
        return ids[offsets[0] : offsets[-1]], offsets - offsets[0]
