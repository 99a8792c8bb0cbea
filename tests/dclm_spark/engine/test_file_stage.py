"""A stage over files is one value: it runs, resumes and balances by the engine alone."""

import json

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from dclm_spark.engine.file_stage import FileStage, UnitSource, sources_of
from dclm_spark.errors import BalanceError, StageError
from udfs.documents.schema import EXTRACTED
from udfs.storage.parquet import read_table
from udfs.units.fates import with_fate

pytestmark = pytest.mark.spark

LENGTHS = pa.schema([("doc_id", pa.binary()), ("characters", pa.int64())])
TEXTS = {"a": ["one", "a longer text"], "b": ["two"], "c": ["three words here", ""]}


def read_lines(source, output):
    """The toy documents stage: a text is a document, and an empty one is dropped."""
    for place, text in enumerate(source["texts"]):
        document = dict.fromkeys(EXTRACTED.names) | {
            "doc_id": f"{source['name']}{place}".ljust(16).encode(), "text": text,
            "url": f"https://{source['name']}.example/{place}",
        }  # fmt: skip
        batch = pa.RecordBatch.from_pylist([document], EXTRACTED)
        rule = pa.array([None if text else "empty_text"], pa.string())
        nothing = pa.nulls(1, pa.float64())
        output.write(with_fate(batch, stage="lines", rule=rule, value=nothing, threshold=nothing))
    output.facts["name"] = source["name"]


def measure_lengths(source, output):
    """The toy scores stage: a table of its own beside the texts of one file."""
    for batch in read_table(source["uri"], ["doc_id", "text"]):
        lengths = pc.utf8_length(batch.column("text")).cast(pa.int64())
        output.write(pa.RecordBatch.from_arrays([batch.column("doc_id"), lengths], schema=LENGTHS))


def sources(names="abc", documents=None):
    return [
        UnitSource(
            unit=name, identity=TEXTS[name], source={"name": name, "texts": TEXTS[name]},
            documents=len(TEXTS[name]) if documents is None else documents,
        )
        for name in names
    ]  # fmt: skip


LINES = FileStage(name="lines", schema=EXTRACTED, process=read_lines)
LENGTH = FileStage(name="length", schema=LENGTHS, process=measure_lengths, folder="lengths")


def written(folder):
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*.parquet")
    }


def test_a_stage_writes_a_table_for_each_fate_and_the_next_reads_what_was_kept(spark, tmp_path):
    lines = LINES.run(spark, sources(), str(tmp_path / "lines"))
    assert [facts["name"] for _, facts in lines.facts()] == ["a", "b", "c"]
    assert {file["path"]: file["rows"] for file in lines.files("")} == {
        "kept/a.parquet": 2, "kept/b.parquet": 1, "kept/c.parquet": 1, "dropped/c.parquet": 1,
    }  # fmt: skip
    lengths = LENGTH.run(spark, sources_of(lines), str(tmp_path / "length"))
    found = [pq.read_table(file["uri"]) for file in lengths.files("lengths/")]
    assert pa.concat_tables(found).column("characters").to_pylist() == [3, 13, 3, 16]


def test_a_second_run_does_nothing_and_a_third_what_changed(spark, tmp_path):
    LINES.run(spark, sources(), str(tmp_path))
    first = written(tmp_path)
    LINES.run(spark, sources(), str(tmp_path))
    assert written(tmp_path) == first
    changed = [*sources("ab"), UnitSource(unit="c", identity="other", source={"name": "c",
               "texts": ["four"]}, documents=1)]  # fmt: skip
    LINES.run(spark, changed, str(tmp_path))
    again = written(tmp_path)
    assert {path for path in first if again.get(path) == first[path]} == {
        "kept/a.parquet", "kept/b.parquet"
    }  # fmt: skip
    assert pq.read_table(tmp_path / "kept" / "c.parquet").column("text").to_pylist() == ["four"]


def test_the_address_of_a_file_is_no_part_of_its_unit(spark, tmp_path):
    LINES.run(spark, sources("a"), str(tmp_path))
    first = written(tmp_path)
    moved = UnitSource(unit="a", identity=TEXTS["a"], source={"name": "elsewhere", "texts": []},
                       documents=2)  # fmt: skip
    LINES.run(spark, [moved], str(tmp_path))
    assert written(tmp_path) == first


def test_a_stage_that_loses_a_document_fails(spark, tmp_path):
    with pytest.raises(BalanceError, match="lines: 9 documents came in, but 4 kept"):
        LINES.run(spark, sources(documents=3), str(tmp_path))


def test_a_failed_unit_leaves_no_table_and_is_done_by_the_next_run(spark, tmp_path, monkeypatch):
    temporary, broken = tmp_path / "temporary", tmp_path / "broken"
    temporary.mkdir()
    broken.touch()

    def process(source, output):
        import tempfile
        from pathlib import Path

        tempfile.tempdir = source["temporary"]
        try:
            for _ in range(2):
                read_lines(source, output)
                if source["name"] == "b" and Path(source["broken"]).exists():
                    raise ValueError("a planted failure")
        finally:
            tempfile.tempdir = None

    places = {"temporary": str(temporary), "broken": str(broken)}
    planted = [
        UnitSource(unit=one.unit, identity=one.identity, source=one.source | places, documents=4)
        for one in sources("ab")
    ]
    planted = [planted[0], UnitSource(**vars(planted[1]) | {"documents": 2})]
    stage = FileStage(name="lines", schema=EXTRACTED, process=process)
    output = tmp_path / "output"
    with pytest.raises(StageError, match="a planted failure"):
        stage.run(spark, planted, str(output))
    assert not list(output.rglob("b.*"))
    assert list(temporary.iterdir()) == []
    broken.unlink()
    done = stage.run(spark, planted, str(output))
    assert json.loads((output / "stage.json").read_text())["num_units"] == 2
    assert sum(file["rows"] for file in done.files("kept/")) == 6
