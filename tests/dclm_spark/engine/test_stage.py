"""Units commit once, resume by key, and the books must balance."""

import json

import pyarrow as pa
import pytest

from dclm_spark.engine import manifests
from dclm_spark.engine.books import check_balance
from dclm_spark.engine.manifests import Unit, unit_key
from dclm_spark.engine.stage import run_units
from dclm_spark.engine.tables import read_files, spark_schema, work_frame
from dclm_spark.errors import BalanceError, StageError
from udfs.documents.schema import EXTRACTED
from udfs.units.commit import COMMITTED, UnitClock, commit
from udfs.units.fates import FateOutputs

pytestmark = pytest.mark.spark

WORK = pa.schema([("unit", pa.string()), ("key", pa.string())])


def document(unit, fate):
    return {name: None for name in EXTRACTED.names} | {
        "doc_id": unit.encode().ljust(16), "url": f"https://{unit}.example/", "text": "a b c",
        "fate": fate, "stage": "s", "rule": None if fate == "kept" else "r",
    }  # fmt: skip


def execute(spark, directory, calls, fail=()):
    def run(pending):
        calls.append([unit.name for unit in pending])
        rows = [{"unit": unit.name, "key": unit.key} for unit in pending]

        def write(batches):
            for batch in batches:
                for row in batch.to_pylist():
                    if row["unit"] in fail:
                        raise ValueError("a planted failure; try again")
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


def test_books_that_do_not_balance_fail(spark, tmp_path):
    output = run_units(
        spark, stage="s", directory=str(tmp_path), units=units("a"),
        execute=execute(spark, str(tmp_path), []),
    )  # fmt: skip
    check_balance("s", 2, output)
    with pytest.raises(BalanceError, match="3 documents came in, but 1 kept"):
        check_balance("s", 3, output)


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
