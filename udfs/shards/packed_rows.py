"""Packed rows as Parquet: the format of our own trainer, and `input_ids` for Hugging Face."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from udfs.shards.format import ShardFormat, ShardTarget, ShardWriter
from udfs.units.parquet_output import FileEntry, ParquetOutput

# The trainer reads whole row groups of this many rows.
ROWS_PER_GROUP = 256
TOKENS = pa.schema([pa.field("tokens", pa.binary())])
INPUT_IDS = pa.schema([pa.field("input_ids", pa.list_(pa.int32()))])


@dataclass(frozen=True, kw_only=True)
class OwnShards(ShardFormat):
    """Parquet with a row of little-endian ids for each sequence; the bundled trainer reads it."""

    manifest_name = "dclm-spark-shards"
    suffixes = (".parquet",)
    trained_here = True

    def row_tokens(self, sequence_length: int) -> int:
        """Return one more than the model sees, for the targets."""
        return sequence_length + 1

    def writer(self, target: ShardTarget) -> ShardWriter:
        """Return a writer of `<unit>.parquet`."""
        return _OwnWriter(target)


class _OwnWriter:
    def __init__(self, target: ShardTarget) -> None:
        path = f"{target.unit}.parquet"
        # No row comes twice: a dictionary of rows would only be copied from by each reader.
        self._output = ParquetOutput(
            target.directory, path, TOKENS, row_group_rows=ROWS_PER_GROUP, use_dictionary=False
        )

    def write(self, tokens: pa.Array) -> None:
        self._output.write(pa.RecordBatch.from_arrays([tokens], schema=TOKENS))

    def close(self) -> list[FileEntry]:
        return [self._output.close()]

    def abandon(self) -> None:
        self._output.abandon()


@dataclass(frozen=True, kw_only=True)
class HuggingFaceRows(ShardFormat):
    """Parquet with `input_ids`, a list of 32-bit integers, as `datasets` and `transformers` take.

    Rows have `sequence_length` ids: models of `transformers` shift the labels themselves.
    """

    manifest_name = "huggingface"
    suffixes = (".parquet",)

    def writer(self, target: ShardTarget) -> ShardWriter:
        """Return a writer of `data/<unit>.parquet`."""
        return _InputIdsWriter(target)


class _InputIdsWriter:
    def __init__(self, target: ShardTarget) -> None:
        # Apart from the provenance, so that `datasets` can be given the folder.
        self._output = ParquetOutput(target.directory, f"data/{target.unit}.parquet", INPUT_IDS)
        self._id_type = target.id_type

    def write(self, tokens: pa.Array) -> None:
        ids = np.frombuffer(b"".join(tokens.to_pylist()), self._id_type).astype(np.int32)
        lengths = pc.binary_length(tokens).to_numpy() // self._id_type.itemsize
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        rows = pa.ListArray.from_arrays(pa.array(offsets), pa.array(ids))
        self._output.write(pa.RecordBatch.from_arrays([rows], schema=INPUT_IDS))

    def close(self) -> list[FileEntry]:
        return [self._output.close()]

    def abandon(self) -> None:
        self._output.abandon()
