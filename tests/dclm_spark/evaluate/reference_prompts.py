"""llm-foundry 0.9.0's way from rows to token ids, written anew as plainly as possible.

An oracle for `dclm_spark.evaluate.prompts`: strings are built as the reference builds them, one
example after the other, and cut last.
"""

import random
from collections.abc import Iterator
from typing import Any

from tokenizers import Tokenizer

from dclm_spark.evaluate.tasks import CHOICE, EXACT, GENERATION, SCHEMA, Task

Row = dict[str, Any]
MAX_TOKENS = 2048


class Reference:
    """One task over the rows of one category."""

    def __init__(self, task: Task, rows: list[Row], tokenizer: Tokenizer, end: int) -> None:
        self.task, self.rows, self.end = task, rows, end
        self.tokenizer = tokenizer
        self.prefix_space = len(self.ids(" a")) == 1

    def ids(self, text: str, special: bool = False) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=special).ids

    def items(self) -> Iterator[list[tuple[list[int], int]]]:
        """Yield per row its sequences and where the continuation starts in each."""
        generator = random.Random(1234)
        longest = self.max_new_tokens() if self.task.kind == GENERATION else 0
        for number, row in enumerate(self.rows):
            text = ""
            if self.task.fewshot:
                for chosen in self.drawn(number, generator):
                    text += self.context(self.rows[chosen], text, answered=True)
            preamble = self.ids(text, special=True)
            if len(preamble) > 1 and preamble[-1] == self.end:
                preamble = preamble[:-1]
            yield list(self.sequences(row, text, preamble, longest))

    def drawn(self, number: int, generator: random.Random) -> set[int]:
        size = len(self.rows)
        chosen = set(generator.sample(range(size), min(size - 1, self.task.fewshot)))
        if number in chosen:
            chosen.remove(number)
            if len(chosen) >= size - 1:
                return chosen
            other = generator.choice(range(size))
            while other in chosen or other == number:
                other = generator.choice(range(size))
            chosen.add(other)
        return chosen

    def context(self, row: Row, before: str, answered: bool) -> str:
        task = self.task
        if task.kind == SCHEMA:
            question = row["context_options"][row["gold"]]
        else:
            question = row["query"] if task.kind == CHOICE else row["context"]
        text = f"{task.question_prefix}{question}"
        text = f"\n{text}" if before else text
        return f"{text}{task.delimiter}{self.answer(row) if answered else ''}"

    def answer(self, row: Row) -> str:
        if self.task.kind == CHOICE:
            return str(row["choices"][row["gold"]])
        if self.task.kind == GENERATION:
            return self.reasoned(row, row["answer"])
        return str(row["continuation"])

    def reasoned(self, row: Row, answer: str) -> str:
        thought = row.get("chain_of_thought", "")
        return f"{thought}{self.task.reasoning_delimiter}{answer}" if thought else answer

    def spaced(self, ending: str) -> str:
        return f" {ending}" if self.prefix_space and not ending.startswith(" ") else ending

    def max_new_tokens(self) -> int:
        lengths = [
            len(self.ids(self.reasoned(row, one), special=True))
            for row in self.rows
            for one in [row["answer"], *row.get("aliases", [])]
        ]
        return max(lengths) + (10 if self.task.reasoning_delimiter else 0)

    def sequences(
        self, row: Row, before: str, preamble: list[int], longest: int
    ) -> Iterator[tuple[list[int], int]]:
        if self.task.kind == SCHEMA:
            lead = "\n" if before else ""
            contexts = [preamble + self.ids(lead + one) for one in row["context_options"]]
            endings = [row["continuation"]] * len(contexts)
        else:
            asked = self.context(row, before, answered=False).rstrip()
            context = preamble + self.ids(asked)
            if self.task.kind == GENERATION:
                kept = context[-(MAX_TOKENS - longest) :]
                yield kept, len(kept)
                return
            endings = [row["continuation"]] if self.task.kind == EXACT else row["choices"]
            contexts = [context] * len(endings)
        for context, ending in zip(contexts, endings, strict=True):
            continuation = self.ids(self.spaced(ending))
            room = MAX_TOKENS - len(continuation)
            kept = context[-room:] if len(context) > room else context
            yield kept + continuation, len(kept)
