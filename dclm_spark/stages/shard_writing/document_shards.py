"""Shards of whole documents in shuffled order, one for each cell, for trainers that pack."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession

from dclm_spark.engine.manifests import StageOutput, Unit, numbered_unit
from dclm_spark.engine.shuffles import partition_keys
from dclm_spark.engine.tables import spark_schema
from dclm_spark.stages.shard_writing.cells import documents_by_cell
from udfs.shards.shard_output import ShardOutput, ShardRows
from udfs.units.commit import COMMITTED, group_by_unit


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
        end = pa.scalar(np.array([self.end_of_text_id], id_type).tobytes(), pa.binary())
        separator = pa.scalar(b"", pa.binary())
        done = 0
        for batch in batches:
            tokens = pc.binary_join_element_wise(batch.column("tokens"), end, separator)
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
