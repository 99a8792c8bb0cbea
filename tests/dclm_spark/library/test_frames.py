"""Wrong arguments, empty frames, nulls, huge texts, and columns that are carried along."""

import datetime
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import functions as F

import dclm_spark
from dclm_spark.errors import SettingError
from dclm_spark.library import frames

PAGE = "<html><body><main><p>The cat sat on the mat and looked at it.</p></main></body></html>"
ENGLISH = "The cat sat on the mat, and that was all that there was to be said of the cat."


def test_importing_the_package_loads_neither_spark_nor_kernels():
    code = (
        "import sys, dclm_spark\n"
        "assert 'extract_text' in dir(dclm_spark)\n"
        "assert not {'pyspark', 'numba', 'pyarrow', 'torch'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_editors_are_told_of_the_same_names():
    stub = (Path(dclm_spark.__file__).parent / "__init__.pyi").read_text()
    assert sorted(re.findall(r" as (\w+)$", stub, re.M)) == dclm_spark.__all__


def test_every_exported_name_is_a_function_with_a_docstring():
    for name in dclm_spark.__all__:
        assert getattr(dclm_spark, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'extract_texts'"):
        _ = dclm_spark.extract_texts


@pytest.mark.spark
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"text": "txt"}, "text = 'txt': the frame has no such column.*did you mean 'text'"),
        ({"text": "number"}, "text = 'number': the column is int, expected string"),
        ({"language": "Number"}, "has a column 'Number' already"),
        ({"model": "/nowhere/model.bin"}, "model = /nowhere/model.bin: .*no such file"),
    ],
)
def test_wrong_columns_and_models_are_named_before_anything_runs(spark, arguments, message):
    frame = spark.createDataFrame([("a", 1)], "text string, number int")
    with pytest.raises(SettingError, match=message):
        frame.transform(dclm_spark.identify_language, **arguments)


@pytest.mark.spark
def test_what_is_no_frame_and_a_name_that_two_columns_have_are_refused(spark):
    with pytest.raises(SettingError, match="expected a Spark DataFrame"):
        dclm_spark.identify_language("text")
    twice = spark.range(1).select(F.lit("a").alias("text"), F.lit("b").alias("text"))
    with pytest.raises(SettingError, match="2 columns of the frame have this name"):
        dclm_spark.identify_language(twice)


@pytest.mark.spark
def test_an_empty_frame_gives_an_empty_frame_with_the_new_columns(spark):
    empty = spark.createDataFrame([], "html binary, text string")
    found = empty.transform(dclm_spark.extract_text, text="extracted").transform(
        dclm_spark.judge_texts, columns="fate"
    )
    assert found.columns[:3] == ["html", "text", "extracted"]
    assert found.columns[-4:] == ["fate", "rule", "value", "threshold"]
    assert found.collect() == []


@pytest.mark.spark
def test_nulls_have_defined_results(spark):
    rows = [(1, None, None), (2, PAGE.encode(), ENGLISH), (3, b"\xff\xfe<p>caf\xe9", "")]
    frame = spark.createDataFrame(rows, "id int, html binary, text string")
    found = (
        frame.transform(dclm_spark.extract_text, text="extracted")
        .transform(dclm_spark.identify_language)
        .transform(dclm_spark.evaluation_overlap, evaluation={"toy": [ENGLISH]}, ngram_words=5)
        .orderBy("id")
        .collect()
    )
    assert [row["extracted"] for row in found] == [
        None, "The cat sat on the mat and looked at it.", None,
    ]  # fmt: skip
    assert [row["extraction_rule"] for row in found] == [None, None, "not_utf8"]
    assert [row["language"] for row in found] == [None, "en", None]
    assert [row["evaluation_tasks"] for row in found] == [[], ["toy"], []]
    assert [row["evaluation_ngrams"] for row in found] == [0, 15, 0]


@pytest.mark.spark
def test_all_other_columns_are_carried_along_whatever_their_type(spark):
    frame = spark.sql(
        "select 'a.b' as `a.b`, cast(1.50 as decimal(9, 2)) as price, array(1, null) as list, "
        "map('k', struct(1 as x, 'y' as y)) as nested, date'2024-02-29' as day, "
        "timestamp'2024-02-29 12:00:00' as moment, cast(null as int) as nothing, "
        f"binary('raw') as raw, '{ENGLISH}' as text"
    )
    found = frame.transform(dclm_spark.identify_language)
    assert found.drop("language", "language_score").collect() == frame.collect()
    assert found.schema.fields[: len(frame.columns)] == frame.schema.fields
    assert found.collect()[0]["day"] == datetime.date(2024, 2, 29)


@pytest.mark.spark
def test_a_huge_text_is_a_piece_of_its_own(spark):
    frame = spark.createDataFrame([(1,), (2,), (3,)], "id int").withColumn(
        "text", F.expr(f"repeat('{ENGLISH} ', if(id = 2, 200000, 1))")
    )
    found = frame.transform(dclm_spark.identify_language).orderBy("id").collect()
    assert [row["language"] for row in found] == ["en", "en", "en"]
    assert len(found[1]["text"]) > 15_000_000


def test_a_batch_is_cut_by_the_bytes_of_the_columns_that_are_read(monkeypatch):
    monkeypatch.setattr(frames, "PIECE_SIZE_BYTES", 10)
    texts = ["a" * 4, "b" * 6, "c", "d" * 30, None, "e"]
    batch = pa.RecordBatch.from_pydict({"id": list(range(6)), "text": texts})
    cut = [piece.column("id").to_pylist() for piece in frames._pieces(batch, ["text"])]
    assert cut == [[0, 1], [2], [3], [4, 5]]


@pytest.mark.spark
def test_too_large_an_index_names_the_way_with_a_file(spark, monkeypatch):
    from dclm_spark.library import evaluation_overlap as module

    monkeypatch.setattr(module, "MAX_INDEX_SIZE_BYTES", 8)
    frame = spark.createDataFrame([(ENGLISH,)], "text string")
    with pytest.raises(SettingError, match="write_index"):
        dclm_spark.evaluation_overlap(frame, evaluation={"toy": [ENGLISH]})
