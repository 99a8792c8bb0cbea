import gzip
import hashlib
import json
import struct
from functools import cache
from typing import Any

import pytest
from tokenizers import Tokenizer

from dclm_spark.evaluate.datasets import load_task
from dclm_spark.evaluate.prompts import Candidate, Item, TaskPrompts, draw_fewshot
from dclm_spark.evaluate.tasks import EXTENDED, TASK_BY_LABEL
from dclm_spark.evaluate.tokens import PromptEncoder
from tests.shared_data import SHARED, needs_shared

pytestmark = needs_shared


@cache
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(SHARED / "tokenizers/gpt-neox-20b.tokenizer.json"))


@cache
def expected() -> dict[str, list[dict[str, Any]]]:
    by_task: dict[str, list[dict[str, Any]]] = {}
    with gzip.open(SHARED / "golden/eval_prompts.jsonl.gz", "rt") as lines:
        for line in lines:
            record = json.loads(line)
            by_task.setdefault(record["task"], []).append(record)
    return by_task


def digest(tokens: tuple[int, ...]) -> str:
    return hashlib.sha256(struct.pack(f"<{len(tokens)}I", *tokens)).hexdigest()


def check_candidate(candidate: Candidate, record: dict[str, Any]) -> None:
    assert digest(candidate.tokens) == record["ids_sha256"]
    assert len(candidate.tokens) == record["n_tokens"]
    assert candidate.start == record["context_tokens"]
    assert candidate.context_tokens_untrimmed == record["context_tokens_untrimmed"]
    if "span" in record:
        assert [candidate.start, len(candidate.tokens)] == record["span"]


def check_item(prompts: TaskPrompts, item: Item, record: dict[str, Any]) -> None:
    assert item.file_row == record["file_row"]
    assert list(item.fewshot) == record["fewshot"]
    if "choices" in record:
        assert item.gold == record["gold"]
        for candidate, choice in zip(item.candidates, record["choices"], strict=True):
            check_candidate(candidate, choice)
    else:
        check_candidate(item.candidates[0], record)
    if "answers" in record:
        assert list(item.answers) == record["answers"]
        assert prompts.max_new_tokens == record["max_new_tokens"]
        assert 2048 - prompts.max_new_tokens == record["max_prompt_tokens"]
        assert list(prompts.task.stop_strings) == record["stop_strings"]
        assert prompts.task.reasoning_delimiter == record["cot_delimiter"]


@pytest.mark.parametrize("label", EXTENDED)
def test_the_first_prompts_of_a_task_are_those_of_the_reference(label: str) -> None:
    prompts = TaskPrompts(
        load_task(TASK_BY_LABEL[label], SHARED / "eval"), PromptEncoder(tokenizer(), 0)
    )
    records = expected()[label]
    items = prompts.items([(record["category"], record["row"]) for record in records])
    for item, record in zip(items, records, strict=True):
        check_item(prompts, item, record)


def test_an_item_is_never_its_own_example() -> None:
    for row, draw in enumerate(draw_fewshot(12, 10)):
        assert row not in draw
        assert len(set(draw)) == 10


def test_a_file_smaller_than_the_number_of_examples_gives_all_other_rows() -> None:
    assert [sorted(draw) for draw in draw_fewshot(3, 10)] == [[1, 2], [0, 2], [0, 1]]
