"""One file that cannot be read neither stops a crawl nor goes unsaid."""

import json
import os
import signal

import pytest

from dclm_spark.crawl.listing import InputFile, list_inputs
from dclm_spark.engine.manifests import committed_names
from dclm_spark.errors import SettingError, StageError
from dclm_spark.recipes import load_recipe
from dclm_spark.recipes.recipe import curation_settings, recipe_hash
from dclm_spark.sample.generate import generate_crawl
from dclm_spark.stages.documents import source_of, write_documents
from dclm_spark.stages.scored_table import decide
from udfs.units.documents import DOCUMENTS

pytestmark = pytest.mark.spark

GONE = "segments/0/warc/gone.warc.gz"


@pytest.fixture(scope="module")
def crawl(tmp_path_factory):
    return generate_crawl(tmp_path_factory.mktemp("sample"), seed=5, num_pages=200)


@pytest.fixture
def files(crawl, tmp_path):
    """All files of the crawl, and two that are not there."""
    found = list_inputs(str(crawl.listing), str(crawl.base))
    gone = [
        InputFile(crawl=found[0].crawl, path=f"{n}-{GONE}", uri=f"{tmp_path}/{n}", kind="warc")
        for n in range(2)
    ]
    return [gone[0], *found, gone[1]]


def settings(allowed=0):
    recipe = load_recipe("raw", [f"limits.max_failed_inputs={allowed}"])
    return curation_settings(recipe)


def test_all_others_are_committed_before_the_stage_fails_with_a_list(spark, files, tmp_path):
    directory = str(tmp_path / "documents")
    with pytest.raises(StageError) as error:
        write_documents(spark, files, settings(1), directory)
    text = str(error.value)
    assert "2 inputs could not be read; all others are committed" in text
    assert "--max-failed-inputs 2" in text
    assert f"{tmp_path}/0 (crawl" in text
    assert "there is no such file" in text
    assert set(committed_names(directory)) == {source_of(file).unit for file in files[1:-1]}


def test_a_file_that_may_be_missing_is_in_the_books_and_tried_again(spark, files, crawl, tmp_path):
    directory = str(tmp_path / "documents")
    output = write_documents(spark, files, settings(2), directory)
    whole = write_documents(spark, files[1:-1], settings(), str(tmp_path / "whole"))
    expected = whole.documents()
    expected["quarantined"] += 2
    assert output.documents() == expected
    counts = {entry["rule"]: entry["documents"] for entry in output.totals["counts"]}
    assert counts["unreadable_input"] == 2
    told = [one for one in output.totals["samples"] if one["rule"] == "unreadable_input"]
    assert [f"{tmp_path}/0" in one["error"] or f"{tmp_path}/1" in one["error"] for one in told] == [
        True, True
    ]  # fmt: skip
    # What stands in for a file is the same each time, and gives way to the file.
    assert write_documents(spark, files, settings(2), directory).fingerprint == output.fingerprint
    source = next(crawl.base.rglob("*.warc.gz"))
    os.link(source, tmp_path / "0")
    os.link(source, tmp_path / "1")
    after = write_documents(spark, files, settings(), directory)
    assert "unreadable_input" not in {entry["rule"] for entry in after.totals["counts"]}
    assert sum(after.documents().values()) > sum(output.documents().values())


def test_a_scored_table_has_it_too_and_keeps_what_other_runs_put_there(spark, files, tmp_path):
    table = str(tmp_path / "table")
    output = decide(spark, files, settings(2), str(tmp_path / "documents"), table)
    rules = {entry["rule"]: entry["documents"] for entry in output.totals["counts"]}
    assert rules["unreadable_input"] == 2
    some = decide(spark, files[1:3], settings(), str(tmp_path / "some"), table)
    assert len(some.unit_names) == 2
    before = json.dumps(sorted(map(str, tmp_path.glob("table/texts-*/manifests/*"))))
    assert before.count(".json") == len(files)


def test_an_input_whose_task_dies_again_and_again_does_not_stop_the_others(
    spark, files, tmp_path, monkeypatch
):
    """As the kernel does with a Python worker that takes too much memory."""
    from dclm_spark.engine.file_stage import FileStage
    from dclm_spark.stages.documents import read_inputs
    from udfs.units.curate import quarantine_file

    deadly = files[0].uri

    def process(source, output):
        if source["uri"] == deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        quarantine_file(source, "a stand-in", output)

    stage = FileStage(
        name="documents", schema=DOCUMENTS, process=process, max_failures=1,
        stand_in=quarantine_file,
    )  # fmt: skip
    output = read_inputs(spark, stage, files, str(tmp_path / "documents"))
    assert output.documents()["quarantined"] == len(files)
    errors = {one["error"] for one in output.totals["samples"]}
    assert any("a Python worker was killed" in error for error in errors) or len(errors) == 1


def test_units_of_other_inputs_are_not_removed_unasked(spark, files, tmp_path):
    whole, directory = files[1:-1], str(tmp_path / "documents")
    write_documents(spark, whole[:2], settings(), directory)
    write_documents(spark, whole, settings(), directory)
    with pytest.raises(SettingError, match=f"{len(whole) - 1} finished units.*--overwrite"):
        write_documents(spark, whole[:1], settings(), directory)
    assert len(committed_names(directory)) == len(whole)
    write_documents(spark, whole[:1], settings(), directory, overwrite=True)
    assert committed_names(directory) == [source_of(whole[0]).unit]


def test_how_many_files_may_fail_is_no_part_of_a_recipe():
    one, other = (load_recipe("raw", [f"limits.max_failed_inputs={n}"]) for n in (0, 5))
    assert recipe_hash(one) == recipe_hash(other)
    with pytest.raises(SettingError, match=r"limits\.max_failed_inputs = -1: expected at least 0"):
        load_recipe("raw", ["limits.max_failed_inputs=-1"])
