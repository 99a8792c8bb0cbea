"""Documents in the order of the shuffle, cell by cell, and shards of them as they are.

Trainers that pack by themselves read shards of whole documents, one for each cell.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dclm_spark.engine.manifests import StageOutput, Unit, numbered_unit
from dclm_spark.engine.shuffles import TASK, partition_keys
from dclm_spark.engine.tables import read_files, spark_schema
from dclm_spark.stages.tokenize import FOLDER, has_column
from udfs import storage
from udfs.documents.schema import OWN_COLUMNS
from udfs.shards.shard_output import ShardOutput, ShardRows
from udfs.tokens.copies import REPEAT, REPEATS, copied
from udfs.tokens.mixing import SOURCE
from udfs.units.commit import COMMITTED, group_by_unit

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
_COUNTS_OF_COPIES = pa.schema([*_COUNTS, pa.field("order_key", pa.int64()), REPEATS])


class _Copies(NamedTuple):
    """Whether documents enter the corpus more than once, and into how many cells."""

    repeats: bool
    cells: int

    @classmethod
    def of(cls, tokenized: StageOutput) -> "_Copies":
        repeats = has_column(tokenized.files(f"{FOLDER}/"), REPEATS)
        return cls(repeats, next(iter(tokenized.facts()))[1]["cells"] if repeats else 0)

    def made(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return documents as often as they enter the corpus."""
        return copied(batch, self.cells) if self.repeats else batch


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
    files = tokenized.files(f"{FOLDER}/")
    found: dict[int, int] = {}
    if files:
        copies = _Copies.of(tokenized)
        read = _COUNTS_OF_COPIES if copies.repeats else _COUNTS
        uris = [file["uri"] for file in files]
        rows = read_files(spark, uris, read, transform=copies.made, output_schema=_COUNTS)
        tokens = F.sum(F.col("num_tokens") + 1).alias("tokens")
        rows = rows.groupBy("cell").agg(tokens).collect()
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
    copies = _Copies.of(tokenized)
    beside = [one for one in (OWN_COLUMNS, SOURCE) if has_column(files, one)]
    schema = pa.schema([*_DOCUMENTS, *beside, *([REPEATS] if copies.repeats else [])])
    numbers = [REPEAT] if copies.repeats else []
    cells, keys = pa.array(list(tasks), pa.int32()), pa.array(list(tasks.values()), pa.int32())

    def place(batch: pa.RecordBatch) -> pa.RecordBatch:
        batch = copies.made(batch)
        wanted = pc.is_in(batch.column("cell"), cells)
        batch = batch.filter(wanted)
        return batch.append_column(TASK, keys.take(pc.index_in(batch.column("cell"), cells)))

    placed = read_files(
        spark,
        [file["uri"] for file in files],
        schema,
        transform=place,
        output_schema=pa.schema([*schema, *numbers, TASK]),
    )
    together = placed.repartition(len(tasks), TASK.name)
    return together.sortWithinPartitions("cell", "order_key", "doc_id")


@dataclass(frozen=True, kw_only=True)
class DocumentShards:
    """The work of one run: one shuffle of the ids, by cell.

    Cells are ranges of the documents' keys, so documents in their order, cell by cell, are the
    whole corpus in the order of the seed.
    """

    # Of each cell, ends of text included.
    tokens_by_cell: tuple[int, ...]
    end_of_text_id: int
    output: ShardOutput

    @property
    def units(self) -> list[str]:
        """The names of all shards: a cell without documents has none."""
        return list(self._cells)

    @property
    def _cells(self) -> dict[str, int]:
        count = len(self.tokens_by_cell)
        counts = enumerate(self.tokens_by_cell)
        return {numbered_unit(cell, count): cell for cell, tokens in counts if tokens}

    def wrong(self, output: StageOutput) -> dict[str, str]:
        """Return what is wrong by shard: it has other tokens than its cell."""
        cells = self._cells
        return {
            name: f"{facts['num_tokens']} tokens instead of {self.tokens_by_cell[cells[name]]}"
            for name, facts in output.facts()
            if facts["num_tokens"] != self.tokens_by_cell[cells[name]]
        }

    def execute(
        self, spark: SparkSession, tokenized: StageOutput, pending: list[Unit]
    ) -> DataFrame:
        """Return the rows that appear as the pending shards are committed."""
        cells = self._cells
        names = {cells[unit.name]: unit.name for unit in pending}
        tasks = dict(zip(names, partition_keys(len(names)).tolist(), strict=True))

        def commit(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for cell, rows in group_by_unit(batches, "cell"):
                yield self.output.commit(names[int(cell)], self._rows(rows))

        documents = documents_by_cell(spark, tokenized, tasks)
        return documents.mapInArrow(commit, spark_schema(COMMITTED))

    def _rows(self, batches: Iterator[pa.RecordBatch]) -> Iterator[ShardRows]:
        id_type = self.output.id_type
        end_of_text = np.array([self.end_of_text_id], id_type).tobytes()
        done = 0
        for batch in batches:
            tokens = batch.column("tokens")
            end, nothing = (pa.scalar(one, tokens.type) for one in (end_of_text, b""))
            tokens = pc.binary_join_element_wise(tokens, end, nothing)
            counts = pc.divide(pc.binary_length(tokens), id_type.itemsize)
            columns = {
                "row": pa.array(range(done, done + batch.num_rows), pa.int32()),
                "start": pa.array(np.zeros(batch.num_rows, np.int32)),
                "num_tokens": counts.cast(pa.int32()),
            }
            for name, column in columns.items():
                batch = batch.append_column(name, column)
            done += batch.num_rows
            yield ShardRows(
                tokens=tokens,
                documents=batch.select(self.output.provenance.names),
                counts={"num_documents": batch.num_rows, "num_tokens": pc.sum(counts).as_py() or 0},
            )
