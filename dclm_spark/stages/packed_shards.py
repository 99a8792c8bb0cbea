"""Shards of packed sequences: a keyed global shuffle of documents, then of sequences."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from dclm_spark.engine.manifests import StageOutput, Unit, numbered_unit
from dclm_spark.engine.shuffles import TASK, partition_keys
from dclm_spark.engine.tables import spark_schema
from dclm_spark.stages.document_shards import documents_by_cell
from dclm_spark.stages.tokenize import TokenSettings
from udfs.documents.schema import OWN_COLUMNS
from udfs.shards.shard_output import ShardOutput, ShardRows
from udfs.tokens.copies import REPEAT
from udfs.tokens.id_types import IdType
from udfs.tokens.mixing import SOURCE
from udfs.tokens.order import permuted_positions
from udfs.tokens.packing import Packer, Sequence, num_sequences
from udfs.tokens.tokenizer import load_encoder
from udfs.units.commit import COMMITTED, group_by_unit

BATCH_SEQUENCES = 256


@dataclass(frozen=True, kw_only=True)
class ShardLayout:
    """Where every sequence goes, known from the tokenize stage's counts before anything moves."""

    tokens_per_row: int
    sequences_per_shard: int
    id_type: IdType
    # First sequence number of each cell; one entry more than there are cells.
    cell_starts: tuple[int, ...]

    @property
    def num_sequences(self) -> int:
        """All sequences of the corpus."""
        return self.cell_starts[-1]

    @property
    def num_shards(self) -> int:
        """Shards, the remainder included."""
        return num_sequences(self.num_sequences, self.sequences_per_shard)

    @property
    def num_cells(self) -> int:
        """Cells of the shuffle."""
        return len(self.cell_starts) - 1

    @property
    def units(self) -> list[str]:
        """The names of all shards, in order."""
        return [self.unit(shard) for shard in range(self.num_shards)]

    def unit(self, shard: int) -> str:
        """Return the name of a shard; the names sort like the numbers."""
        return numbered_unit(shard, self.num_shards)

    def rows_of(self, shard: int) -> int:
        """Return how many sequences `shard` holds: all the same, only a last remainder fewer."""
        start = shard * self.sequences_per_shard
        return min(self.sequences_per_shard, self.num_sequences - start)

    def wrong(self, output: StageOutput) -> dict[str, str]:
        """Return what is wrong by shard: it has other sequences than it should have."""
        return {
            name: f"{facts['num_sequences']} sequences instead of {self.rows_of(shard)}"
            for shard, (name, facts) in enumerate(output.facts())
            if facts["num_sequences"] != self.rows_of(shard)
        }


def shard_layout(tokens_by_cell: list[int], settings: TokenSettings) -> ShardLayout:
    """Return the layout of the shards of cells of so many tokens, ends of text included."""
    tokens_per_row = settings.format.row_tokens(settings.sequence_length)
    counts = [num_sequences(tokens, tokens_per_row) for tokens in tokens_by_cell]
    starts = tuple(int(start) for start in np.concatenate([[0], np.cumsum(counts)]))
    # A corpus smaller than one shard is one whole shard, not a remainder.
    return ShardLayout(
        tokens_per_row=tokens_per_row,
        sequences_per_shard=max(1, min(settings.sequences_per_shard, starts[-1])),
        id_type=load_encoder(settings.tokenizer).id_type,
        cell_starts=starts,
    )


