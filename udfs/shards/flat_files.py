"""Flat files of ids that trainers map into memory: Megatron-LM's and OLMo-core's."""

import gzip
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from udfs.shards.format import ShardFormat, ShardTarget, ShardWriter
from udfs.tokens.id_types import IdType
from udfs.units.file_output import FileOutput
from udfs.units.parquet_output import FileEntry

# From the lengths of the rows and the type of the ids to the index of a shard.
Index = Callable[[npt.NDArray[np.int64], IdType], bytes]


@dataclass(frozen=True, kw_only=True)
class MegatronShards(ShardFormat):
    """`.bin` and `.idx` as `IndexedDataset` of megatron.core reads them, a sequence a document.

    `--data-path` takes the names without the endings.
    """

    manifest_name = "megatron"
    whole_documents = True
    suffixes = (".bin", ".idx")

    def writer(self, target: ShardTarget) -> ShardWriter:
        """Return a writer of `<unit>.bin` and `<unit>.idx`."""
        return _FlatWriter(target, self.suffixes, megatron_index)


@dataclass(frozen=True, kw_only=True)
class OlmoShards(ShardFormat):
    """`.npy` without a header, as OLMo-core maps it into memory; `.csv.gz` says where texts begin.

    OLMo-core takes 16-bit ids for a vocabulary of up to 65,536, as we do.
    """

    manifest_name = "olmo"
    whole_documents = True
    suffixes = (".npy", ".csv.gz")

    def writer(self, target: ShardTarget) -> ShardWriter:
        """Return a writer of `<unit>.npy` and `<unit>.csv.gz`."""
        return _FlatWriter(target, self.suffixes, olmo_index)


def megatron_index(lengths: npt.NDArray[np.int64], id_type: IdType) -> bytes:
    """Return the content of an `.idx`: header, lengths, places in bytes, bounds of documents.

    The layout is that of megatron.core 0.16, datasets/indexed_dataset.py. Megatron has no type of
    32 bits without a sign; ids are the same with one.
    """
    code = {2: 8, 4: 4}[id_type.itemsize]
    starts = _starts(lengths)[:-1] * id_type.itemsize
    documents = np.arange(len(lengths) + 1)
    header = b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, code, len(lengths), len(documents))
    parts = (lengths.astype("<i4"), starts.astype("<i8"), documents.astype("<i8"))
    return header + b"".join(part.tobytes() for part in parts)


def olmo_index(lengths: npt.NDArray[np.int64], id_type: IdType) -> bytes:
    """Return the content of a `.csv.gz`: the start and end of each document, in ids."""
    starts = _starts(lengths).tolist()
    lines = (f"{start},{end}\n" for start, end in pairwise(starts))
    return gzip.compress("".join(lines).encode(), mtime=0)


def _starts(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])


class _FlatWriter:
    """Writes ids one after another, and an index made of the lengths of the rows."""

    def __init__(self, target: ShardTarget, suffixes: Iterable[str], index: Index) -> None:
        data, beside = (f"{target.unit}{suffix}" for suffix in suffixes)
        self._data = FileOutput(target.directory, data)
        self._index_output = FileOutput(target.directory, beside)
        self._index, self._id_type = index, target.id_type
        self._lengths: list[npt.NDArray[np.int64]] = [np.zeros(0, np.int64)]

    def write(self, tokens: pa.Array) -> None:
        self._data.write(b"".join(tokens.to_pylist()))
        sizes = pc.binary_length(tokens).to_numpy().astype(np.int64)
        self._lengths.append(sizes // self._id_type.itemsize)

    def close(self) -> list[FileEntry]:
        lengths = np.concatenate(self._lengths)
        self._index_output.write(self._index(lengths, self._id_type))
        return [self._index_output.close(len(lengths)), self._data.close(len(lengths))]

    def abandon(self) -> None:
        self._data.abandon()
        self._index_output.abandon()
