import csv
from collections import Counter
from pathlib import Path

import pytest

from dclm_spark.errors import SettingError
from dclm_spark.evaluate.tasks import CORE, EXTENDED, TASKS, select_tasks
from tests.shared_data import SHARED, needs_shared


def test_there_are_53_labels_of_which_22_are_core() -> None:
    assert len(EXTENDED) == len(set(EXTENDED)) == 53
    assert len(CORE) == len(set(CORE)) == 22
    assert set(CORE) < set(EXTENDED)
    assert sorted(Counter(task.kind for task in TASKS).values()) == [2, 5, 13, 33]


def test_a_list_of_labels_and_groups_comes_in_the_order_of_the_suite() -> None:
    labels = [task.label for task in select_tasks("copa, mmlu, jeopardy")]
    assert labels == ["jeopardy", "mmlu_fewshot", "copa"]
    assert len(select_tasks("core")) == 22


def test_an_unknown_label_is_named_in_the_error() -> None:
    with pytest.raises(SettingError, match="arc_hard"):
        select_tasks("copa,arc_hard")


@needs_shared
def test_the_table_agrees_with_the_table_beside_the_data() -> None:
    with (SHARED / "eval/tasks.tsv").open() as lines:
        facts = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert [row["label"] for row in facts] == list(EXTENDED)
    for row, task in zip(facts, TASKS, strict=True):
        assert row["icl_task_type"] == task.kind
        assert int(row["num_fewshot"]) == task.fewshot
        assert row["category"] == task.category
        assert float(row["random_baseline"]) == task.baseline_v2
        assert (row["in_core"] == "yes") == (task.label in CORE)
        assert (row["has_categories"] == "True") == task.has_categories
        assert (row["continuation_delimiter"].replace("\\n", "\n") or " ").strip(
            " "
        ) == task.delimiter.strip(" ")


def test_the_page_of_evaluation_has_every_label_with_its_kind_and_file():
    page = (Path(__file__).parents[3] / "docs" / "evaluation.md").read_text()
    for task in TASKS:
        assert f"| `{task.label}` | {task.kind} | `{task.file}` |" in page


def test_a_misspelt_label_is_answered_with_the_nearest():
    with pytest.raises(SettingError, match=r"'arc_eazy': .*did you mean arc_easy\?"):
        select_tasks("core,arc_eazy")
