"""How texts become token ids for a prompt: llm-foundry's rule for every kind of tokenizer.

Special tokens belong to the preamble alone (few-shot examples, or nothing: then a model with a
beginning-of-text token gets just that); a continuation gets a leading space only where the
tokenizer merges the space with the word (BPE), not where it marks words itself (SentencePiece).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol


class Tokenizer(Protocol):
    """What prompts need of a `tokenizers.Tokenizer`."""

    def encode(self, sequence: str, *, add_special_tokens: bool = True) -> Any:
        """Return an encoding whose `ids` are the tokens."""

    def encode_batch(self, input: list[str], *, add_special_tokens: bool = True) -> list[Any]:
        """Return the encoding of each text; on several cores where the tokenizer can."""

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        """Return the text of `ids`."""


@dataclass(frozen=True)
class PromptEncoder:
    """A tokenizer used by the reference's rule.

    `special_tokens` off leaves them out everywhere, for a model that was trained without the
    beginning-of-text token that its tokenizer adds.
    """

    tokenizer: Tokenizer
    end_of_text_id: int | None = None
    special_tokens: bool = True
    # Ids of texts that are asked for next, by whether special tokens were wanted.
    _ahead: dict[bool, dict[str, list[int]]] = field(
        default_factory=lambda: {False: {}, True: {}}, init=False, repr=False, compare=False
    )

    def encode_ahead(self, preambles: Iterable[str], texts: Iterable[str]) -> None:
        """Encode what is asked for next, all of it at once; what was encoded before is forgotten.

        One by one, on one core, the prompts of all tasks take longer than a small model on a GPU.
        """
        wanted: dict[bool, set[str]] = {False: set(texts), True: set()}
        wanted[self.special_tokens].update(preambles)
        for special_tokens, distinct in wanted.items():
            ids = self._encoded(list(distinct), special_tokens)
            self._ahead[special_tokens] = dict(zip(distinct, ids, strict=True))

    def _encoded(self, texts: list[str], special_tokens: bool) -> list[list[int]]:
        found = self.tokenizer.encode_batch(texts, add_special_tokens=special_tokens)
        return [list(one.ids) for one in found]

    def preamble(self, text: str) -> list[int]:
        """Return the ids of what stands first, with special tokens but no end of text behind."""
        ids = self._ids(text, self.special_tokens)
        if len(ids) > 1 and ids[-1] == self.end_of_text_id:
            ids.pop()
        return ids

    def plain(self, text: str) -> list[int]:
        """Return the ids of what follows the preamble."""
        return self._ids(text, False)

    def longest_answer(self, texts: Iterable[str]) -> int:
        """Return the tokens of the longest accepted answer as the reference counts them."""
        return max(map(len, self._encoded(list(set(texts)), self.special_tokens)))

    def continuation(self, text: str) -> str:
        """Return `text` as it follows a context: with a leading space if one is needed."""
        return f" {text}" if self._needs_space and not text.startswith(" ") else text

    def beginning(self) -> int:
        """Return the token that a text of its own starts after: beginning or end of text."""
        ids = self._ids("", self.special_tokens)
        return ids[0] if ids else self.end_of_text_id or 0

    @cached_property
    def _needs_space(self) -> bool:
        return len(self.plain(" a")) == 1

    def _ids(self, text: str, special_tokens: bool) -> list[int]:
        known = self._ahead[special_tokens].get(text)
        if known is not None:
            return list(known)
        return list(self.tokenizer.encode(text, add_special_tokens=special_tokens).ids)
