"""From prompts to verdicts: what each of the four kinds of task counts as right (spec 8.3)."""

import re
import string
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dclm_spark.evaluate.prompts import Candidate, Item, TaskPrompts
from dclm_spark.evaluate.speed.token_counts import TokenCount
from dclm_spark.evaluate.tasks import EXACT, GENERATION, Task

_PUNCTUATION = dict.fromkeys(map(ord, string.punctuation + "‘’´`"), " ")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
# Blanks that tokenizers of the reference's time removed on decoding.
_JOINED = (
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
)


def normalize_answer(text: str) -> str:
    """Return lower-case words without punctuation and articles, single blanks between them."""
    words = text.replace("_", " ").lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", words).split())


def until_stop(text: str, stop_strings: Sequence[str]) -> str:
    """Return `text` up to the first of the stop strings."""
    for blank, joined in _JOINED:
        text = text.replace(blank, joined)
    ends = [text.find(stop) for stop in stop_strings]
    return text[: min((end for end in ends if end >= 0), default=len(text))]


def clean_output(text: str, stop_strings: Sequence[str], reasoning_delimiter: str) -> str:
    """Return the normal form of the answer in a generated text.

    Only what follows the last reasoning delimiter counts, all of it when there is none.
    """
    answer = until_stop(text, stop_strings)
    if reasoning_delimiter:
        answer = answer.rsplit(reasoning_delimiter, 1)[-1]
    return normalize_answer(answer)


def is_right(cleaned: str, answers: Iterable[str]) -> bool:
    """Tell whether the cleaned output starts with an accepted answer.

    So 15 is right where 1 is accepted, and anything where an answer normalizes to nothing.
    """
    return any(cleaned.startswith(normalize_answer(answer)) for answer in answers)


# Items are built, sorted by length and batched within windows of this many.
WINDOW_ITEMS = 512


@dataclass(frozen=True, slots=True)
class TokenScores:
    """Per continuation token: its loss in nats, and whether it is the most likely one."""

    nats: NDArray[np.float64]
    is_greedy: NDArray[np.bool_]


class Scorer(Protocol):
    """A model as the evaluator sees it."""

    @property
    def batch_tokens(self) -> int:
        """Return the padded tokens that suit the model's device, for one call of `score`."""

    def score(self, candidates: Sequence[Candidate]) -> list[TokenScores]:
        """Return the scores of each candidate's continuation, in order."""

    def padded_tokens(self, count: TokenCount) -> int:
        """Return how many tokens `score` computes for candidates so counted, padding and all."""

    def generate(
        self, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop_strings: Sequence[str]
    ) -> list[list[int]]:
        """Return greedy continuations; each may end early after a stop string or end of text."""


def score_rows(
    scorer: Scorer, prompts: TaskPrompts, rows: Sequence[tuple[str | None, int]],
    batch_tokens: int | None = None,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Yield one plain record per (category, row), in no set order; see `choice_record` and others.

    `batch_tokens` bounds the padded tokens that one call of the scorer computes; None leaves them
    to the scorer.
    """
    for records in score_windows(scorer, prompts, rows, batch_tokens):
        yield from records


def score_windows(
    scorer: Scorer, prompts: TaskPrompts, rows: Sequence[tuple[str | None, int]],
    batch_tokens: int | None = None,
) -> Iterator[list[dict[str, Any]]]:  # fmt: skip
    """Yield the records of `score_rows` for each window of rows.

    The prompts of the next window are made while one is scored.
    """
    windows = [rows[at : at + WINDOW_ITEMS] for at in range(0, len(rows), WINDOW_ITEMS)]
    with ThreadPoolExecutor(1) as maker:
        following = (maker.submit(prompts.items, window) for window in windows)
        made = next(following, None)
        while made is not None:
            items, made = made.result(), next(following, None)
            yield list(_scored(scorer, prompts, items, batch_tokens or scorer.batch_tokens))


def _scored(
    scorer: Scorer, prompts: TaskPrompts, items: list[Item], batch_tokens: int
) -> Iterator[dict[str, Any]]:
    items.sort(key=_longest)
    is_generation = prompts.task.kind == GENERATION
    tokens_of = _prompt_tokens if is_generation else scorer.padded_tokens
    for batch in _batches(items, batch_tokens, tokens_of):
        if is_generation:
            yield from _generation_records(scorer, prompts, batch)
        else:
            yield from _scored_records(scorer, prompts.task, batch)


def _longest(item: Item) -> int:
    return max(len(candidate.tokens) for candidate in item.candidates)


def _batches(
    items: Sequence[Item], batch_tokens: int, tokens_of: Callable[[TokenCount], int]
) -> Iterator[list[Item]]:
    """Split items sorted by length, so that `tokens_of` a batch's candidates are within limits."""
    batch: list[Item] = []
    count = TokenCount()
    for item in items:
        for candidate in item.candidates:
            count.add(candidate)
        if batch and tokens_of(count) > batch_tokens:
            yield batch
            batch, count = [], TokenCount.of(item.candidates)
        batch.append(item)
    if batch:
        yield batch


def _prompt_tokens(count: TokenCount) -> int:
    return count.prompts


def _scored_records(scorer: Scorer, task: Task, batch: list[Item]) -> Iterator[dict[str, Any]]:
    # Equal choices must tie exactly, so each distinct sequence is scored once.
    distinct = {candidate: 0 for item in batch for candidate in item.candidates}
    scores = dict(zip(distinct, scorer.score(list(distinct)), strict=True))
    for item in batch:
        of_item = [scores[candidate] for candidate in item.candidates]
        yield exact_record(item, of_item[0]) if task.kind == EXACT else choice_record(item, of_item)


def choice_record(item: Item, scores: Sequence[TokenScores]) -> dict[str, Any]:
    """Judge multiple choice and schema: the lowest mean loss wins, at a tie the first."""
    mean_nats = [float(score.nats.mean()) for score in scores]
    pick = int(np.argmin(mean_nats))
    return {
        **_place(item),
        "ok": int(pick == item.gold),
        "pick": pick,
        "gold": item.gold,
        "mean_nats": mean_nats,
        "tokens": [len(score.nats) for score in scores],
        "bytes": [len(candidate.text.encode()) for candidate in item.candidates],
    }


def exact_record(item: Item, score: TokenScores) -> dict[str, Any]:
    """Judge language modeling: every continuation token must be the most likely one."""
    return {
        **_place(item),
        "ok": int(score.is_greedy.all()),
        "gold": 0,
        "mean_nats": [float(score.nats.mean())],
        "tokens": [len(score.nats)],
        "bytes": [len(item.candidates[0].text.encode())],
        "hits": int(score.is_greedy.sum()),
    }


def generation_record(task: Task, item: Item, text: str) -> dict[str, Any]:
    """Judge a generated answer: its normal form must start with that of an accepted one."""
    output = until_stop(text, task.stop_strings)
    cleaned = clean_output(output, task.stop_strings, task.reasoning_delimiter)
    return {**_place(item), "ok": int(is_right(cleaned, item.answers)), "output": output}


def _generation_records(
    scorer: Scorer, prompts: TaskPrompts, batch: list[Item]
) -> Iterator[dict[str, Any]]:
    task = prompts.task
    outputs = scorer.generate(
        [item.candidates[0].tokens for item in batch], prompts.max_new_tokens, task.stop_strings
    )
    for item, output in zip(batch, outputs, strict=True):
        yield generation_record(task, item, prompts.encoder.tokenizer.decode(output))


def _place(item: Item) -> dict[str, Any]:
    return {"row": item.row, "file_row": item.file_row, "category": item.category}
