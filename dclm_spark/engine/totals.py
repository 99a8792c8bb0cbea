"""Statistics of a stage's units added up: by the driver one at a time, of many units by tasks."""

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dclm_spark.engine.manifests import delete_many, read_many
from dclm_spark.engine.stage_output import StageOutput
from dclm_spark.engine.tables import spark_schema, work_frame
from udfs import storage
from udfs.units.commit import COMMITTED, STATISTICS, committed
from udfs.units.totals import Totals

LOGGER = logging.getLogger("dclm_spark")

# So many files are added up by one task, and no more than that by the driver.
FAN_IN = 256
TOTALS = "statistics.json"
_MERGED = "merged"
_GROUP = pa.schema([("uri", pa.string()), ("parts", pa.string())])


def stage_totals(spark: SparkSession, output: StageOutput) -> dict[str, Any]:
    """Return the statistics of all units of `output`, added up (`udfs.units.totals.Totals`).

    They are kept beside the stage and read again while the units' own are the same.
    """
    digest = _digest(output)
    uri = storage.join(output.directory, TOTALS)
    if storage.exists(uri):
        stored: dict[str, Any] = json.loads(storage.read_bytes(uri))
        if stored["units"] == digest:
            return dict(stored["totals"])
    paths = pc.drop_null(output.units["statistics_path"]).to_pylist()
    totals = added_up(spark, [storage.join(output.directory, path) for path in paths], output)
    text = json.dumps({"units": digest, "totals": totals}, ensure_ascii=False)
    storage.write_bytes(uri, text.encode())
    return totals


def _digest(output: StageOutput) -> str:
    digest = hashlib.sha256()
    for batch in output.units.select(["unit", "statistics_sha256"]).to_batches(FAN_IN):
        digest.update(json.dumps(batch.to_pydict(), sort_keys=True).encode())
    return digest.hexdigest()[:32]


def added_up(spark: SparkSession, uris: Sequence[str], output: StageOutput) -> dict[str, Any]:
    """Add up statistics files; while there are more than FAN_IN, tasks add up groups of them.

    The groups are cut by place, so that the result does not depend on who computed it.
    """
    folder = storage.join(output.directory, STATISTICS, _MERGED)
    level, written = 0, []
    while len(uris) > FAN_IN:
        groups = [list(uris[at : at + FAN_IN]) for at in range(0, len(uris), FAN_IN)]
        LOGGER.info("%s: adding up the statistics of %d files", output.stage, len(uris))
        uris = [storage.join(folder, f"{level}-{place}.json") for place in range(len(groups))]
        _add_up_groups(spark, dict(zip(uris, groups, strict=True)))
        written += uris
        level += 1
    totals = Totals()
    for text in read_many(uris):
        totals.add(json.loads(text))
    delete_many(written)
    return totals.facts()


def _add_up_groups(spark: SparkSession, groups: dict[str, list[str]]) -> None:
    """Write the totals of each group of files to the URI that is its key, one task a group."""
    rows = [{"uri": uri, "parts": json.dumps(parts)} for uri, parts in groups.items()]

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for row in batch.to_pylist():
                _write_totals(row["uri"], json.loads(row["parts"]))
                yield committed(row["uri"], 1)

    frame: DataFrame = work_frame(spark, rows, _GROUP).mapInArrow(run, spark_schema(COMMITTED))
    frame.agg(F.sum("rows")).collect()


def _write_totals(uri: str, parts: Iterable[str]) -> None:
    totals = Totals()
    for part in parts:
        totals.add(json.loads(storage.read_bytes(part)))
    text = json.dumps(totals.facts(), ensure_ascii=False, separators=(",", ":"))
    storage.write_bytes(uri, text.encode())
