"""Units commit once, resume by key, and the books must balance."""

import json

import pyarrow as pa
import pytest

from dclm_spark.engine import manifests
from dclm_spark.engine.books import check_balance
from dclm_spark.engine.manifests import Unit, committed_names, numbered_unit, unit_key
from dclm_spark.engine.stage import KEEP, REFUSE, UnitRules, run_units
from dclm_spark.engine.tables import read_files, spark_schema, work_frame
from dclm_spark.errors import BalanceError, SettingError, StageError
from udfs.documents.schema import EXTRACTED
from udfs.units.commit import COMMITTED, BooksError, ForeignUnitError, UnitClock, commit
from udfs.units.fates import FateOutputs

pytestmark = pytest.mark.spark

WORK = pa.schema([("unit", pa.string()), ("key", pa.string())])


def document(unit, fate):
    return {name: None for name in EXTRACTED.names} | {
        "doc_id": unit.encode().ljust(16), "url": f"https://{unit}.example/", "text": "a b c",
        "fate": fate, "stage": "s", "rule": None if fate == "kept" else "r",
    }  # fmt: skip


def execute(spark, directory, calls, fail=(), silent=()):
    def run(pending):
        calls.append([unit.name for unit in pending])
        rows = [{"unit": unit.name, "key": unit.key} for unit in pending]

        def write(batches):
            for batch in batches:
                for row in batch.to_pylist():
                    if row["unit"] in fail:
                        raise ValueError("a planted failure; try again")
                    if row["unit"] in silent:
                        continue
                    clock = UnitClock()
                    outputs = FateOutputs(directory, row["unit"], EXTRACTED)
                    fates = ["kept", "dropped"]
                    documents = [document(row["unit"], fate) for fate in fates]
                    outputs.write(pa.RecordBatch.from_pylist(documents, EXTRACTED))
                    files, facts = outputs.close()
                    yield commit(directory, row["unit"], row["key"], files, facts, clock)

        return work_frame(spark, rows, WORK).mapInArrow(write, spark_schema(COMMITTED))

    return run


def units(*names, key="k"):
    return [Unit(name=name, key=key) for name in names]


def test_a_second_run_does_only_what_is_missing(spark, tmp_path):
    calls = []
    for names in (["a", "b"], ["a", "b", "c"]):
        output = run_units(
            spark, stage="s", directory=str(tmp_path), units=units(*names),
            execute=execute(spark, str(tmp_path), calls),
        )  # fmt: skip
    assert calls == [["a", "b"], ["c"]]
    assert output.unit_names == ["a", "b", "c"]


def test_another_key_is_done_again(spark, tmp_path):
    calls = []
    for key in ("k", "other"):
        run_units(
            spark, stage="s", directory=str(tmp_path), units=units("a", key=key),
            execute=execute(spark, str(tmp_path), calls),
        )  # fmt: skip
    assert calls == [["a"], ["a"]]


def test_files_of_units_that_are_gone_are_removed(spark, tmp_path):
    for names in (["a", "b"], ["b"]):
        run_units(
            spark, stage="s", directory=str(tmp_path), units=units(*names),
            execute=execute(spark, str(tmp_path), []),
        )  # fmt: skip
    assert {path.name for path in tmp_path.rglob("a.*")} == set()
    assert (tmp_path / "kept" / "b.parquet").exists()
    assert json.loads((tmp_path / "stage.json").read_text())["num_units"] == 1


def test_a_failure_names_its_cause_and_keeps_what_was_committed(spark, tmp_path):
    with pytest.raises(StageError, match="a planted failure"):
        run_units(
            spark, stage="s", directory=str(tmp_path), units=units("a", "b"),
            execute=execute(spark, str(tmp_path), [], fail={"b"}),
        )  # fmt: skip
    calls = []
    run_units(
        spark, stage="s", directory=str(tmp_path), units=units("a", "b"),
        execute=execute(spark, str(tmp_path), calls),
    )  # fmt: skip
    assert calls in (["b"], [["b"]], [["a", "b"]])


def test_rows_are_read_back_from_committed_files(spark, tmp_path):
    output = run_units(
        spark, stage="s", directory=str(tmp_path), units=units("a", "b"),
        execute=execute(spark, str(tmp_path), []),
    )  # fmt: skip
    uris = [file["uri"] for file in output.files("kept/")]
    schema = pa.schema([("url", pa.string()), ("text", pa.string())])
    rows = read_files(spark, uris, schema).orderBy("url").collect()
    assert [tuple(row) for row in rows] == [
        ("https://a.example/", "a b c"),
        ("https://b.example/", "a b c"),
    ]


def test_books_that_do_not_balance_fail_and_the_unit_is_done_again(spark, tmp_path):
    calls = []

    def run(documents_in):
        return run_units(
            spark, stage="s", directory=str(tmp_path), units=units("a", "b"),
            execute=execute(spark, str(tmp_path), calls),
            rules=UnitRules(documents_in=documents_in),
        )  # fmt: skip

    run({"a": 2, "b": 2})
    with pytest.raises(BalanceError, match=r"s: 3 documents came in, but 2 .* first 'b'"):
        run({"a": 2, "b": 3})
    assert not (tmp_path / "stage.json").exists()
    run({"a": 2, "b": 2})
    assert calls == [["a", "b"], ["b"]]


