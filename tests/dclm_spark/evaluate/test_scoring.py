import json
from functools import cache
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from dclm_spark.evaluate.datasets import load_task
from dclm_spark.evaluate.prompts import TaskPrompts
from dclm_spark.evaluate.scoring import (
    choice_record,
    clean_output,
    generation_record,
    is_right,
    score_rows,
)
from dclm_spark.evaluate.tasks import EXACT, GENERATION, TASK_BY_LABEL
from dclm_spark.evaluate.tokens import PromptEncoder
from tests.dclm_spark.evaluate.logit_scorer import LogitScorer, token_scores
from tests.dclm_spark.evaluate.toy import ToyModel, toy_generate
from tests.shared_data import SHARED, needs_shared

# Half of the 53 labels have golden scores.
GOLDEN = SHARED / "golden/eval_scores_toy.json"


@cache
def expected() -> dict[str, Any]:
    return json.loads(GOLDEN.read_text())["tasks"] if GOLDEN.is_file() else {}


@cache
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(SHARED / "tokenizers/gpt-neox-20b.tokenizer.json"))


def check_task(label: str, step: int) -> None:
    """Compare every `step`-th golden item of a task with our score of it."""
    prompts = TaskPrompts(
        load_task(TASK_BY_LABEL[label], SHARED / "eval"), PromptEncoder(tokenizer(), 0)
    )
    items = expected()[label]["items"][::step]
    if prompts.task.kind == GENERATION:
        for item in items:
            check_generation(prompts, item)
        return
    by_place = {(item.get("category"), item["row"]): item for item in items}
    for peek in {False, prompts.task.kind == EXACT}:
        scorer = LogitScorer(ToyModel(peek), tokenizer())
        records = list(score_rows(scorer, prompts, list(by_place), 16384))
        assert len(records) == len(items)
        for record in records:
            check_record(record, by_place[record["category"], record["row"]], peek)


def check_record(record: dict[str, Any], item: dict[str, Any], peek: bool) -> None:
    if "pick" in item:
        assert record["mean_nats"] == pytest.approx(item["ce"], abs=1.5e-6)
        assert (record["pick"], record["gold"]) == (item["pick"], item["gold"])
        assert record["ok"] == item["ok"]
        return
    prefix = "" if peek else "causal_"
    assert record["mean_nats"][0] == pytest.approx(item[f"{prefix}ce"], abs=1.5e-6)
    assert record["tokens"] == [item["n"]]
    assert record["hits"] == item[f"{prefix}hits"]
    assert record["ok"] == item[f"{prefix}ok"]


def check_generation(prompts: TaskPrompts, golden: dict[str, Any]) -> None:
    task = prompts.task
    item = prompts.item(golden.get("category"), golden["row"])
    cleaned = clean_output(golden["canned_output"], task.stop_strings, task.reasoning_delimiter)
    assert cleaned == golden["canned_cleaned"]
    assert int(is_right(cleaned, item.answers)) == golden["ok"]
    tokens = toy_generate(item.candidates[0].tokens, prompts.max_new_tokens)
    text = tokenizer().decode(tokens)
    record = generation_record(task, item, text)
    cleaned = clean_output(text, task.stop_strings, task.reasoning_delimiter)
    assert cleaned == golden["generated_cleaned"]
    assert record["ok"] == golden["generated_ok"]


@needs_shared
@pytest.mark.parametrize("label", list(expected()))
def test_the_toy_model_scores_as_in_the_reference(label: str) -> None:
    check_task(label, step=40 if len(expected()[label]["items"]) > 100 else 20)


@needs_shared
@pytest.mark.slow
@pytest.mark.parametrize("label", list(expected()))
def test_the_toy_model_scores_as_in_the_reference_on_all_rows(label: str) -> None:
    check_task(label, step=1)


def test_a_tie_goes_to_the_first_choice() -> None:
    class Bare:
        row = file_row = 0
        category = None
        gold = 1
        candidates = ()

    scores = token_scores(np.zeros((2, 5), dtype=np.float32), np.array([1, 3]))
    record = choice_record(Bare(), [scores, scores])  # type: ignore[arg-type]
    assert (record["pick"], record["ok"]) == (0, 0)
    assert record["mean_nats"][0] == pytest.approx(np.log(5))
