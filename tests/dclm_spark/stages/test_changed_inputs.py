"""An input file that changed since it was read is read again, and no other one is."""

import gzip
import json

import pytest

from dclm_spark.crawl.listing import list_inputs
from dclm_spark.recipes import load_recipe
from dclm_spark.recipes.recipe import curation_settings
from dclm_spark.stages.documents import write_documents

pytestmark = pytest.mark.spark


def lines(*texts: str) -> str:
    return "".join(json.dumps({"text": text}) + "\n" for text in texts)


@pytest.fixture
def run(spark, tmp_path, caplog):
    """Two files of a line each, and what reads them: (documents, names of units made, log)."""
    (tmp_path / "in").mkdir()
    for name in "ab":
        (tmp_path / "in" / f"{name}.jsonl").write_text(lines("A line of text."))
    recipe = load_recipe("raw", ["input.part_size_bytes=100"])

    def once():
        folder = tmp_path / "documents"
        before = {path: path.stat().st_mtime_ns for path in folder.glob("manifests/*")}
        caplog.clear()
        files = list_inputs(str(tmp_path / "in"))
        output = write_documents(spark, files, curation_settings(recipe), str(folder))
        made = [
            path.name.partition("-")[0]
            for path in folder.glob("manifests/*")
            if before.get(path) != path.stat().st_mtime_ns
        ]
        return output.documents()["kept"], sorted(made), caplog.text

    return once


def test_a_file_that_was_fetched_again_is_redone_and_named(run, tmp_path):
    assert run()[:2] == (2, ["a", "b"])
    assert run()[:2] == (2, [])
    file = tmp_path / "in" / "b.jsonl"
    before = file.stat().st_size
    file.write_text(lines("A line of text.", "Another."))
    kept, made, log = run()
    assert (kept, made) == (3, ["b"])
    said = f"b.jsonl had {before} bytes and has {file.stat().st_size}"
    assert f"input files that changed since they were read are redone: {said}" in log
    kept, made, log = run()
    assert (kept, made) == (3, [])
    assert "redone" not in log


def test_a_file_of_other_parts_is_no_other_input(run, tmp_path):
    run()
    file = tmp_path / "in" / "a.jsonl"
    file.write_text(lines(*["A line of text."] * 10))
    assert run()[:2] == (11, ["a", "a"])
    parts = file.stat().st_size
    file.write_text(lines("A line of text.", "Another."))
    kept, made, log = run()
    assert (kept, made) == (3, ["a"])
    assert log.count(f"a.jsonl had {parts} bytes and has {file.stat().st_size}") == 1
    assert len(list((tmp_path / "documents" / "manifests").iterdir())) == 2


def test_a_damaged_file_is_redone_at_the_same_size_too_and_a_whole_one_is_not(run, tmp_path):
    whole = lines(*(f"A line of text, the {number}th." for number in range(30))).encode()
    damaged = bytearray(gzip.compress(whole, mtime=0))
    damaged[20:30] = bytes(10)
    file = tmp_path / "in" / "c.jsonl.gz"
    file.write_bytes(damaged)
    assert run()[:2] == (2, ["a", "b", "c"])
    assert run()[:2] == (2, [])
    file.write_bytes(gzip.compress(whole, mtime=0))
    (tmp_path / "in" / "a.jsonl").touch()
    kept, made, log = run()
    assert (kept, made) == (32, ["c"])
    assert "are redone: c.jsonl.gz was damaged and was written again" in log
    file.touch()
    assert run()[:2] == (32, [])


def test_units_that_say_no_size_and_files_of_the_same_one_stay(run, tmp_path):
    run()
    for path in (tmp_path / "documents" / "manifests").glob("a-*"):
        manifest = json.loads(path.read_text())
        del manifest["facts"]["input"]["size_bytes"]
        path.write_text(json.dumps(manifest))
    (tmp_path / "in" / "a.jsonl").write_text(lines("Longer than it was before."))
    (tmp_path / "in" / "b.jsonl").write_text(lines("A word of text."))
    assert run()[:2] == (2, [])
