"""Two runs side by side: figures, settings, pages, and what cannot be compared."""

import json

import pytest

from dclm_spark.errors import InputError, SettingError
from dclm_spark.report.run_comparison import Row, _funnel, compare_runs, write_comparison
from tests.dclm_spark.report.toy_runs import toy_run

FIRST = ["kept", "kept", "documents: page_length"]
SECOND = ["kept", "select: quality_score", "kept"]


def no_spark():
    raise AssertionError("three documents need no Spark")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    changed = ["heuristics.min_words=9", "quality.threshold=0.5"]
    return toy_run(folder / "a", FIRST), toy_run(folder / "b", SECOND, changed)


def test_the_settings_that_differ_are_named_by_their_keys(runs):
    found = compare_runs(*runs, no_spark)
    assert found.settings == (
        ("heuristics.min_words", "50", "9"),
        ("quality.threshold", "0.018112", "0.5"),
    )


def test_figures_of_both_runs_stand_side_by_side(runs):
    found = compare_runs(*runs, no_spark)
    assert found.headline == ("2 documents kept against 2: 1 more, 1 fewer; 2 changed their fate")
    assert found.rules == (
        Row("documents: page_length", 1, None),
        Row("select: quality_score", None, 1),
    )
    assert found.languages == (Row("en", 2, 2),)
    assert Row("kept", 2, 2) in found.totals


def test_a_step_that_took_nothing_in_one_run_has_left_there_what_was_left_before():
    first = {"records read": 9, "language": 7, "top_2_gram": 6, "select": 4}
    second = {"records read": 9, "page_length": 5, "top_2_gram": 5, "select": 5}
    assert _funnel(first, second) == (
        Row("records read", 9, 9),
        Row("page_length", 9, 5),
        Row("language", 7, 5),
        Row("top_2_gram", 6, 5),
        Row("select", 4, 5),
    )


def test_the_page_and_the_facts_are_written(runs, tmp_path):
    page, facts = write_comparison(compare_runs(*runs, no_spark), str(tmp_path / "out"))
    told = json.loads((tmp_path / "out/comparison.json").read_text())
    assert told["rules"][0] == {"name": "documents: page_length", "first": 1, "second": None}
    assert {(one["before"], one["after"]) for one in told["changes"]} == {
        ("kept", "select: quality_score"),
        ("documents: page_length", "kept"),
    }
    html = (tmp_path / "out/comparison.html").read_text()
    for shown in ("heuristics.min_words", "documents: page_length → kept", "https://a.example/2"):
        assert shown in html
    assert (page, facts) == tuple(
        str(tmp_path / f"out/comparison.{kind}") for kind in ("html", "json")
    )


def test_what_is_no_run_is_refused(runs, tmp_path):
    with pytest.raises(InputError, match=r"no run is here \(run\.json is missing\)"):
        compare_runs(runs[0], str(tmp_path), no_spark)


def test_a_run_that_did_not_end_is_refused(runs, tmp_path):
    run = toy_run(tmp_path / "c", FIRST)
    (tmp_path / "c/report.json").unlink()
    with pytest.raises(SettingError, match="did not end: its own command ends it"):
        compare_runs(runs[0], run, no_spark)


def test_runs_of_other_inputs_are_refused(runs, tmp_path):
    other = toy_run(tmp_path / "d", FIRST, path="b.warc.gz")
    with pytest.raises(SettingError, match=r"1 files in .*, 1 in .*, 0 of them the same"):
        compare_runs(runs[0], other, no_spark)
