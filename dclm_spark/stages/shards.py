"""The shard stage: a keyed global shuffle of documents, then of sequences, into exact shards."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dclm_spark.engine.code_version import code_version
from dclm_spark.engine.manifests import StageOutput, Unit, numbered_unit, unit_key
from dclm_spark.engine.shuffles import TASK, partition_keys
from dclm_spark.engine.stage import UnitRules, run_units
from dclm_spark.engine.tables import read_files, spark_schema
from dclm_spark.errors import InputError
from dclm_spark.shard_format import (
    ROWS_PER_GROUP,
)
from dclm_spark.stages.shard_rows import (
    CELLS,
    CELLS_OF_COPIES,
    Extras,
    extras_of,
    packed_rows,
    provenance_rows,
    tokenized_rows,
)
from dclm_spark.stages.tokenize import FOLDER, TokenSettings
from udfs import storage
from udfs.documents.schema import OWN_COLUMNS
from udfs.tokens.copies import REPEAT
from udfs.tokens.order import permuted_positions
from udfs.tokens.packing import Packer, Sequence, num_sequences
from udfs.units.commit import COMMITTED, UnitClock, commit, group_by_unit
from udfs.units.parquet_output import ParquetOutput

STAGE = "shards"
BatchFunction = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]
PROVENANCE_SUFFIX = ".provenance.parquet"
BATCH_SEQUENCES = 256

_TOKENS = pa.schema([pa.field("tokens", pa.binary())])


@dataclass(frozen=True, kw_only=True)
class ShardLayout:
    """Where every sequence goes, known from the tokenize stage's counts before anything moves."""

    tokens_per_row: int
    sequences_per_shard: int
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

    def unit(self, shard: int) -> str:
        """Return the name of a shard; the names sort like the numbers."""
        return numbered_unit(shard, self.num_shards)

    def rows_of(self, shard: int) -> int:
        """Return how many sequences `shard` holds: all the same, only a last remainder fewer."""
        start = shard * self.sequences_per_shard
        return min(self.sequences_per_shard, self.num_sequences - start)


