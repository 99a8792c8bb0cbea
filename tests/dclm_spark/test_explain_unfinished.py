"""A run that did not end is told before its histories."""

import json

import pytest

from dclm_spark.explain import unfinished

ENDED = {"complete": True, "recipe_hash": "a"}


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (ENDED, ""),
        (ENDED | {"complete": False}, "did not end"),
        # What was killed before it could write its own.
        (ENDED | {"recipe_hash": "of the recipe before"}, "those of an earlier recipe"),
        (None, "did not end"),
    ],
)
def test_a_run_without_a_report_of_its_recipe_did_not_end(tmp_path, report, expected):
    (tmp_path / "run.json").write_text(json.dumps({"recipe_hash": "a"}))
    if report is not None:
        (tmp_path / "report.json").write_text(json.dumps(report))
    told = unfinished(str(tmp_path))
    assert bool(told) == bool(expected)
    assert expected in told


def test_a_compacted_run_without_a_report_may_have_ended(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"recipe_hash": "a"}))
    (tmp_path / "shards/removed/0001").mkdir(parents=True)
    (tmp_path / "shards/removed/0001/list.parquet").write_bytes(b"")
    assert "it was compacted, or the run did not end" in unfinished(str(tmp_path))
