"""Shuffles cut by size, and rows put into the partition that was chosen for them."""

from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import functions as F

from dclm_spark.engine.shuffles import (
    PARTITION_SIZE_BYTES,
    num_partitions,
    partition_keys,
    sized_shuffles,
)

NAME = "spark.sql.shuffle.partitions"


@pytest.mark.parametrize(
    ("size_bytes", "wanted", "partitions"),
    [
        (0, 200, 1),
        (10 * 1024**2, 200, 1),
        (1024**3, 200, 64),
        (1024**3, 8, 8),
        (1024**3, 2, 4),
        (10 * 1024**4, 200, 40_960),
    ],
)
def test_a_partition_has_work_to_do_and_at_most_256_mib(size_bytes, wanted, partitions):
    assert num_partitions(size_bytes, wanted) == partitions
    assert size_bytes <= partitions * PARTITION_SIZE_BYTES


@pytest.mark.spark
def test_the_setting_of_the_user_is_what_is_wanted_and_is_put_back(spark):
    before = spark.conf.get(NAME)
    spark.conf.set(NAME, "7")
    with sized_shuffles(spark, 10 * 1024**3):
        assert spark.conf.get(NAME) == "40"
        with sized_shuffles(spark, 1024**3):
            assert spark.conf.get(NAME) == "7"
        assert spark.conf.get(NAME) == "40"
    with suppress(RuntimeError), sized_shuffles(spark, 0):
        assert spark.conf.get(NAME) == "1"
        raise RuntimeError
    assert spark.conf.get(NAME) == "7"
    spark.conf.set(NAME, before)


def test_a_platform_that_sets_the_number_itself_is_gone_along_with(caplog):
    class Managed:
        def get(self, name):
            return "auto"

        def set(self, name, value):
            raise AnalysisException("[CONFIG_NOT_AVAILABLE] it is managed")

    with sized_shuffles(SimpleNamespace(conf=Managed()), 10 * 1024**3):
        assert "shuffle.partitions could not be set, going on without: [CONFIG" in caplog.text


@pytest.mark.spark
@pytest.mark.parametrize("count", [1, 2, 97, 1000])
def test_every_partition_gets_the_rows_of_its_own_key_and_no_others(spark, count):
    keys = partition_keys(count)
    assert len(np.unique(keys)) == count
    rows = spark.createDataFrame(list(enumerate(keys.tolist())), "unit int, task int")
    placed = rows.repartition(count, "task").select("unit", F.spark_partition_id().alias("at"))
    assert all(row["unit"] == row["at"] for row in placed.collect())
