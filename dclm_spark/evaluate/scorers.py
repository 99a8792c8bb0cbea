"""Scores and generates with any Hugging Face causal language model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from dclm_spark.evaluate.prompts import Candidate, Tokenizer
from dclm_spark.evaluate.scoring import TokenScores
from dclm_spark.train.network import Attention, Block, OpenLM, rotate

# Rows of the output head at a time: its vocabulary makes it the widest tensor.
HEAD_ROWS = 256
# The longest stop string spans fewer tokens than this.
STOP_TOKENS = 8


@dataclass
class Cache:
    """Keys and values of every layer [P, T, N, H], and which of the T places are real [P, T]."""

    keys: list[Tensor]
    values: list[Tensor]
    is_real: Tensor

    def rows(self, index: Tensor) -> "Cache":
        """Return the cache of the sequences in `index`."""
        return Cache(
            [layer[index] for layer in self.keys],
            [layer[index] for layer in self.values],
            self.is_real[index],
        )


class OpenLMScorer:
    """A `Scorer` over `dclm_spark.train`'s model."""

    def __init__(self, model: OpenLM, tokenizer: Tokenizer, end_of_text_id: int = 0) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.end_of_text_id = end_of_text_id
        self.device = model.tok_embeddings.weight.device

    @torch.inference_mode()
    def score(self, candidates: Sequence[Candidate]) -> list[TokenScores]:
        """Return the scores of each candidate's continuation, in order."""
        contexts = [candidate.tokens[: candidate.start] for candidate in candidates]
        distinct = {context: place for place, context in enumerate(dict.fromkeys(contexts))}
        hidden, cache = self._extend(list(distinct), None)
        owner = torch.tensor([distinct[context] for context in contexts], device=self.device)
        last = torch.tensor([len(context) - 1 for context in contexts], device=self.device)
        rows = [[row] for row in hidden[owner, last]]
        longer = [n for n, one in enumerate(candidates) if len(one.tokens) > one.start + 1]
        if longer:
            endings = [candidates[n].tokens[candidates[n].start : -1] for n in longer]
            more, _ = self._extend(endings, cache.rows(owner[longer]))
            for n, states, ending in zip(longer, more, endings, strict=True):
                rows[n].extend(states[: len(ending)])
        return self._judge(rows, [one.tokens[one.start :] for one in candidates])

    @torch.inference_mode()
    def generate(
        self, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop_strings: Sequence[str]
    ) -> list[list[int]]:
        """Return greedy continuations; each may end early after a stop string or end of text."""
        new: list[list[int]] = [[] for _ in prompts]
        active = list(range(len(prompts)))
        hidden, cache = self._extend(prompts, None)
        last = torch.tensor([len(prompt) - 1 for prompt in prompts], device=self.device)
        states = hidden[torch.arange(len(prompts), device=self.device), last]
        for _ in range(max_new_tokens):
            tokens = self._head(states).argmax(dim=-1).tolist()
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
        self, sequences: Sequence[Sequence[int]], before: Cache | None
    ) -> tuple[Tensor, Cache]:
        """Feed tokens after what `before` holds; return hidden states [R, S, D] and the cache."""
        lengths = torch.tensor([len(sequence) for sequence in sequences], device=self.device)
        width = int(lengths.max())
        padded = [[*sequence, *[0] * (width - len(sequence))] for sequence in sequences]
        tokens = torch.tensor(padded, dtype=torch.int64, device=self.device)
        is_real = torch.arange(width, device=self.device) < lengths[:, None]
        offsets = torch.zeros_like(lengths) if before is None else before.is_real.sum(dim=1)
        positions = offsets[:, None] + torch.arange(width, device=self.device)
        mask = _mask(is_real, before)
        hidden = self.model.tok_embeddings(tokens)
        hidden = hidden.to(self.model.activation_dtype or hidden.dtype)
        cosine, sine = self.model.rotary(int(positions.max()) + 1, hidden.dtype)
        cosine, sine = cosine[positions], sine[positions]
        cache = Cache([], [], is_real)
        if before is not None:
            cache.is_real = torch.cat((before.is_real, is_real), dim=1)
        for number, layer in enumerate(self.model.layers):
            held = None if before is None else (before.keys[number], before.values[number])
            hidden = _layer(cast("Block", layer), hidden, cosine, sine, mask, held, cache)
        return hidden, cache

    def _head(self, states: Tensor) -> Tensor:
        return cast("Tensor", self.model.output(self.model.norm(states)).float())

    def _judge(
        self, rows: list[list[Tensor]], targets: Sequence[Sequence[int]]
    ) -> list[TokenScores]:
        states = torch.stack([state for of_one in rows for state in of_one])
        wanted = torch.tensor([t for of_one in targets for t in of_one], device=self.device)
        nats, greedy = [], []
        pieces = zip(torch.split(states, HEAD_ROWS), torch.split(wanted, HEAD_ROWS), strict=True)
        for some_states, some_wanted in pieces:
            logits = self._head(some_states)
            nats.append(functional.cross_entropy(logits, some_wanted, reduction="none"))
            greedy.append(logits.argmax(dim=-1) == some_wanted)
        ends = np.cumsum([len(of_one) for of_one in rows])[:-1]
        all_nats = np.split(torch.cat(nats).double().cpu().numpy(), ends)
        all_greedy = np.split(torch.cat(greedy).cpu().numpy(), ends)
        return [TokenScores(*pair) for pair in zip(all_nats, all_greedy, strict=True)]


def _mask(is_real: Tensor, before: Cache | None) -> Tensor | None:
    """Return [R, 1, S, T]: each new place sees the real earlier ones and itself.

    With nothing before, plain causal attention (None) does: padding is on the right.
    """
    if before is None:
        return None
    rows, width = is_real.shape
    causal = torch.ones(width, width, dtype=torch.bool, device=is_real.device).tril()
    new = causal.expand(rows, width, width)
    held = before.is_real[:, None].expand(rows, width, before.is_real.shape[1])
    return torch.cat((held, new), dim=2)[:, None]


def _layer(
    layer: Block,
    hidden: Tensor,
    cosine: Tensor,
    sine: Tensor,
    mask: Tensor | None,
    held: tuple[Tensor, Tensor] | None,
    cache: Cache,
) -> Tensor:
    attention: Attention = layer.attention
    rows, width, channels = hidden.shape
    heads = (rows, width, -1, attention.head_width)
    q, k, v = attention.in_proj(layer.attention_norm(hidden)).split(channels, dim=-1)
    queries = rotate(attention.q_norm(q).view(heads), cosine, sine)
    keys = rotate(attention.k_norm(k).view(heads), cosine, sine)
    values = v.view(heads)
    if held is not None:
        keys, values = torch.cat((held[0], keys), dim=1), torch.cat((held[1], values), dim=1)
    cache.keys.append(keys)
    cache.values.append(values)
    mixed = functional.scaled_dot_product_attention(
        queries.transpose(1, 2),
        keys.transpose(1, 2),
        values.transpose(1, 2),
        attn_mask=mask,
        is_causal=mask is None,
    )
    hidden = hidden + attention.out_proj(mixed.transpose(1, 2).reshape(hidden.shape))
    return cast("Tensor", hidden + layer.feed_forward(layer.ffn_norm(hidden)))


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
