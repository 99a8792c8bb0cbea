"""Wall time of a run, over all drivers that worked on it."""

import json
import time
from contextlib import suppress

import pytest

from dclm_spark.engine.monitoring.job_names import named_jobs
from dclm_spark.engine.monitoring.run_clock import RunClock


def run_once(folder, identity="recipe:input:code", seconds=0.05):
    clock = RunClock(str(folder), identity)
    with clock.running(), clock.stage("documents"):
        time.sleep(seconds)
    return clock


def test_times_of_resumed_runs_are_added_up(tmp_path):
    first = run_once(tmp_path)
    second = run_once(tmp_path)
    assert (first.drivers, second.drivers) == (1, 2)
    runs = json.loads((tmp_path / "times.json").read_text())["runs"]
    stages = [run["stages"]["documents"] for run in runs]
    assert second.wall()["documents"] == pytest.approx(sum(stages), abs=1e-9)
    assert all(0.05 <= seconds < 1 for seconds in stages)
    assert second.seconds >= 0.1
    assert second.first_started == first.started


def test_the_time_of_a_stage_that_fails_counts_too(tmp_path):
    clock = RunClock(str(tmp_path), "a")
    with suppress(OSError), clock.running(), clock.stage("documents"):
        time.sleep(0.05)
        raise OSError("gone")
    assert RunClock(str(tmp_path), "a").wall()["documents"] >= 0.05


def test_times_of_another_recipe_are_forgotten(tmp_path):
    run_once(tmp_path)
    assert RunClock(str(tmp_path), "other:input:code").drivers == 1


def test_a_killed_driver_has_left_the_time_that_it_last_saved(tmp_path):
    clock = RunClock(str(tmp_path), "a")
    with clock.running(), clock.stage("documents"):
        time.sleep(0.02)
        clock._save()
        text = (tmp_path / "times.json").read_text()
    (tmp_path / "times.json").write_text(text)
    assert RunClock(str(tmp_path), "a").wall()["documents"] >= 0.02


@pytest.mark.spark
def test_jobs_of_a_block_have_a_group_a_description_and_a_tag(spark):
    context = spark.sparkContext
    with named_jobs(spark, "outer"):
        with named_jobs(spark, "deduplicate", "verdicts"):
            spark.range(3).count()
            assert "dclm_spark.deduplicate" in spark.getTags()
            assert context.getLocalProperty("spark.job.description") == "deduplicate: verdicts"
        assert context.getLocalProperty("spark.jobGroup.id") == "outer"
    assert context.getLocalProperty("spark.jobGroup.id") is None
    assert spark.getTags() == set()
    assert len(context.statusTracker().getJobIdsForGroup("deduplicate")) >= 1
