"""Scores and generates with any Hugging Face causal language model."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional

from dclm_spark.evaluate.prompts import Candidate, Tokenizer
from dclm_spark.evaluate.scoring import TokenScores


class HuggingFaceScorer:
    """A `Scorer` over `transformers`; choices of one token share one pass over their context."""

    def __init__(self, model: Any, tokenizer: Tokenizer, end_of_text_id: int = 0) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.end_of_text_id = end_of_text_id

    @torch.inference_mode()
    def score(self, candidates: Sequence[Candidate]) -> list[TokenScores]:
        """Return the scores of each candidate's continuation, in order."""
        fed = [candidate.tokens[:-1] for candidate in candidates]
        distinct = {tokens: place for place, tokens in enumerate(dict.fromkeys(fed))}
        width = max(map(len, distinct))
        padded = [[*tokens, *[0] * (width - len(tokens))] for tokens in distinct]
        inputs = torch.tensor(padded, device=self.model.device)
        # Right padding needs no mask in a causal model: no real place sees it.
        logits = self.model(input_ids=inputs).logits
        scores = []
        for candidate, tokens in zip(candidates, fed, strict=True):
            rows = logits[distinct[tokens], candidate.start - 1 : len(tokens)].float()
            targets = torch.tensor(candidate.tokens[candidate.start :], device=rows.device)
            nats = functional.cross_entropy(rows, targets, reduction="none").double()
            greedy = rows.argmax(dim=-1) == targets
            scores.append(TokenScores(nats.cpu().numpy(), np.asarray(greedy.cpu().numpy())))
        return scores

    @torch.inference_mode()
    def generate(
        self, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop_strings: Sequence[str]
    ) -> list[list[int]]:
        """Return greedy continuations; each may end early after a stop string or end of text."""
        width = max(map(len, prompts))
        padded = [[0] * (width - len(prompt)) + list(prompt) for prompt in prompts]
        real = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]

        def stops(sequences: torch.Tensor, _: Any, **__: Any) -> torch.Tensor:
            over = [self._has_stop(row[width:].tolist(), stop_strings) for row in sequences]
            return torch.tensor(over, device=sequences.device)

        output = self.model.generate(
            input_ids=torch.tensor(padded, device=self.model.device),
            attention_mask=torch.tensor(real, device=self.model.device),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            eos_token_id=self.end_of_text_id,
            pad_token_id=self.end_of_text_id,
            stopping_criteria=[stops],
        )
        return [row[width:].tolist() for row in output]

    def _has_stop(self, new: list[int], stop_strings: Sequence[str]) -> bool:
        text = self.tokenizer.decode(new) if stop_strings else ""
        return any(stop in text for stop in stop_strings)
