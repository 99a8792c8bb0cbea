"""Tokenized documents by cell of the shuffle: how many tokens each has, and its rows together."""

import json
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dclm_spark.engine.manifests import StageOutput
from dclm_spark.engine.shuffles import TASK
from dclm_spark.engine.tables import read_files
from dclm_spark.stages.tokenize import FOLDER, has_own_columns
from udfs import storage
from udfs.documents.schema import OWN_COLUMNS

_COUNTS = pa.schema([pa.field("cell", pa.int32()), pa.field("num_tokens", pa.int64())])
_DOCUMENTS = pa.schema(
    [
        pa.field("doc_id", pa.binary()),
        pa.field("domain", pa.string()),
        pa.field("cell", pa.int32()),
        pa.field("order_key", pa.int64()),
        pa.field("tokens", pa.binary()),
    ]
)


def tokens_by_cell(spark: SparkSession, tokenized: StageOutput) -> list[int]:
    """Return the tokens of each cell of `tokenized` documents, an end of text for each included.

    Counted from the rows, as cells times units are too many numbers to keep; the result is written
    beside the stage and read again while its data is the same.
    """
    uri = f"{tokenized.directory}-cells.json"
    if storage.exists(uri):
        stored = json.loads(storage.read_bytes(uri))
        if stored["fingerprint"] == tokenized.fingerprint:
            return list(stored["tokens_by_cell"])
    uris = [file["uri"] for file in tokenized.files(f"{FOLDER}/")]
    found: dict[int, int] = {}
    if uris:
        tokens = F.sum(F.col("num_tokens") + 1).alias("tokens")
        rows = read_files(spark, uris, _COUNTS).groupBy("cell").agg(tokens).collect()
        found = {row["cell"]: int(row["tokens"]) for row in rows}
    counts = [found.get(cell, 0) for cell in range(max(found, default=-1) + 1)]
    text = json.dumps({"fingerprint": tokenized.fingerprint, "tokens_by_cell": counts})
    storage.write_bytes(uri, text.encode())
    return counts


def documents_by_cell(
    spark: SparkSession, tokenized: StageOutput, tasks: Mapping[int, int]
) -> DataFrame:
    """Return the documents of the cells in `tasks`, each cell in its order, whole in one partition.

    `tasks` has the partition key of each cell (`partition_keys`); others are left out.
    """
    files = tokenized.files(f"{FOLDER}/")
    own = [OWN_COLUMNS] if has_own_columns(files) else []
    schema = pa.schema([*_DOCUMENTS, *own])
    cells, keys = pa.array(list(tasks), pa.int32()), pa.array(list(tasks.values()), pa.int32())

    def place(batch: pa.RecordBatch) -> pa.RecordBatch:
        wanted = pc.is_in(batch.column("cell"), cells)
        batch = batch.filter(wanted)
        return batch.append_column(TASK, keys.take(pc.index_in(batch.column("cell"), cells)))

    placed = read_files(
        spark,
        [file["uri"] for file in files],
        schema,
        transform=place,
        output_schema=pa.schema([*schema, TASK]),
    )
    together = placed.repartition(len(tasks), TASK.name)
    return together.sortWithinPartitions("cell", "order_key", "doc_id")
