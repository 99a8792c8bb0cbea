"""The task's own line first: no frames of Java, whatever befell the job."""

import re

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import functions as F

from dclm_spark.task_errors import failed_task, task_error

# As Spark 4 says it (shortened): local, standalone and YARN.
ABORTED = (
    "Job aborted due to stage failure: Task 21 in stage 5.0 failed 4 times, most recent failure: "
    "Lost task 21.3 in stage 5.0 (TID 88) (10.0.0.7 executor 3): {}\n"
    "\tat org.apache.spark.scheduler.DAGScheduler.abortStage(DAGScheduler.scala:2935)\n"
    "\t... 14 more\nDriver stacktrace:\n\tat java.lang.Thread.run(Thread.java:840)"
)
PYTHON = (
    "org.apache.spark.api.python.PythonException: Traceback (most recent call last):\n"
    '  File "/opt/udfs/units/curate.py", line 71, in curate_file\n    raise BooksError(text)\n'
    "udfs.units.commit.BooksError: s3://c/a.warc.gz gave 5 documents, but 4 have a fate\n"
    "\tat org.apache.spark.api.python.BasePythonRunner.run(PythonRunner.scala:594)"
)


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (PYTHON, "s3://c/a.warc.gz gave 5 documents, but 4 have a fate"),
        ("ExecutorLostFailure (executor 3 exited caused by one of the running tasks) Reason: "
         "Command exited with code 137", "executors were lost.*code 137"),
        ("java.io.IOException: No space left on device", "larger disks"),
        ("org.apache.spark.SparkException: Python worker exited unexpectedly (crashed)",
         "a Python worker was killed, most often for memory"),
        ("java.lang.OutOfMemoryError: Java heap space", r"raise spark\.executor\.memory"),
    ],
)  # fmt: skip
def test_a_failed_job_says_in_one_line_what_to_do(cause, expected):
    error = RuntimeError(ABORTED.format(cause))
    text = task_error(error)
    assert "\n" not in text
    assert "DAGScheduler" not in text
    assert re.search(expected, text)
    assert failed_task(error) == 21


def test_results_that_are_too_large_name_the_setting():
    text = task_error(
        RuntimeError(
            "Job aborted due to stage failure: Total size of serialized results of 8 tasks "
            "(1100.0 MiB) is bigger than spark.driver.maxResultSize 1024.0 MiB.\n\tat a.b.C.d(E)"
        )
    )
    assert "exceed spark.driver.maxResultSize: raise it" in text


@pytest.mark.spark
def test_the_number_of_the_failed_task_is_read_off_a_real_job(spark):
    frame = spark.range(0, 4, 1, 4).where(F.expr("if(id = 2, raise_error('planted'), true)"))
    with pytest.raises(PySparkException) as error:
        frame.agg(F.sum("id")).collect()
    assert failed_task(error.value) in (2, None)
    assert "planted" in task_error(error.value)
    assert "\n" not in task_error(error.value)
