"""The rows of evaluation sets in parts: what is asked, its answer, the choices, the passage."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from dclm_spark.evaluate.datasets import Row, load_task
from dclm_spark.evaluate.tasks import Task
from udfs.dedup.evaluation_index import Item

# Where a query that prints its options begins with them: "A. ", "B.) ", "(c) ", "a.) ".
_OPTION = re.compile(r"^\s*\(?([A-Ea-e])(?:\.\)|[.)])\s*(.*)$")
_LABEL = re.compile(
    r"^\s*(?:question|q|final question|sentence|context|passage|concept)\s*:\s*", re.I
)
_ANSWER_LINE = re.compile(
    r"\s*\b(?:(?:answer|a|output|english translation)\s*:|choices\s*:?)\s*$", re.I
)
# A question of a text that has a passage before it; others, with their answers, may come between.
_QUESTION = re.compile(r"(?:^|\n)\s*(?:final question:\s*)?(?:question|q)\s*:", re.I)
# A text before the question is a passage from so many words on; shorter ones are part of it.
MIN_PASSAGE_WORDS = 60


def items_of(tasks: Iterable[Task], data: str) -> Iterator[Item]:
    """Yield the rows of tasks as items. Raises MissingDataError for a task without data."""
    for task in tasks:
        for number, row in enumerate(load_task(task, data).rows):
            yield item_of(task.label, number, row)


def item_of(task: str, number: int, row: Row) -> Item:
    """Return a row of any task type in parts."""
    asked, options = _without_options(_asked(row))
    question, passage = _without_passage(asked)
    return Item(
        task=task,
        number=number,
        question=question,
        answer=_answer(row, options),
        choices="\n".join(_choices(row, options)),
        passage=passage,
    )


def _asked(row: Row) -> str:
    if "context_options" in row:
        return str(row["context_options"][row["gold"]])
    return str(row.get("query") or row.get("context") or "")


def _answer(row: Row, options: list[str]) -> str:
    if "choices" in row:
        gold, choice = int(row["gold"]), str(row["choices"][row["gold"]])
        return options[gold] if len(choice.strip()) == 1 and gold < len(options) else choice
    answer: Any = row.get("continuation") or row.get("answer") or ""
    return str(answer)


def _choices(row: Row, options: list[str]) -> list[str]:
    """Return the choices in words; those that are letters stand for the printed options."""
    choices = [str(choice) for choice in row.get("choices", ())]
    letters = bool(options) and all(len(choice.strip()) == 1 for choice in choices)
    return options if letters else choices


def _without_options(text: str) -> tuple[str, list[str]]:
    """Return a text without the printed options at its end, and these."""
    lines = text.split("\n")
    found = [
        (place, match[2]) for place, line in enumerate(lines) if (match := _OPTION.match(line))
    ]
    if len(found) < 2:
        return text, []
    # What follows the last option is the line that asks for the answer.
    return "\n".join(lines[: found[0][0]]), [option for _, option in found]


def _without_passage(text: str) -> tuple[str, str]:
    """Return (question, passage) without the words that introduce them."""
    markers = list(_QUESTION.finditer(text))
    if markers:
        before, after = text[: markers[0].start()], text[markers[-1].end() :]
        if len(before.split()) >= MIN_PASSAGE_WORDS:
            return _bare(after), _bare(before)
    return _bare(text), ""


def _bare(text: str) -> str:
    bare = _ANSWER_LINE.sub("", _ANSWER_LINE.sub("", text.strip()))
    return _LABEL.sub("", bare).strip()
