"""What a task commits of one shard: its files in the format of the recipe, and the provenance."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from udfs.shards.format import ShardFormat, ShardTarget
from udfs.tokens.id_types import IdType
from udfs.tokens.packing import provenance_fields
from udfs.units.commit import UnitClock, commit
from udfs.units.parquet_output import ParquetOutput

PROVENANCE_SUFFIX = ".provenance.parquet"


class ShardRows(NamedTuple):
    """Rows of one shard: their ids (binary), the documents in them, and facts to add up."""

    tokens: pa.Array
    documents: pa.RecordBatch
    counts: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class ShardOutput:
    """Where and how the shards of a stage are committed."""

    directory: str
    key: str
    format: ShardFormat
    id_type: IdType
    # Whether documents have columns of the user's.
    own_columns: bool
    # Whether they enter the corpus more than once (`udfs.tokens.copies`).
    repeats: bool = False
    # Whether they are of several sources (`udfs.tokens.mixing`).
    sources: bool = False

    @property
    def documents(self) -> list[pa.Field]:
        """What is known of each document in a row."""
        return provenance_fields(self.own_columns, self.repeats, self.sources)

    @property
    def provenance(self) -> pa.Schema:
        """The schema of what says which documents are in which row."""
        return pa.schema([pa.field("row", pa.int32()), *self.documents])

    def commit(self, unit: str, rows: Iterator[ShardRows]) -> pa.RecordBatch:
        """Write and commit one shard; return the row that reports it."""
        clock = UnitClock()
        facts: dict[str, Any] = {}
        target = ShardTarget(directory=self.directory, unit=unit, id_type=self.id_type)
        writer = self.format.writer(target)
        path = f"{unit}{PROVENANCE_SUFFIX}"
        try:
            with ParquetOutput(self.directory, path, self.provenance) as provenance:
                for part in rows:
                    writer.write(part.tokens)
                    provenance.write(part.documents)
                    for name, count in part.counts.items():
                        facts[name] = facts.get(name, 0) + count
                files = [*writer.close(), provenance.close()]
        finally:
            writer.abandon()
        return commit(self.directory, unit, self.key, files, facts, clock)
