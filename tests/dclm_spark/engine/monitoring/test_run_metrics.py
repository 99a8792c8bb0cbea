"""The Prometheus text file of a run, read by Prometheus' own parser."""

import json
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dclm_spark.engine.monitoring.progress import SEEN, UnitProgress
from dclm_spark.engine.monitoring.run_clock import RunClock
from dclm_spark.engine.monitoring.run_metrics import METRICS, Sample, metrics_text

BOARD = Path(__file__).parents[4] / "infra" / "grafana" / "run.json"


def parsed(text):
    return {
        (one.name, *sorted(one.labels.items())): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def test_labels_and_values_come_back_as_they_were():
    run = 's3://b/a "new"\\run\n'
    text = metrics_text(run, [Sample("dclm_spark_documents", 3, {"stage": "select"})])
    assert parsed(text) == {
        ("dclm_spark_documents", ("run", run), ("stage", "select")): 3.0,
    }


def test_a_metric_that_is_not_described_is_refused():
    with pytest.raises(KeyError):
        metrics_text("run", [Sample("dclm_spark_unknown", 1)])


def test_a_clock_writes_times_and_units_of_its_stages(tmp_path):
    path = tmp_path / "run.prom"
    clock = RunClock(str(tmp_path), "a", str(path))
    with clock.running(), clock.stage("score"):
        SEEN["score"] = UnitProgress(done=3, total=9, before=0)
    run = ("run", str(tmp_path))
    found = parsed(path.read_text())
    assert found["dclm_spark_stage_units", run, ("stage", "score")] == 9
    assert found["dclm_spark_stage_units_done", run, ("stage", "score")] == 3
    assert found["dclm_spark_run_ended", run] == 0
    clock.write_metrics([Sample("dclm_spark_run_ended", 1)])
    assert parsed(path.read_text())["dclm_spark_run_ended", run] == 1


def test_the_board_asks_for_metrics_that_there_are():
    board = json.loads(BOARD.read_text())
    asked = set(
        re.findall(r"dclm_spark_\w+", json.dumps([one["targets"] for one in board["panels"]]))
    )
    assert asked
    assert asked <= set(METRICS)
