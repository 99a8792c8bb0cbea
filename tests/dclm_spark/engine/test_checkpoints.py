"""Tables between steps: the same bytes for the same rows, found again under the same key."""

from pathlib import Path

import pytest
from pyspark.sql import functions as F

from dclm_spark.engine.checkpoints import (
    Checkpoints,
    TableLayout,
    has_table,
    open_table,
    table_schema,
    write_table,
)
from dclm_spark.engine.tables import extent_of, read_files

pytestmark = pytest.mark.spark
THREE_FILES = TableLayout(by=("doc_id",), size_bytes=300 * 1024**2)


def frame(spark, rows, partitions=3):
    numbers = spark.range(0, rows, 1, partitions)
    return numbers.select(
        F.sha2(F.col("id").cast("string"), 256).cast("binary").alias("doc_id"),
        F.when(F.col("id") % 5 != 0, F.concat(F.lit("é"), F.col("id"))).alias("text"),
        F.array(F.col("id"), F.col("id") + 1).alias("hashes"),
        (F.col("id") / 7).alias("share"),
    )


def sorted_rows(rows):
    return sorted(map(str, rows.collect()))


def files(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def test_a_table_is_read_as_it_was_written(spark, tmp_path):
    rows = frame(spark, 50)
    assert not has_table(str(tmp_path))
    assert write_table(rows, str(tmp_path), THREE_FILES) == 50
    assert has_table(str(tmp_path))
    by_spark = open_table(spark, str(tmp_path))
    parts = sorted(str(path) for path in tmp_path.glob("*.parquet"))
    assert len(parts) == 3
    by_tasks = read_files(spark, parts, table_schema(str(tmp_path)))
    for found in (by_spark, by_tasks):
        assert found.schema.simpleString() == rows.schema.simpleString()
        assert sorted_rows(found) == sorted_rows(rows)


def test_names_and_bytes_follow_from_the_rows_alone(spark, tmp_path):
    for name, partitions in (("one", 1), ("seven", 7)):
        rows = frame(spark, 200, partitions).orderBy(F.col("share").desc())
        write_table(rows.repartition(partitions), str(tmp_path / name), THREE_FILES)
    one = files(tmp_path / "one")
    assert set(one) == {*(f"part-0000{n}.parquet" for n in range(3)), "parts.json"}
    assert files(tmp_path / "seven") == one


def test_a_second_writing_leaves_nothing_of_the_first(spark, tmp_path):
    write_table(frame(spark, 50), str(tmp_path), THREE_FILES)
    fewer = frame(spark, 4)
    write_table(fewer, str(tmp_path), TableLayout(by=("doc_id",)))
    assert sorted_rows(open_table(spark, str(tmp_path))) == sorted_rows(fewer)
    assert len(list(tmp_path.glob("*.parquet"))) == 1


def test_a_table_without_rows_keeps_its_columns(spark, tmp_path):
    empty = frame(spark, 50).where("share < 0")
    assert write_table(empty, str(tmp_path), THREE_FILES) == 0
    found = open_table(spark, str(tmp_path))
    assert found.schema.simpleString() == empty.schema.simpleString()
    assert found.count() == 0


def test_a_table_is_found_again_under_its_key_and_no_other(spark, tmp_path):
    tables = Checkpoints(spark=spark, directory=str(tmp_path), key="k")
    layout = TableLayout(by=("doc_id",))
    built = []

    def build(rows):
        built.append(rows)
        return frame(spark, rows)

    _, facts = tables.table("t", lambda: build(5), layout, facts=lambda rows: {"n": rows.count()})
    assert facts == {"rows": 5, "n": 5}
    again, facts = tables.table("t", lambda: build(6), layout)
    assert (again.count(), facts["n"], built) == (5, 5, [5])
    other, _ = tables.keyed("more").table("t", lambda: build(7), layout)
    assert (other.count(), built) == (7, [5, 7])


def test_a_frame_has_the_same_extent_in_any_order_and_another_for_other_rows(spark):
    columns = ("doc_id", "text", "hashes")
    rows = frame(spark, 40)
    extent = extent_of(rows, columns)
    assert extent.num_rows == 40
    assert extent.text_size_bytes == sum(
        len(row["text"].encode()) for row in rows.collect() if row["text"]
    )
    assert extent_of(rows.orderBy("share").repartition(7), columns) == extent
    assert extent_of(frame(spark, 39), columns).key != extent.key
    changed = rows.withColumn("text", F.when(F.col("share") > 5, "x").otherwise(F.col("text")))
    assert extent_of(changed, columns).key != extent.key
