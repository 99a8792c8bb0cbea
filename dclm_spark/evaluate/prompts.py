"""Token ids that the reference evaluator would feed for a row (llm-foundry 0.9.0; spec 8.3)."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from dclm_spark.evaluate.datasets import Row, TaskData
from dclm_spark.evaluate.tasks import CHOICE, GENERATION, SCHEMA, Task
from dclm_spark.evaluate.tokens import PromptEncoder

# DCLM's file says seed 1, but that does not reach the draw.
FEWSHOT_SEED = 1234
MAX_SEQUENCE_TOKENS = 2048
EXTRA_REASONING_TOKENS = 10
EXAMPLE_SEPARATOR = "\n"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sequence to score: `tokens[start:]` is the continuation, `text` what it stands for."""

    tokens: tuple[int, ...]
    start: int
    text: str
    context_tokens_untrimmed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One question as fed to a model.

    `row` counts within the category, `file_row` within the file. Generation has one candidate
    with an empty continuation, and `answers`; the other kinds have `gold`, an index.
    """

    row: int
    file_row: int
    category: str | None
    fewshot: tuple[int, ...]
    candidates: tuple[Candidate, ...]
    gold: int = 0
    answers: tuple[str, ...] = ()


def draw_fewshot(rows: int, examples: int, seed: int = FEWSHOT_SEED) -> list[tuple[int, ...]]:
    """Return for every row the numbers of its examples, in prompt order.

    The order is the iteration order of a CPython set, and each draw depends on all before it,
    so this draws for all rows even when few are used.
    """
    generator = random.Random(seed)
    wanted = min(examples, rows - 1)
    draws = []
    for row in range(rows):
        chosen = set(generator.sample(range(rows), wanted))
        chosen.discard(row)
        while len(chosen) < wanted:
            replacement = generator.choice(range(rows))
            if replacement != row:
                chosen.add(replacement)
        draws.append(tuple(chosen))
    return draws


class TaskPrompts:
    """The prompts of one task for one tokenizer."""

    def __init__(
        self, data: TaskData, encoder: PromptEncoder, max_tokens: int = MAX_SEQUENCE_TOKENS
    ) -> None:
        self.task: Task = data.task
        self.rows = data.rows
        self.encoder = encoder
        self.max_tokens = max_tokens
        self.categories = data.categories()

    @cached_property
    def _draws(self) -> dict[str | None, list[tuple[int, ...]]]:
        return {
            category: draw_fewshot(len(members), self.task.fewshot)
            for category, members in self.categories.items()
        }

    @cached_property
    def max_new_tokens(self) -> int:
        """Return how many tokens a generated answer may have: the longest accepted one."""
        longest = self.encoder.longest_answer(
            self._with_reasoning(row, answer)
            for row in self.rows
            for answer in (row["answer"], *row.get("aliases", ()))
        )
        return longest + (EXTRA_REASONING_TOKENS if self.task.reasoning_delimiter else 0)

    def items(self, rows: Sequence[tuple[str | None, int]]) -> list[Item]:
        """Return the prompts of (category, row) pairs, whose texts are encoded together."""
        texts = (text for category, row in rows for text in self._texts(category, row))
        self.encoder.encode_ahead({self._preamble(*place) for place in rows}, texts)
        return [self.item(*place) for place in rows]

    def item(self, category: str | None, row: int) -> Item:
        """Return the prompt of row number `row` of `category`."""
        members = self.categories[category]
        source = self.rows[members[row]]
        fewshot = self._draws[category][row]
        preamble = self.encoder.preamble(self._preamble(category, row))
        is_generation = self.task.kind == GENERATION
        return Item(
            row=row,
            file_row=members[row],
            category=category,
            fewshot=fewshot,
            candidates=tuple(self._candidates(source, preamble, bool(fewshot))),
            gold=int(source.get("gold", 0)),
            answers=tuple(sorted(_accepted_answers(source))) if is_generation else (),
        )

    def _preamble(self, category: str | None, row: int) -> str:
        members = self.categories[category]
        examples = (self._example(self.rows[members[n]]) for n in self._draws[category][row])
        return EXAMPLE_SEPARATOR.join(examples)

    def _texts(self, category: str | None, row: int) -> Iterator[str]:
        """Yield what is encoded for a row beside its preamble."""
        source = self.rows[self.categories[category][row]]
        yield from self._questions(source, bool(self._draws[category][row]))
        yield from map(self.encoder.continuation, self._endings(source))

    def _candidates(self, row: Row, preamble: list[int], follows_examples: bool) -> list[Candidate]:
        questions = self._questions(row, follows_examples)
        contexts = [preamble + self.encoder.plain(question) for question in questions]
        if self.task.kind == GENERATION:
            return [self._prompt(context) for context in contexts]
        endings = self._endings(row)
        return [self._candidate(context, ending) for context in contexts for ending in endings]

    def _questions(self, row: Row, follows_examples: bool) -> list[str]:
        """Return what follows the preamble: one text, or one for each option of a schema."""
        lead = EXAMPLE_SEPARATOR if follows_examples else ""
        if self.task.kind == SCHEMA:
            return [lead + text for text in row["context_options"]]
        return [f"{lead}{self._asked(row)}{self.task.delimiter}".rstrip()]

    def _endings(self, row: Row) -> list[str]:
        """Return the continuations that a row's contexts may have."""
        if self.task.kind == GENERATION:
            return []
        return row["choices"] if self.task.kind == CHOICE else [row["continuation"]]

    def _candidate(self, context: list[int], ending: str) -> Candidate:
        text = self.encoder.continuation(ending)
        continuation = self.encoder.plain(text)
        kept = context[max(0, len(context) + len(continuation) - self.max_tokens) :]
        return Candidate((*kept, *continuation), len(kept), text, len(context))

    def _prompt(self, context: list[int]) -> Candidate:
        kept = context[-(self.max_tokens - self.max_new_tokens) :]
        return Candidate(tuple(kept), len(kept), "", len(context))

    def _asked(self, row: Row) -> str:
        text: str = row["query"] if self.task.kind == CHOICE else row["context"]
        return self.task.question_prefix + text

    def _example(self, row: Row) -> str:
        if self.task.kind == SCHEMA:
            return (
                f"{row['context_options'][row['gold']]}{self.task.delimiter}{row['continuation']}"
            )
        if self.task.kind == CHOICE:
            answer = row["choices"][row["gold"]]
        elif self.task.kind == GENERATION:
            answer = self._with_reasoning(row, row["answer"])
        else:
            answer = row["continuation"]
        return f"{self._asked(row)}{self.task.delimiter}{answer}"

    def _with_reasoning(self, row: Row, answer: str) -> str:
        reasoning = row.get("chain_of_thought", "")
        return f"{reasoning}{self.task.reasoning_delimiter}{answer}" if reasoning else answer


def _accepted_answers(row: Row) -> set[str]:
    return {row["answer"], *row.get("aliases", ())}
