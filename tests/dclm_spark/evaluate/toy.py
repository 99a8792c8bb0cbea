"""The documented toy model of the golden scores: integers only, no weights."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

VOCABULARY_SIZE = 50432
PRIME = 65537
_IDS = np.arange(VOCABULARY_SIZE, dtype=np.int64)


class ToyModel:
    """A `LogitModel`; with `peek` it looks at the true next token seven times in eight."""

    end_of_text_id = 0

    def __init__(self, peek: bool = False) -> None:
        self.peek = peek

    def logits(
        self, tokens: NDArray[np.int64], lengths: NDArray[np.int64], starts: NDArray[np.int64]
    ) -> list[NDArray[np.float32]]:
        return [
            self._sequence(row[:length].tolist(), int(start))
            for row, length, start in zip(tokens, lengths, starts, strict=True)
        ]

    def _sequence(self, tokens: list[int], start: int) -> NDArray[np.float32]:
        state, rows = 1, []
        last_seen: dict[int, int] = {}
        for place, token in enumerate(tokens[:-1]):
            state = (75 * state + token + 1) % PRIME
            if place >= start - 1:
                rows.append(toy_logits(state, token, tokens, last_seen))
                following = tokens[place + 1]
                if self.peek and (state + 31 * following) % 8:
                    rows[-1][following] += 32
            last_seen[token] = place
        return np.stack(rows)


def toy_logits(
    state: int, token: int, tokens: Sequence[int], last_seen: dict[int, int]
) -> NDArray[np.float32]:
    factor, offset = 1 + state % 65536, (257 * state + 12345) % PRIME
    row = (((factor * _IDS + offset) % PRIME) / 8192).astype(np.float32)
    if token in last_seen:
        row[tokens[last_seen[token] + 1]] += 16
    return row


def toy_generate(prompt: Sequence[int], max_new_tokens: int) -> list[int]:
    """Greedy tokens, with the state carried along; ends after end of text."""
    tokens, state = list(prompt), 1
    last_seen: dict[int, int] = {}
    for place, token in enumerate(tokens):
        state = (75 * state + token + 1) % PRIME
        if place < len(tokens) - 1:
            last_seen[token] = place
    while len(tokens) < len(prompt) + max_new_tokens:
        following = int(toy_logits(state, tokens[-1], tokens, last_seen).argmax())
        last_seen[tokens[-1]] = len(tokens) - 1
        tokens.append(following)
        state = (75 * state + following + 1) % PRIME
        if following == ToyModel.end_of_text_id:
            break
    return tokens[len(prompt) :]
