"""How texts become token ids for a prompt: llm-foundry's rule for every kind of tokenizer.

Special tokens belong to the preamble alone (few-shot examples, or nothing: then a model with a
beginning-of-text token gets just that); a continuation gets a leading space only where the
tokenizer merges the space with the word (BPE), not where it marks words itself (SentencePiece).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol


class Tokenizer(Protocol):
    """What prompts need of a `tokenizers.Tokenizer`."""

    def encode(self, sequence: str, *, add_special_tokens: bool = True) -> Any:
        """Return an encoding whose `ids` are the tokens."""

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

    def preamble(self, text: str) -> list[int]:
        """Return the ids of what stands first, with special tokens but no end of text behind."""
        ids = self._ids(text, self.special_tokens)
        if len(ids) > 1 and ids[-1] == self.end_of_text_id:
            ids.pop()
        return ids

    def plain(self, text: str) -> list[int]:
        """Return the ids of what follows the preamble."""
        return self._ids(text, False)

    def answer_length(self, text: str) -> int:
        """Return the length of an accepted answer as the reference counts it."""
        return len(self._ids(text, self.special_tokens))

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
        return list(self.tokenizer.encode(text, add_special_tokens=special_tokens).ids)