def shard_layout(tokens_by_cell: list[int], settings: TokenSettings) -> ShardLayout:
    """Return the layout of the shards of cells of so many tokens, ends of text included."""
    tokens_per_row = settings.sequence_length + 1
    counts = [num_sequences(tokens, tokens_per_row) for tokens in tokens_by_cell]
    starts = tuple(int(start) for start in np.concatenate([[0], np.cumsum(counts)]))
    # A corpus smaller than one shard is one whole shard, not a remainder.
    return ShardLayout(
        tokens_per_row=tokens_per_row,
        sequences_per_shard=max(1, min(settings.sequences_per_shard, starts[-1])),
        cell_starts=starts,
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
        extras = extras_of(tokenized)
        read = CELLS_OF_COPIES if extras.repeats else CELLS
        rows = read_files(spark, uris, read, transform=extras.copied, output_schema=CELLS)
        rows = rows.groupBy("cell").agg(tokens).collect()
        found = {row["cell"]: int(row["tokens"]) for row in rows}
    counts = [found.get(cell, 0) for cell in range(max(found, default=-1) + 1)]
    text = json.dumps({"fingerprint": tokenized.fingerprint, "tokens_by_cell": counts})
    storage.write_bytes(uri, text.encode())
    return counts


def write_shards(
    spark: SparkSession, tokenized: StageOutput, settings: TokenSettings, directory: str
) -> StageOutput:
    """Write the token shards and their provenance; two shuffles (by cell, by shard) of the ids.

    Raises InputError when no document was kept.
    """
    layout = shard_layout(tokens_by_cell(spark, tokenized), settings)
    if layout.num_sequences == 0:
        raise InputError(
            "no document is left to write token shards from: see the report for the rules that "
            "dropped them, and the thresholds of the recipe"
        )
    key = unit_key(STAGE, tokenized.fingerprint, settings, code=code_version(__name__))
    units = [Unit(name=layout.unit(shard), key=key) for shard in range(layout.num_shards)]
    extras = extras_of(tokenized)
    uris = [file["uri"] for file in tokenized.files(f"{FOLDER}/")]

    def execute(pending: list[Unit]) -> DataFrame:
        tasks = partition_keys(len(pending)).tolist()
        tasks_of = {unit.name: task for unit, task in zip(pending, tasks, strict=True)}
        packed_as = packed_rows(extras)
        packed = (
            _by_cell(spark, uris, extras, len(layout.cell_starts) - 1)
            .sortWithinPartitions("cell", "order_key", "doc_id")
            .mapInArrow(_packing(settings, layout, tasks_of, packed_as), spark_schema(packed_as))
        )
        placed = packed.repartition(len(pending), TASK.name).sortWithinPartitions("unit", "row")
        return placed.mapInArrow(
            _committing(directory, key, provenance_rows(extras)), spark_schema(COMMITTED)
        )

    return run_units(
        spark,
        stage=STAGE,
        directory=directory,
        units=units,
        execute=execute,
        rules=UnitRules(check=partial(_check_sequences, layout)),
    )


def _by_cell(spark: SparkSession, uris: list[str], extras: Extras, cells: int) -> DataFrame:
    """Return the documents with the cells apart: each in a partition of its own."""
    keys, schema = pa.array(partition_keys(cells)), tokenized_rows(extras)
    result = pa.schema([*schema, *([REPEAT] if extras.repeats else []), TASK])

    def place(batch: pa.RecordBatch) -> pa.RecordBatch:
        batch = extras.copied(batch)
        return batch.append_column(TASK, keys.take(batch.column("cell")))

    placed = read_files(spark, uris, schema, transform=place, output_schema=result)
    return placed.repartition(cells, TASK.name)


def _check_sequences(layout: ShardLayout, output: StageOutput) -> dict[str, str]:
    """Return what is wrong by shard: it has other sequences than the layout gives it."""
    return {
        name: f"{facts['num_sequences']} sequences instead of {layout.rows_of(shard)}"
        for shard, (name, facts) in enumerate(output.facts())
        if facts["num_sequences"] != layout.rows_of(shard)
    }


def _packing(
    settings: TokenSettings, layout: ShardLayout, tasks_of: dict[str, int], schema: pa.Schema
) -> BatchFunction:
    def pack(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for cell, rows in group_by_unit(batches, "cell"):
            placed = _placed(_sequences(rows, settings), int(cell), settings, layout)
            waiting = []
            for row in placed:
                if row["unit"] in tasks_of:
                    waiting.append(row | {TASK.name: tasks_of[row["unit"]]})
                if len(waiting) == BATCH_SEQUENCES:
                    yield pa.RecordBatch.from_pylist(waiting, schema)
                    waiting = []
            yield pa.RecordBatch.from_pylist(waiting, schema)

    return pack


def _sequences(rows: Iterator[pa.RecordBatch], settings: TokenSettings) -> Iterator[Sequence]:
    # `with_special_ids` has filled them in.
    assert settings.end_of_text_id is not None
    assert settings.padding_id is not None
    packer = Packer(
        tokens_per_row=settings.sequence_length + 1,
        end_of_text_id=settings.end_of_text_id,
        padding_id=settings.padding_id,
    )
    for batch in rows:
        own = OWN_COLUMNS.name
        owned = own in batch.schema.names
        columns = batch.column(own) if owned else pa.nulls(batch.num_rows, OWN_COLUMNS.type)
        none = pa.nulls(batch.num_rows, REPEAT.type)
        copies = batch.column(REPEAT.name) if REPEAT.name in batch.schema.names else none
        for doc_id, domain, tokens, kept, copy in zip(
            batch.column("doc_id"),
            batch.column("domain"),
            batch.column("tokens"),
            columns,
            copies,
            strict=True,
        ):
            ids = np.frombuffer(tokens.as_py(), "<u2")
            yield from packer.add(doc_id.as_py(), domain.as_py(), ids, kept.as_py(), copy.as_py())
    yield from packer.finish()


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
            "tokens": sequence.tokens.astype("<u2").tobytes(),
            "documents": sequence.documents,
            "num_padding_tokens": sequence.num_padding_tokens,
        }


def _committing(directory: str, key: str, schema: pa.Schema) -> BatchFunction:
    def commit_shards(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for unit, rows in group_by_unit(batches, "unit"):
            yield _commit_shard(directory, unit, key, rows, schema)

    return commit_shards


def _commit_shard(
    directory: str, unit: str, key: str, rows: Iterator[pa.RecordBatch], schema: pa.Schema
) -> pa.RecordBatch:
    clock = UnitClock()
    count = padding = 0
    with (
        ParquetOutput(
            directory, f"{unit}.parquet", _TOKENS, row_group_rows=ROWS_PER_GROUP
        ) as tokens,
        ParquetOutput(directory, f"{unit}{PROVENANCE_SUFFIX}", schema) as provenance,
    ):
        for batch in rows:
            tokens.write(batch.select(["tokens"]))
            provenance.write(_provenance_rows(batch, schema))
            count += batch.num_rows
            padding += sum(batch.column("num_padding_tokens").to_pylist())
        facts = {"num_sequences": count, "num_padding_tokens": padding}
        files = [tokens.close(), provenance.close()]
    return commit(directory, unit, key, files, facts, clock)


def _provenance_rows(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    rows = [
        {"row": row, **document}
        for row, documents in zip(
            batch.column("row").to_pylist(), batch.column("documents").to_pylist(), strict=True
        )
        for document in documents
    ]
    return pa.RecordBatch.from_pylist(rows, schema)
