"""Work as tasks: each row is committed once, and what a worker has loaded is left alone."""

import gc
import os

from pyspark import TaskContext
from pyspark.sql import SparkSession

from dclm_spark.engine.unit_tasks import commit_each
from udfs.units.commit import committed


def test_each_row_of_work_is_a_task_that_reports(spark: SparkSession) -> None:
    def commit_row(row: dict[str, str]):
        context = TaskContext.get()
        assert context is not None
        return committed(row["unit"], 10 * int(row["number"]) + context.partitionId())

    work = [{"unit": f"unit-{number}", "number": str(number)} for number in range(4)]
    reported = {row.unit: row.rows for row in commit_each(spark, work, commit_row).collect()}
    assert sorted(reported) == [f"unit-{number}" for number in range(4)]
    assert [reported[f"unit-{number}"] // 10 for number in range(4)] == [0, 1, 2, 3]
    assert sorted(rows % 10 for rows in reported.values()) == [0, 1, 2, 3]


def test_fewer_tasks_share_the_rows(spark: SparkSession) -> None:
    def commit_row(row: dict[str, str]):
        context = TaskContext.get()
        assert context is not None
        return committed(row["unit"], context.partitionId())

    work = [{"unit": f"unit-{number}"} for number in range(6)]
    reported = commit_each(spark, work, commit_row, max_tasks=2).collect()
    assert len(reported) == 6
    assert {row.rows for row in reported} == {0, 1}


def test_what_the_first_unit_loaded_is_not_collected_again(spark: SparkSession) -> None:
    def commit_row(row: dict[str, str]):
        return committed(f"{row['unit']} {os.getpid()}", gc.get_freeze_count())

    work = [{"unit": f"unit-{number}"} for number in range(2)]
    first, second = commit_each(spark, work, commit_row, max_tasks=1).collect()
    assert first.unit.split()[1] == second.unit.split()[1] != str(os.getpid())
    assert second.rows > 10_000
    assert gc.get_freeze_count() == 0
