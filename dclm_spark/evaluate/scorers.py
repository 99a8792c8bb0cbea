"""Scores and generates with our network, or with any Hugging Face causal language model."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from dclm_spark.evaluate.prompts import Candidate
from dclm_spark.evaluate.scoring import TokenScores
from dclm_spark.evaluate.speed.token_counts import COPIES, TokenCount
from dclm_spark.evaluate.tokens import Tokenizer
from dclm_spark.train.network import OpenLM

# Rows of the output head at a time: its vocabulary makes it the widest tensor.
HEAD_ROWS = 256
# Padded tokens at a time; on a GPU as many as take half of what weights leave, up to a limit beyond
# which small models are no faster.
BATCH_TOKENS, MOST_BATCH_TOKENS = 8192, 131_072
MEMORY_SHARE = 0.5
# The part of its device's memory that a process may count on, which those share that start it.
DEVICE_SHARE = "DCLM_SPARK_DEVICE_SHARE"
# The longest stop string spans fewer tokens than this.
STOP_TOKENS = 8


@dataclass
class Cache:
    """Keys and values of every layer [P, N, T, H], and which of the T places are real [P, T]."""

    is_real: Tensor | None = None
    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)

    def rows(self, index: Tensor) -> "Cache":
        """Return the cache of the sequences in `index`."""
        assert self.is_real is not None
        return Cache(
            self.is_real[index],
            [layer[index] for layer in self.keys],
            [layer[index] for layer in self.values],
        )

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int
    ) -> tuple[Tensor, Tensor]:
        """Append to a layer's keys and values and return all of them."""
        if layer_idx == len(self.keys):
            self.keys.append(key_states)
            self.values.append(value_states)
        else:
            for held, new in ((self.keys, key_states), (self.values, value_states)):
                held[layer_idx] = torch.cat((held[layer_idx], new), dim=2)
        return self.keys[layer_idx], self.values[layer_idx]


def fitting_tokens(model: OpenLM, memory_bytes: int) -> int:
    """Return how many padded tokens a device of so much memory takes at a time."""
    settings, weight = model.settings, model.tok_embeddings.weight
    dtype = model.activation_dtype or weight.dtype
    # Keys and values of a token, its copies for continuations, and these again as they grow.
    kept = 2 * settings.num_layers * settings.width * (1 + 2 * COPIES)
    token_bytes = (kept + 8 * settings.feed_forward_width) * dtype.itemsize
    left = memory_bytes - settings.num_parameters() * weight.dtype.itemsize
    fitting = int(left * MEMORY_SHARE) // token_bytes
    return max(BATCH_TOKENS, min(MOST_BATCH_TOKENS, fitting))


