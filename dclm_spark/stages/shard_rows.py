"""The rows on their way from documents to shards: what they hold, and the copies among them."""

from typing import NamedTuple

import pyarrow as pa

from dclm_spark.engine.manifests import StageOutput
from dclm_spark.engine.shuffles import TASK
from dclm_spark.stages.tokenize import FOLDER, has_column
from udfs.documents.schema import OWN_COLUMNS
from udfs.tokens.copies import REPEATS, copied
from udfs.tokens.packing import provenance_fields

CELLS = pa.schema([pa.field("cell", pa.int32()), pa.field("num_tokens", pa.int64())])
CELLS_OF_COPIES = pa.schema([*CELLS, pa.field("order_key", pa.int64()), REPEATS])


class Extras(NamedTuple):
    """What documents have beside their tokens."""

    own_columns: bool
    # Whether they are to enter the corpus more than once, and into how many cells.
    repeats: bool
    cells: int

    def copied(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return documents as often as they enter the corpus."""
        return copied(batch, self.cells) if self.repeats else batch

    def provenance(self) -> list[pa.Field]:
        """Return what is told of each document in a sequence."""
        return provenance_fields(self.own_columns, self.repeats)


def extras_of(tokenized: StageOutput) -> Extras:
    """Return what the documents of the tokenize stage have."""
    files = tokenized.files(f"{FOLDER}/")
    repeats = has_column(files, REPEATS)
    cells = next(iter(tokenized.facts()))[1]["cells"] if repeats else 0
    return Extras(has_column(files, OWN_COLUMNS), repeats, cells)


def tokenized_rows(extras: Extras) -> pa.Schema:
    """Return what is read of each document."""
    fields = [
        pa.field("doc_id", pa.binary()),
        pa.field("domain", pa.string()),
        pa.field("cell", pa.int32()),
        pa.field("order_key", pa.int64()),
        pa.field("tokens", pa.binary()),
    ]
    own = [OWN_COLUMNS] if extras.own_columns else []
    return pa.schema([*fields, *own, *([REPEATS] if extras.repeats else [])])


def packed_rows(extras: Extras) -> pa.Schema:
    """Return a sequence with its shard and its place there."""
    return pa.schema(
        [
            pa.field("unit", pa.string()),
            TASK,
            pa.field("row", pa.int32()),
            pa.field("tokens", pa.binary()),
            pa.field("documents", pa.list_(pa.struct(extras.provenance()))),
            pa.field("num_padding_tokens", pa.int32()),
        ]
    )


def provenance_rows(extras: Extras) -> pa.Schema:
    """Return the schema of the provenance beside a shard."""
    return pa.schema([pa.field("row", pa.int32()), *extras.provenance()])
