"""Tables of a dedup run that are written once and read again when the run is resumed."""

import json
from collections.abc import Callable
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from udfs import storage


def checkpoint(
    spark: SparkSession,
    directory: str,
    name: str,
    key: str,
    build: Callable[[], DataFrame],
    facts: Callable[[DataFrame], dict[str, Any]] = lambda _: {},
) -> tuple[DataFrame, dict[str, Any]]:
    """Return the table `name` below `directory` and its facts, building it unless it is there.

    It is there when its marker holds `key`, which must name everything that the rows depend on:
    input, settings, code version. `facts` are computed from the written table and kept beside it.
    """
    table, marker = storage.join(directory, name), storage.join(directory, f"{name}.json")
    if storage.exists(marker):
        stored = json.loads(storage.read_bytes(marker))
        if stored["key"] == key:
            return spark.read.parquet(table), stored["facts"]
    storage.delete(marker)
    build().write.mode("overwrite").parquet(table)
    written = spark.read.parquet(table)
    found = facts(written)
    text = json.dumps({"key": key, "facts": found}, sort_keys=True)
    storage.write_bytes(marker, text.encode())
    return written, found
