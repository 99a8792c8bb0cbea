import math
from pathlib import Path
from typing import Any

import pytest

from dclm_spark.evaluate.aggregate import dclm_aggregates
from dclm_spark.evaluate.datasets import load_task
from dclm_spark.evaluate.suite import data_baseline, suite_metrics, task_metrics
from dclm_spark.evaluate.tasks import EXTENDED, TASK_BY_LABEL, TASKS
from tests.dclm_spark.evaluate.fakes import write_rows
from tests.shared_data import SHARED, needs_shared


def records(label: str, right: int, n: int = 20) -> list[dict[str, Any]]:
    task = TASK_BY_LABEL[label]
    return [
        {
            "row": row // 2 if task.has_categories else row,
            "file_row": row,
            "category": "ab"[row % 2] if task.has_categories else None,
            "ok": int(row < right),
            "gold": 0,
            "mean_nats": [1.0, 2.0],
            "tokens": [3, 2],
            "bytes": [6, 5],
        }
        for row in range(n)
    ]


def test_the_aggregates_over_items_are_those_over_accuracies() -> None:
    run = {task.label: records(task.label, number % 19) for number, task in enumerate(TASKS)}
    metrics = suite_metrics([run], dict.fromkeys(EXTENDED, 0.1))
    accuracies = {label: float(task_metrics(label, [run])["accuracy"].values()[0]) for label in run}
    for version in ("v1", "v2"):
        known = dclm_aggregates(accuracies, version)
        assert metrics[f"core_{version}"].values()[0] == pytest.approx(known[f"Core_{version}"])
        extended = metrics[f"extended_{version}"].values()[0]
        assert extended == pytest.approx(known[f"Extended_{version}"])
    assert metrics["rw_small_centered"].values()[0] == pytest.approx(known["rw_small_centered"])
    assert metrics["mmlu"].values()[0] == pytest.approx(accuracies["mmlu_fewshot"])


def test_continuous_signals_follow_their_definitions() -> None:
    metrics = task_metrics("copa", [{"copa": records("copa", 5)}])
    assert metrics["gold_bits_per_byte"].values()[0] == pytest.approx(3 / 6 / math.log(2))
    assert metrics["gold_probability"].values()[0] == pytest.approx(1 / (1 + math.exp(-1)))
    assert "gold_probability" not in task_metrics(
        "jeopardy", [{"jeopardy": records("jeopardy", 5)}]
    )


def test_a_task_that_one_run_lacks_is_left_out_for_all() -> None:
    both = [{"copa": records("copa", 5), "piqa": records("piqa", 9)}, {"copa": records("copa", 8)}]
    metric = suite_metrics(both)["core_v2_partial"]
    assert metric.values().tolist() == pytest.approx([2 * 0.25 - 1, 2 * 0.4 - 1])


def test_the_third_baseline_is_the_best_blind_answer(tmp_path: Path) -> None:
    golds = [0, 1, 1, 1, 0]
    letters = [{"query": "q", "choices": ["A", "B"], "gold": gold} for gold in golds]
    write_rows(tmp_path, "copa", letters)
    assert data_baseline(load_task(TASK_BY_LABEL["copa"], tmp_path)) == pytest.approx(0.6)
    texts = [{"query": "q", "choices": [f"a{n}", f"b{n}"], "gold": 0} for n in range(5)]
    write_rows(tmp_path, "copa", texts)
    assert data_baseline(load_task(TASK_BY_LABEL["copa"], tmp_path)) == pytest.approx(0.5)


@needs_shared
def test_the_third_baseline_finds_the_known_majorities() -> None:
    def found(label: str) -> float:
        return data_baseline(load_task(TASK_BY_LABEL[label], SHARED / "eval"))

    assert found("boolq") == pytest.approx(0.622, abs=0.001)
    assert found("commonsense_qa") == pytest.approx(0.403, abs=0.001)
    # Its right answer always stands at the same place, which a model cannot see.
    assert found("bigbench_novel_concepts") == 0.25


def test_categories_of_one_item_each_still_have_an_error() -> None:
    items = [
        {**record, "category": f"c{number}", "row": 0}
        for number, record in enumerate(records("mmlu_fewshot", 10, 40))
    ]
    estimate = task_metrics("mmlu_fewshot", [{"mmlu_fewshot": items}])["accuracy"].estimate()
    assert estimate.value == pytest.approx(0.25)
    assert estimate.standard_error == pytest.approx((0.25 * 0.75 / 40) ** 0.5, rel=0.1)