@dataclass(frozen=True, kw_only=True)
class PackedShards:
    """The work of one run: two shuffles of the ids, by cell and by shard."""

    settings: TokenSettings
    layout: ShardLayout
    output: ShardOutput

    @property
    def units(self) -> list[str]:
        """The names of all shards."""
        return self.layout.units

    def wrong(self, output: StageOutput) -> dict[str, str]:
        """Return what is wrong by shard."""
        return self.layout.wrong(output)

    def execute(
        self, spark: SparkSession, tokenized: StageOutput, pending: list[Unit]
    ) -> DataFrame:
        """Return the rows that appear as the pending shards are committed."""
        tasks = partition_keys(len(pending)).tolist()
        tasks_of = {unit.name: task for unit, task in zip(pending, tasks, strict=True)}
        cells = dict(enumerate(partition_keys(self.layout.num_cells).tolist()))
        schema = self._schema

        def pack(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for cell, rows in group_by_unit(batches, "cell"):
                yield from self._packed(int(cell), rows, tasks_of, schema)

        packed = documents_by_cell(spark, tokenized, cells).mapInArrow(pack, spark_schema(schema))
        placed = packed.repartition(len(pending), TASK.name).sortWithinPartitions("unit", "row")
        return placed.mapInArrow(self._commit, spark_schema(COMMITTED))

    @property
    def _schema(self) -> pa.Schema:
        documents = pa.struct(self.output.documents)
        return pa.schema(
            [
                pa.field("unit", pa.string()),
                TASK,
                pa.field("row", pa.int32()),
                pa.field("tokens", pa.binary()),
                pa.field("documents", pa.list_(documents)),
                pa.field("num_padding_tokens", pa.int32()),
            ]
        )

    def _packed(
        self,
        cell: int,
        rows: Iterator[pa.RecordBatch],
        tasks_of: dict[str, int],
        schema: pa.Schema,
    ) -> Iterator[pa.RecordBatch]:
        sequences = _sequences(rows, self.settings, self.layout)
        waiting = []
        for row in _placed(sequences, cell, self.settings, self.layout):
            if row["unit"] in tasks_of:
                waiting.append(row | {TASK.name: tasks_of[row["unit"]]})
            if len(waiting) == BATCH_SEQUENCES:
                yield pa.RecordBatch.from_pylist(waiting, schema)
                waiting = []
        yield pa.RecordBatch.from_pylist(waiting, schema)

    def _commit(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for unit, rows in group_by_unit(batches, "unit"):
            yield self.output.commit(unit, (_shard_rows(batch, self.output) for batch in rows))


def _shard_rows(batch: pa.RecordBatch, output: ShardOutput) -> ShardRows:
    documents = [
        {"row": row, **document}
        for row, documents in zip(
            batch.column("row").to_pylist(), batch.column("documents").to_pylist(), strict=True
        )
        for document in documents
    ]
    return ShardRows(
        tokens=batch.column("tokens"),
        documents=pa.RecordBatch.from_pylist(documents, output.provenance),
        counts={
            "num_sequences": batch.num_rows,
            "num_padding_tokens": sum(batch.column("num_padding_tokens").to_pylist()),
        },
    )


def _sequences(
    rows: Iterator[pa.RecordBatch], settings: TokenSettings, layout: ShardLayout
) -> Iterator[Sequence]:
    # `with_special_ids` has filled them in.
    assert settings.end_of_text_id is not None
    assert settings.padding_id is not None
    packer = Packer(
        tokens_per_row=layout.tokens_per_row,
        end_of_text_id=settings.end_of_text_id,
        padding_id=settings.padding_id,
    )
    for batch in rows:
        for doc_id, domain, tokens, *beside in zip(
            batch.column("doc_id"),
            batch.column("domain"),
            batch.column("tokens"),
            *(_column_or_nulls(batch, one) for one in (OWN_COLUMNS, REPEAT, SOURCE)),
            strict=True,
        ):
            ids = np.frombuffer(tokens.as_py(), layout.id_type)
            own, copy, source = (one.as_py() for one in beside)
            yield from packer.add(doc_id.as_py(), domain.as_py(), ids, own, copy, source)
    yield from packer.finish()


def _column_or_nulls(batch: pa.RecordBatch, field: pa.Field) -> pa.Array:
    present = field.name in batch.schema.names
    return batch.column(field.name) if present else pa.nulls(batch.num_rows, field.type)


def _placed(
    sequences: Iterator[Sequence], cell: int, settings: TokenSettings, layout: ShardLayout
) -> Iterator[dict[str, Any]]:
    """Give each sequence of a cell its shard and row in the keyed order of the whole corpus."""
    start, stop = layout.cell_starts[cell], layout.cell_starts[cell + 1]
    positions = permuted_positions(start, stop, layout.num_sequences, settings.seed)
    for sequence, position in zip(sequences, positions.tolist(), strict=True):
        shard, row = divmod(position, layout.sequences_per_shard)
        yield {
            "unit": layout.unit(shard),
            "row": row,
            "tokens": sequence.tokens.tobytes(),
            "documents": sequence.documents,
            "num_padding_tokens": sequence.num_padding_tokens,
        }