def test_where_only_the_sum_is_known_all_units_are_done_again(spark, tmp_path):
    output = run_units(
        spark, stage="s", directory=str(tmp_path), units=units("a"),
        execute=execute(spark, str(tmp_path), []),
    )  # fmt: skip
    check_balance("s", 2, output)
    with pytest.raises(BalanceError, match="3 documents came in, but 1 kept"):
        check_balance("s", 3, output)
    assert committed_names(str(tmp_path)) == []


def test_a_unit_that_reads_more_than_it_accounts_for_is_not_committed(tmp_path):
    facts = {"counts": [], "records": {"response": 4, "broken": 1}}
    with pytest.raises(BooksError, match="a gave 5 documents, but 0 have a fate"):
        commit(str(tmp_path), "a", "k", [], facts, UnitClock())
    assert committed_names(str(tmp_path)) == []


def test_a_unit_of_which_no_task_hears_is_missing_unless_it_may_be_empty(spark, tmp_path):
    arguments = {
        "stage": "s", "directory": str(tmp_path), "units": units("a", "b"),
        "execute": execute(spark, str(tmp_path), [], silent={"b"}),
    }  # fmt: skip
    with pytest.raises(StageError, match=r"1 of 2 units did not commit \(b\)"):
        run_units(spark, **arguments)
    assert committed_names(str(tmp_path)) == ["a"]
    output = run_units(spark, **arguments, rules=UnitRules(may_be_empty=True))
    assert output.documents_by_unit() == {"a": 2, "b": 0}


def test_a_unit_that_another_run_commits_meanwhile_stops_this_one(spark, tmp_path):
    """As a task does that outlived the driver of an earlier run, with another recipe."""
    usual = execute(spark, str(tmp_path), [])

    def meanwhile(pending):
        usual(pending).collect()
        path = tmp_path / "manifests" / "b.json"
        path.write_text(path.read_text().replace('"key": "k"', '"key": "zombie"'))
        return usual([])

    with pytest.raises(StageError, match=r"1 units were committed by another run meanwhile.*'b'"):
        run_units(
            spark, stage="s", directory=str(tmp_path), units=units("a", "b"), execute=meanwhile,
            rules=UnitRules(may_be_empty=True),
        )  # fmt: skip
    assert (tmp_path / "kept" / "b.parquet").exists()
    calls = []
    output = run_units(
        spark, stage="s", directory=str(tmp_path), units=units("a", "b"),
        execute=execute(spark, str(tmp_path), calls),
    )  # fmt: skip
    assert calls == [["b"]]
    assert output.documents_by_unit() == {"a": 2, "b": 2}


def test_a_task_that_outlived_its_run_takes_no_units_name(tmp_path):
    commit(str(tmp_path), "a", "new", [], {}, UnitClock())
    with pytest.raises(ForeignUnitError, match="another run committed this unit meanwhile"):
        commit(str(tmp_path), "a", "old", [], {}, UnitClock())
    assert json.loads((tmp_path / "manifests" / "a.json").read_text())["key"] == "new"


def test_units_of_other_inputs_are_refused_or_kept_as_the_stage_says(spark, tmp_path):
    def run(names, others):
        return run_units(
            spark, stage="s", directory=str(tmp_path), units=units(*names),
            execute=execute(spark, str(tmp_path), []), rules=UnitRules(others=others),
        )  # fmt: skip

    run("abc", REFUSE)
    with pytest.raises(SettingError, match=r"2 finished units .* \(a, b\).*--overwrite"):
        run("c", REFUSE)
    assert run("c", KEEP).unit_names == ["c"]
    assert committed_names(str(tmp_path)) == ["a", "b", "c"]
    # More inputs than before are no error: a run of a few files goes on with all.
    assert run("abcd", REFUSE).unit_names == ["a", "b", "c", "d"]


def test_a_key_follows_settings_and_inputs():
    assert unit_key("s", {"a": 1}, code="c") == unit_key("s", {"a": 1}, code="c")
    assert unit_key("s", {"a": 1}, code="c") != unit_key("s", {"a": 2}, code="c")
    assert unit_key("s", {"a": 1}, code="c") != unit_key("s", {"a": 1}, code="d")


def test_a_key_follows_the_version_of_a_package_whose_file_is_used(monkeypatch):
    def keys(installed):
        monkeypatch.setattr(manifests, "package_version", lambda name: f"{name} {installed}")
        return [unit_key({"uri": f"package://{name}"}, code="c") for name in ("a/lid.ftz", "a")]

    first, second = keys("1.0"), keys("1.1")
    assert first[0] != second[0]
    assert first[1] == second[1]


def test_the_names_of_more_than_a_hundred_thousand_shards_sort_like_their_numbers():
    assert numbered_unit(7, 100_000) == "shard-00007"
    names = [numbered_unit(shard, 100_001) for shard in (9, 99_999, 100_000)]
    assert names == sorted(names) == ["shard-000009", "shard-099999", "shard-100000"]
