"""Tables that are written by tasks, as on object stores, where Spark's writer needs jars."""

import pytest
from pyspark.sql import functions as F

from dclm_spark.engine.tables import read_parts, write_by_tasks

pytestmark = pytest.mark.spark


def frame(spark, rows):
    numbers = spark.range(0, rows, 1, 3)
    return numbers.select(
        F.sha2(F.col("id").cast("string"), 256).cast("binary").alias("doc_id"),
        F.when(F.col("id") % 5 != 0, F.concat(F.lit("é"), F.col("id"))).alias("text"),
        F.array(F.col("id"), F.col("id") + 1).alias("hashes"),
        (F.col("id") / 7).alias("share"),
    )


def sorted_rows(rows):
    return sorted(map(str, rows.collect()))


def test_a_table_written_by_tasks_is_read_as_it_was(spark, tmp_path):
    rows = frame(spark, 50)
    write_by_tasks(rows, str(tmp_path / "table"))
    found = read_parts(spark, str(tmp_path / "table"))
    assert found.schema.simpleString() == rows.schema.simpleString()
    assert sorted_rows(found) == sorted_rows(rows)


def test_a_second_writing_leaves_nothing_of_the_first(spark, tmp_path):
    write_by_tasks(frame(spark, 50), str(tmp_path / "table"))
    fewer = frame(spark, 4).coalesce(1)
    write_by_tasks(fewer, str(tmp_path / "table"))
    assert sorted_rows(read_parts(spark, str(tmp_path / "table"))) == sorted_rows(fewer)


def test_a_table_without_rows_keeps_its_columns(spark, tmp_path):
    empty = frame(spark, 50).where("share < 0")
    write_by_tasks(empty, str(tmp_path / "table"))
    found = read_parts(spark, str(tmp_path / "table"))
    assert found.columns == empty.columns
    assert found.count() == 0