class OpenLMScorer:
    """A `Scorer` over `dclm_spark.train`'s model."""

    def __init__(self, model: OpenLM, tokenizer: Tokenizer, end_of_text_id: int = 0) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.end_of_text_id = end_of_text_id
        self.device = model.tok_embeddings.weight.device

    @property
    def batch_tokens(self) -> int:
        """Return so many padded tokens that what they need takes part of a GPU's memory."""
        if self.device.type != "cuda":
            return BATCH_TOKENS
        memory = torch.cuda.get_device_properties(self.device).total_memory
        share = float(os.environ.get(DEVICE_SHARE, "1"))
        return fitting_tokens(self.model, int(memory * share))

    @torch.inference_mode()
    def score(self, candidates: Sequence[Candidate]) -> list[TokenScores]:
        """Return the scores of each candidate's continuation, in order."""
        shared = TokenCount.of(candidates).shares_contexts
        states = self._shared_states(candidates) if shared else self._whole_states(candidates)
        return self._judge(states, [one.tokens[one.start :] for one in candidates])

    def padded_tokens(self, count: TokenCount) -> int:
        """Return how many tokens `score` computes for candidates so counted."""
        return count.fewest

    def _shared_states(self, candidates: Sequence[Candidate]) -> Tensor:
        """Return the states [P, D] that predict all continuations; each context is fed once."""
        contexts = [candidate.tokens[: candidate.start] for candidate in candidates]
        distinct = {context: place for place, context in enumerate(dict.fromkeys(contexts))}
        hidden, cache = self._extend(list(distinct), Cache())
        owner = torch.tensor([distinct[context] for context in contexts], device=self.device)
        last = torch.tensor([len(context) - 1 for context in contexts], device=self.device)
        first_states = hidden[owner, last]
        longer = [n for n, one in enumerate(candidates) if len(one.tokens) > one.start + 1]
        if not longer:
            return first_states
        endings = [candidates[n].tokens[candidates[n].start : -1] for n in longer]
        more, _ = self._extend(endings, cache.rows(owner[longer]))
        # The state behind a context, then those behind all tokens of an ending but the last.
        row = dict(zip(longer, range(len(longer)), strict=True))
        width, known = more.shape[1], len(candidates)
        places = []
        for n, one in enumerate(candidates):
            begin = known + row.get(n, 0) * width
            places += [n, *range(begin, begin + len(one.tokens) - one.start - 1)]
        return torch.cat((first_states, more.flatten(0, 1)))[self._index(places)]

    def _whole_states(self, candidates: Sequence[Candidate]) -> Tensor:
        """Return the states [P, D] that predict all continuations; each sequence is fed once."""
        fed = [candidate.tokens[:-1] for candidate in candidates]
        distinct = {tokens: place for place, tokens in enumerate(dict.fromkeys(fed))}
        hidden, _ = self._extend(list(distinct), None)
        places: list[int] = []
        for candidate, tokens in zip(candidates, fed, strict=True):
            begin = distinct[tokens] * hidden.shape[1]
            places += range(begin + candidate.start - 1, begin + len(tokens))
        return hidden.flatten(0, 1)[self._index(places)]

    def _index(self, places: list[int]) -> Tensor:
        return torch.tensor(places, device=self.device)

    @torch.inference_mode()
    def generate(
        self, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop_strings: Sequence[str]
    ) -> list[list[int]]:
        """Return greedy continuations; each may end early after a stop string or end of text."""
        new: list[list[int]] = [[] for _ in prompts]
        active = list(range(len(prompts)))
        hidden, cache = self._extend(prompts, Cache())
        last = torch.tensor([len(prompt) - 1 for prompt in prompts], device=self.device)
        states = hidden[torch.arange(len(prompts), device=self.device), last]
        for _ in range(max_new_tokens):
            tokens = self.model.head(states).argmax(dim=-1).tolist()
            for place, token in zip(active, tokens, strict=True):
                new[place].append(token)
            going = [n for n, p in enumerate(active) if not self._is_over(new[p], stop_strings)]
            if not going or len(new[active[0]]) == max_new_tokens:
                break
            if len(going) < len(active):
                active = [active[n] for n in going]
                cache = cache.rows(torch.tensor(going, device=self.device))
            hidden, cache = self._extend([new[place][-1:] for place in active], cache)
            states = hidden[:, 0]
        return new

    def _is_over(self, new: list[int], stop_strings: Sequence[str]) -> bool:
        if new[-1] == self.end_of_text_id:
            return True
        tail = self.tokenizer.decode(new[-STOP_TOKENS:]) if stop_strings else ""
        return any(stop in tail for stop in stop_strings)

    def _extend(
        self, sequences: Sequence[Sequence[int]], cache: Cache | None
    ) -> tuple[Tensor, Cache]:
        """Feed tokens after what `cache` holds, which grows by them; None keeps nothing of them.

        Returns states [R, S, D] behind the last layer, and the cache.
        """
        lengths = torch.tensor([len(sequence) for sequence in sequences], device=self.device)
        width = int(lengths.max())
        padded = [[*sequence, *[0] * (width - len(sequence))] for sequence in sequences]
        tokens = torch.tensor(padded, dtype=torch.int64, device=self.device)
        if cache is None:
            return self.model.states(tokens), Cache()
        is_real = torch.arange(width, device=self.device) < lengths[:, None]
        before = cache.is_real
        cache.is_real = is_real if before is None else torch.cat((before, is_real), dim=1)
        if before is None:
            # Plain causal attention does: padding is on the right.
            return self.model.states(tokens, cache=cache), cache
        positions = before.sum(dim=1)[:, None] + torch.arange(width, device=self.device)
        return self.model.states(tokens, _mask(is_real, before), positions, cache), cache

    def _judge(self, states: Tensor, targets: Sequence[Sequence[int]]) -> list[TokenScores]:
        """Return the scores of continuations whose tokens the states [P, D] predict in turn."""
        wanted = torch.tensor([t for of_one in targets for t in of_one], device=self.device)
        nats, greedy = [], []
        pieces = zip(torch.split(states, HEAD_ROWS), torch.split(wanted, HEAD_ROWS), strict=True)
        for some_states, some_wanted in pieces:
            logits = self.model.head(some_states)
            nats.append(functional.cross_entropy(logits, some_wanted, reduction="none"))
            greedy.append(logits.argmax(dim=-1) == some_wanted)
        ends = np.cumsum([len(of_one) for of_one in targets])[:-1]
        all_nats = np.split(torch.cat(nats).double().cpu().numpy(), ends)
        all_greedy = np.split(torch.cat(greedy).cpu().numpy(), ends)
        return [TokenScores(*pair) for pair in zip(all_nats, all_greedy, strict=True)]


def _mask(is_real: Tensor, before: Tensor) -> Tensor:
    """Return [R, 1, S, T]: each new place sees the real earlier ones and itself."""
    rows, width = is_real.shape
    causal = torch.ones(width, width, dtype=torch.bool, device=is_real.device).tril()
    new = causal.expand(rows, width, width)
    held = before[:, None].expand(rows, width, before.shape[1])
    return torch.cat((held, new), dim=2)[:, None]


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

    @property
    def batch_tokens(self) -> int:
        """Return what suits models of which nothing is known."""
        return BATCH_TOKENS

    def padded_tokens(self, count: TokenCount) -> int:
        """Return how many tokens `score` computes for candidates so counted."""
        return count.whole

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
