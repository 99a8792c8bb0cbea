import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from dclm_spark.errors import SettingError
from dclm_spark.evaluate import runner, scoring
from dclm_spark.evaluate.datasets import load_task
from dclm_spark.evaluate.prompts import Candidate
from dclm_spark.evaluate.results import EvaluateSettings
from dclm_spark.evaluate.runner import (
    evaluate,
    read_heldout,
    read_run,
    sampled_rows,
)
from dclm_spark.evaluate.scoring import TokenScores
from dclm_spark.evaluate.tasks import TASK_BY_LABEL, Task, select_tasks
from tests.dclm_spark.evaluate.fakes import LengthScorer, loaded, write_small_suite

LABELS = "copa,jeopardy,triviaqa_sm_sub"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_small_suite(tmp_path / "data")
    return tmp_path / "data"


def tasks() -> tuple[Task, ...]:
    return select_tasks(LABELS)


def test_accuracies_are_what_the_scorer_deserves(data: Path, tmp_path: Path) -> None:
    settings = EvaluateSettings(data=str(data))
    summary = evaluate(loaded(LengthScorer("1")), tasks(), tmp_path / "out", settings)
    accuracies = {label: task["accuracy"]["value"] for label, task in summary["tasks"].items()}
    # Lower letters are cheaper, so "aa" wins; "! !" is no likely text, and bytes need no space.
    assert accuracies == pytest.approx({"jeopardy": 2 / 3, "triviaqa_sm_sub": 0.25, "copa": 0.75})
    assert summary["tasks"]["copa"]["baselines"] == {"v1": 0.5, "v2": 0.5, "data": 0.75}
    assert summary["tasks"]["copa"]["centered"] == {"v1": 0.5, "v2": 0.5, "data": 0.0}
    assert summary["tasks"]["copa"]["accuracy"]["n"] == 8


def test_core_is_not_given_while_a_task_is_missing(data: Path, tmp_path: Path) -> None:
    settings = EvaluateSettings(data=str(data))
    chosen = select_tasks(f"{LABELS},arc_easy")
    summary = evaluate(loaded(LengthScorer()), chosen, tmp_path / "out", settings)
    core = summary["aggregates"]["core_v2"]
    assert core["value"] is None
    assert "no local_data" in core["missing"]["arc_easy"]
    assert core["missing"]["boolq"] == "not asked for"
    partial = summary["aggregates"]["core_v2_partial"]
    assert (partial["tasks"], partial["of_tasks"]) == (2, 22)
    assert partial["value"] == pytest.approx((0.5 + 2 / 3) / 2)
    assert summary["aggregates"]["mmlu"]["value"] is None
    assert any("arc_easy is missing" in caveat for caveat in summary["caveats"])


def test_a_finished_task_is_not_scored_again(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "dclm_spark")
    settings = EvaluateSettings(data=str(data))
    scorer = LengthScorer("1")
    first = evaluate(loaded(scorer), tasks(), tmp_path / "out", settings)
    calls = scorer.calls
    (tmp_path / "out/tasks/copa.json").unlink()
    second = evaluate(loaded(scorer), tasks(), tmp_path / "out", settings)
    assert scorer.calls == calls + 1
    assert first["aggregates"] == second["aggregates"]
    resumed = [line for line in caplog.messages if line.endswith("already scored")]
    assert len(resumed) == len(second["tasks"]) - 1


class StoppedError(Exception):
    """Stands for a lost machine."""


@dataclass
class StoppingScorer(LengthScorer):
    """Scores so many calls."""

    calls_left: int = 3

    def score(self, candidates: Sequence[Candidate]) -> list[TokenScores]:
        if self.calls == self.calls_left:
            raise StoppedError
        return super().score(candidates)


