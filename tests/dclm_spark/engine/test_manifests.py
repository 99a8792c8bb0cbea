"""Manifests of another format are refused in words, and replaced where that is asked for."""

import json

import pytest
from dclm_spark.dedup.settings import DeduplicationSettings

from dclm_spark.crawl.listing import InputFile
from dclm_spark.dedup.earlier import earlier_keys
from dclm_spark.engine.manifests import committed_names, read_manifests
from dclm_spark.engine.run_record import check_readable, run_identity, write_run_record
from dclm_spark.errors import SettingError
from dclm_spark.explain import explain
from dclm_spark.recipes import load_recipe
from dclm_spark.recipes.recipe import recipe_hash
from dclm_spark.stages.finished_work import check_finished_work, remove_other_formats
from udfs.units.commit import FORMAT_VERSION, UnitClock, commit


def with_format(path, version):
    record = json.loads(path.read_text())
    del record["format_version"]
    path.write_text(json.dumps(record | ({} if version is None else {"format_version": version})))


@pytest.fixture
def stage(tmp_path):
    for unit in ("a", "b"):
        commit(str(tmp_path / "stage"), unit, "key", [], {"name": unit}, UnitClock())
    return tmp_path / "stage"


@pytest.fixture
def run(tmp_path):
    """An output with a run record and a stage of one unit."""
    recipe, output = load_recipe("raw", []), tmp_path / "run"
    files = [InputFile(crawl="c", path="a.warc.gz", uri="a.warc.gz", kind="warc")]
    identity = run_identity(recipe.name, recipe_hash(recipe), files)
    write_run_record(str(output), recipe, files, identity)
    commit(str(output / "stages" / "documents"), "a", "key", [], {}, UnitClock())
    return output, files, identity


def test_manifests_are_read_in_the_order_of_their_names(stage):
    assert [one["facts"]["name"] for one in read_manifests(str(stage), ["b", "a"])] == ["b", "a"]


@pytest.mark.parametrize(
    ("version", "words"),
    [(None, "an older version .* its format is 1,"), (FORMAT_VERSION + 1, "a newer version")],
)
def test_a_unit_of_another_format_is_refused(stage, version, words):
    with_format(stage / "manifests" / "b.json", version)
    with pytest.raises(SettingError, match=f"{words}.*another --output, or with --overwrite"):
        list(read_manifests(str(stage), ["a", "b"]))


def test_a_run_of_another_format_is_refused_by_whoever_reads_it(run):
    output, files, identity = run
    documents = str(output / "stages" / "documents")
    check_finished_work(str(output), identity, files, documents)
    check_readable(str(output))
    with_format(output / "run.json", None)
    deduplication = DeduplicationSettings(method="global", earlier=(str(output),))
    for read in (
        lambda: check_finished_work(str(output), identity, files, documents),
        lambda: explain(str(output), "https://a.example/"),
        lambda: earlier_keys(deduplication),
    ):
        with pytest.raises(SettingError, match="made by an older version of dclm-spark"):
            read()


def test_what_is_of_another_format_is_removed_and_the_rest_stays(run, stage):
    output, _, _ = run
    shared = output.parent / "shared"
    commit(str(shared), "old", "key", [], {}, UnitClock())
    with_format(shared / "manifests" / "old.json", None)
    remove_other_formats(str(output), [str(stage), str(shared)])
    assert committed_names(str(shared)) == []
    assert committed_names(str(stage)) == ["a", "b"]
    assert (output / "stages" / "documents" / "manifests" / "a.json").exists()
    with_format(output / "run.json", None)
    remove_other_formats(str(output), [])
    assert not list((output / "stages").rglob("*.json"))
