"""The slow, obvious way to score with logits: an oracle for the scorers of the product."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dclm_spark.evaluate.prompts import Candidate
from dclm_spark.evaluate.scoring import TokenScores
from dclm_spark.evaluate.speed.token_counts import TokenCount
from dclm_spark.evaluate.tokens import Tokenizer


class LogitModel(Protocol):
    """The least a model must offer to be scored."""

    end_of_text_id: int

    def logits(
        self, tokens: NDArray[np.int64], lengths: NDArray[np.int64], starts: NDArray[np.int64]
    ) -> list[NDArray[np.float32]]:
        """Return per sequence float32 [length - start, V]: row j predicts token start + j.

        `tokens` [B, S] is padded on the right.
        """


@dataclass(frozen=True)
class LogitScorer:
    """Scores with any `LogitModel`; generation feeds the whole sequence for every token."""

    model: LogitModel
    tokenizer: Tokenizer

    def score(self, candidates: Sequence[Candidate]) -> list[TokenScores]:
        """Return the scores of each candidate's continuation, in order."""
        starts = [candidate.start for candidate in candidates]
        logits = self._logits([candidate.tokens for candidate in candidates], starts)
        return [
            token_scores(rows, np.asarray(candidate.tokens[candidate.start :], dtype=np.int64))
            for rows, candidate in zip(logits, candidates, strict=True)
        ]

    def padded_tokens(self, count: TokenCount) -> int:
        """Return how many tokens `score` computes for candidates so counted."""
        return count.prompts

    def generate(
        self, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop_strings: Sequence[str]
    ) -> list[list[int]]:
        """Return greedy continuations; each may end early after a stop string or end of text."""
        return [self._continue(list(prompt), max_new_tokens, stop_strings) for prompt in prompts]

    def _continue(self, prompt: list[int], limit: int, stops: Sequence[str]) -> list[int]:
        new: list[int] = []
        while len(new) < limit:
            # A dummy token stands where the next one is to be predicted.
            sequence = [*prompt, *new, 0]
            token = int(self._logits([sequence], [len(sequence) - 1])[0][0].argmax())
            new.append(token)
            text = self.tokenizer.decode(new) if stops else ""
            if token == self.model.end_of_text_id or any(stop in text for stop in stops):
                break
        return new

    def _logits(
        self, sequences: Sequence[Sequence[int]], starts: Sequence[int]
    ) -> list[NDArray[np.float32]]:
        lengths = np.array([len(sequence) for sequence in sequences], dtype=np.int64)
        tokens = np.zeros((len(sequences), int(lengths.max())), dtype=np.int64)
        for row, sequence in zip(tokens, sequences, strict=True):
            row[: len(sequence)] = sequence
        return self.model.logits(tokens, lengths, np.array(starts, dtype=np.int64))


def token_scores(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> TokenScores:
    """Return the scores of `targets` [n] under `logits` [n, V], summed in double precision."""
    wide = logits.astype(np.float64)
    peak = wide.max(axis=1)
    normalizer = peak + np.log(np.exp(wide - peak[:, None]).sum(axis=1))
    nats = normalizer - wide[np.arange(len(targets)), targets]
    return TokenScores(nats, logits.argmax(axis=1) == targets)