def test_a_task_goes_on_in_the_middle(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "WINDOW_ITEMS", 2)
    monkeypatch.setattr(runner, "SAVE_SECONDS", 0.0)
    settings = EvaluateSettings(data=str(data))
    copa = select_tasks("copa")
    stopping = StoppingScorer("1")
    with pytest.raises(StoppedError):
        evaluate(loaded(stopping), copa, tmp_path / "out", settings)
    scorer = LengthScorer("1")
    summary = evaluate(loaded(scorer), copa, tmp_path / "out", settings)
    assert (stopping.calls, scorer.calls) == (3, 1)
    whole = evaluate(loaded(LengthScorer("1")), copa, tmp_path / "whole", settings)
    assert read_run(tmp_path / "out") == read_run(tmp_path / "whole")
    assert summary["aggregates"] == whole["aggregates"]
    assert [file.name for file in (tmp_path / "out/tasks").iterdir()] == ["copa.json"]


def test_another_model_is_scored_anew(data: Path, tmp_path: Path) -> None:
    settings = EvaluateSettings(data=str(data))
    scorer = LengthScorer("1")
    evaluate(loaded(scorer), tasks(), tmp_path / "out", settings)
    calls = scorer.calls
    evaluate(loaded(scorer, "other"), tasks(), tmp_path / "out", settings)
    assert scorer.calls == 2 * calls


def test_a_sample_is_spread_evenly_and_another_seed_moves_it(data: Path) -> None:
    copa = load_task(TASK_BY_LABEL["copa"], data)
    assert sampled_rows(copa, 4, 0) == [(None, 0), (None, 2), (None, 4), (None, 6)]
    assert [sampled_rows(copa, 2, seed) for seed in range(9)].count([(None, 0), (None, 4)]) < 9
    assert len(sampled_rows(copa, 100, 5)) == 8
    jeopardy = load_task(TASK_BY_LABEL["jeopardy"], data)
    assert sampled_rows(jeopardy, 3, 0) == [("a", 0), ("a", 3), ("b", 0), ("b", 3)]


def test_the_page_escapes_and_the_files_hold_every_item(data: Path, tmp_path: Path) -> None:
    texts = tmp_path / "texts.jsonl"
    texts.write_text(json.dumps({"text": "hello"}) + "\n" + json.dumps({"text": "world"}) + "\n")
    settings = EvaluateSettings(data=str(data), heldout=(str(texts),), sample=4)
    summary = evaluate(loaded(LengthScorer()), tasks(), tmp_path / "out", settings)
    html = (tmp_path / "out/results.html").read_text()
    assert "&lt;fake&gt;" in html
    assert "<fake>" not in html
    assert json.loads((tmp_path / "out/results.json").read_text()) == summary
    assert {label: len(records) for label, records in read_run(tmp_path / "out").items()} == {
        "jeopardy": 4,
        "triviaqa_sm_sub": 4,
        "copa": 4,
    }
    assert summary["bits_per_byte"]["texts"]["n"] == 2


def test_held_out_texts_are_scored_once_and_again_when_they_change(
    data: Path, tmp_path: Path
) -> None:
    texts = tmp_path / "news.jsonl"
    texts.write_text('{"text": "hello"}\n')
    settings = EvaluateSettings(data=str(data), heldout=(str(texts),))
    scorer = LengthScorer()
    for _ in range(2):
        evaluate(loaded(scorer), (), tmp_path / "out", settings)
        assert scorer.calls == 1
    assert [record["bytes"] for record in read_heldout(tmp_path / "out")["news"]] == [5]
    texts.write_text('{"text": "hello there"}\n{"text": "and"}\n{broken\n')
    summary = evaluate(loaded(scorer), (), tmp_path / "out", settings)
    (told,) = summary["caveats"]
    assert told.startswith("held-out news: passed over 1: line 3 is no JSON object")
    assert told in (tmp_path / "out" / "results.html").read_text().replace("&#39;", "'")
    # No task was asked for, so none is missing.
    assert summary["aggregates"] == {}
    assert scorer.calls == 2


def test_two_held_out_files_of_one_name_are_refused(data: Path, tmp_path: Path) -> None:
    texts = tmp_path / "news.jsonl"
    texts.write_text('{"text": "hello"}\n')
    settings = EvaluateSettings(data=str(data), heldout=(str(texts), str(texts)))
    with pytest.raises(SettingError, match="called 'news' too"):
        evaluate(loaded(LengthScorer()), (), tmp_path / "out", settings)
