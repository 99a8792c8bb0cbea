"""Pieces of whole documents of one or several corpora, packed again into shards of their own.

Which documents stand where is read from the provenance beside the shards. A document is taken with
all of its copies, which lie apart as in the corpus; documents that were removed from it are not
there. Nothing here needs Spark.
"""

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dclm_spark.errors import InputError
from dclm_spark.ranking.prepared import without_removals, write_shard
from dclm_spark.shard_format import Removals, Shard, ShardManifest, group_sizes
from dclm_spark.train.data.batches import open_reader
from dclm_spark.train.data.shard_reader import ShardReader
from dclm_spark.train.data.sources import DataSettings
from udfs import storage
from udfs.shards.packed_rows import ROWS_PER_GROUP
from udfs.tokens.copies import REPEAT
from udfs.tokens.order import document_keys, mix

_SUFFIX = ".provenance.parquet"
Index = NDArray[np.int64]
Keys = NDArray[np.uint64]
# Odd, so that the copies of a document have keys of their own.
_COPY_STEP = np.uint64(0x9E3779B97F4A7C15)
# Rows of `Pieces.places`.
_SHARD, _ENTRY, _ROW, _START, _LENGTH, _COPY = range(6)


def provenance_uri(manifest: ShardManifest, shard: Shard) -> str:
    """Return where it stands which documents are in the rows of `shard`."""
    return manifest.uri(shard).removesuffix(".parquet") + _SUFFIX


@dataclass(frozen=True)
class Pieces:
    """Pieces of documents [P] of the training shards of one corpus, in the order of these.

    `keys` are those of the documents under a seed: uniform, the same in any corpus. `places` [6, P]
    are shard, place in its provenance, row, start, length and number of the copy.
    """

    manifest: ShardManifest
    keys: Keys
    places: Index

    @classmethod
    def of(cls, manifest: ShardManifest, seed: int) -> "Pieces":
        """Read all pieces; InputError where shards have no provenance or no document is left."""
        removals = Removals(manifest)
        parts = [
            _present(_provenance(manifest, number, shard, seed), removals, shard)
            for number, shard in enumerate(manifest.train_shards)
        ]
        keys = np.concatenate([part[0] for part in parts])
        if len(keys) == 0:
            raise InputError(f"{manifest.path}: all of its documents were removed")
        return cls(manifest, keys, np.concatenate([part[1] for part in parts], axis=1))

    def chosen(self, mask: NDArray[np.bool_]) -> "Pieces":
        """Return the pieces where `mask` [P] holds."""
        places = np.flatnonzero(mask)
        return Pieces(self.manifest, self.keys[places], self.places[:, places])

    @property
    def lengths(self) -> Index:
        """Return the tokens of each piece, with the end of text of a document's last one."""
        lengths: Index = self.places[_LENGTH]
        return lengths

    @property
    def num_tokens(self) -> int:
        """Return the tokens of all pieces."""
        return int(self.lengths.sum())

    @property
    def stages(self) -> Index:
        """Return 0 for a document's first piece, 2 for its last, 1 for one that fills a row."""
        start = self.places[_START]
        begins, ends = start > 0, start + self.lengths < self.manifest.tokens_per_row
        return np.where(begins, 0, np.where(ends, 2, 1))

    @property
    def copy_keys(self) -> Keys:
        """Return a key for each copy of a document, by which they are packed."""
        copies = self.places[_COPY].astype(np.uint64)
        return np.asarray(mix(self.keys + copies * _COPY_STEP))


def _provenance(
    manifest: ShardManifest, number: int, shard: Shard, seed: int
) -> tuple[Keys, Index]:
    uri = provenance_uri(manifest, shard)
    try:
        content = storage.read_bytes(uri)
    except storage.StorageError as error:
        raise InputError(
            f"{uri}: cannot be read ({error}); a part of a corpus is chosen by its documents, so "
            "their ids must lie beside the shards, as jobs/build_baseline.py writes them"
        ) from error
    names = ("row", "start", "num_tokens", REPEAT.name)
    # Only corpora with copies have a column that numbers them.
    table = pq.ParquetFile(io.BytesIO(content)).read(columns=["doc_id", *names])
    keys = document_keys(table["doc_id"].combine_chunks(), seed)
    once = np.zeros(len(keys), np.int64)
    columns = [
        table[name].to_numpy().astype(np.int64) if name in table.column_names else once
        for name in names
    ]
    return keys, np.stack((np.full(len(keys), number), np.arange(len(keys)), *columns))


def _present(part: tuple[Keys, Index], removals: Removals, shard: Shard) -> tuple[Keys, Index]:
    """Return the pieces of a shard without those of removed documents."""
    keys, places = part
    mask = removals.mask(shard, 0, shard.num_sequences)
    if mask is None:
        return part
    stays = np.flatnonzero(~mask[places[_ROW], places[_START]])
    return keys[stays], places[:, stays]


def write_pieces(parts: Sequence[Pieces], target: Path) -> None:
    """Pack pieces of corpora of one tokenizer into shards of equal size, then write `target`.

    Documents of all parts are mixed in the order of their keys. The manifest is that of the first
    part but for its shards. Provenance lies beside each shard.
    """
    source = parts[0].manifest
    width = source.tokens_per_row
    tokens, documents = _packed(parts)
    num_sequences = len(tokens) // width
    # The trainer wants shards of one size; what does not fill them is left out.
    num_shards = -(-num_sequences // source.sequences_per_shard)
    each = num_sequences // num_shards
    rows = tokens[: num_shards * each * width].reshape(-1, width)
    target.parent.mkdir(parents=True, exist_ok=True)
    shards = []
    for number in range(num_shards):
        name = f"shard-{number:05d}.parquet"
        first, last = number * each, (number + 1) * each
        table = pa.table(
            {"tokens": pa.array([row.tobytes() for row in rows[first:last]], pa.binary())}
        )
        shards.append(write_shard(target.parent / name, table))
        _write_provenance(target.parent / name, documents, first * width, last * width, width)
    facts = without_removals(json.loads(storage.read_bytes(source.path)))
    facts |= {
        "num_sequences": each * num_shards,
        "num_tokens": each * num_shards * width,
        "num_padding_tokens": 0,
        "sequences_per_shard": each,
        "shards": shards,
        "part_of": " and ".join(part.manifest.fingerprint for part in parts),
    }
    storage.write_bytes(str(target), json.dumps(facts, indent=1).encode())


def _packed(parts: Sequence[Pieces]) -> tuple[NDArray[Any], pa.Table]:
    """Return the tokens of all pieces; doc_id, domain, copy and end of each among them."""
    lengths = np.concatenate([part.lengths for part in parts])
    # Of several pieces of a document that fill a row, shards do not tell the order.
    order = np.lexsort(
        (
            np.concatenate([part.places[_ROW] for part in parts]),
            np.concatenate([part.places[_SHARD] for part in parts]),
            np.concatenate([part.stages for part in parts]),
            np.concatenate([part.copy_keys for part in parts]),
        )
    )
    ends = np.cumsum(lengths[order])
    begins = np.empty_like(ends)
    begins[order] = ends - lengths[order]
    tokens = np.empty(int(lengths.sum()), parts[0].manifest.id_type)
    names: list[pa.Table] = []
    first = 0
    for part in parts:
        own = begins[first : first + len(part.keys)]
        names += [table for table in _copied(part, own, tokens)]
        first += len(part.keys)
    documents = pa.concat_tables(names, promote_options="default").take(pa.array(order))
    return tokens, documents.append_column("end", pa.array(ends))


def _copied(part: Pieces, begins: Index, tokens: NDArray[Any]) -> Iterator[pa.Table]:
    """Copy a part's pieces to where they begin in `tokens`; yield what is known of them."""
    reader = open_reader(DataSettings(), part.manifest)
    shards, rows = part.places[_SHARD], part.places[_ROW]
    for number, shard in enumerate(part.manifest.train_shards):
        here = np.flatnonzero(shards == number)
        if len(here) == 0:
            continue
        for group, ids in _groups(reader, shard):
            for piece in here[rows[here] // ROWS_PER_GROUP == group]:
                length, start = part.lengths[piece], part.places[_START, piece]
                row = ids[rows[piece] - group * ROWS_PER_GROUP]
                tokens[begins[piece] : begins[piece] + length] = row[start : start + length]
        yield _names(part.manifest, shard, part.places[_ENTRY, here])


def _groups(reader: ShardReader, shard: Shard) -> Iterator[tuple[int, NDArray[Any]]]:
    for group in range(len(group_sizes(shard.num_sequences))):
        yield group, reader.rows(shard, group)


def _names(source: ShardManifest, shard: Shard, entries: Index) -> pa.Table:
    """Return doc_id, domain, copy of the pieces that stand as `entries` in the provenance."""
    content = storage.read_bytes(provenance_uri(source, shard))
    table = pq.ParquetFile(io.BytesIO(content)).read(columns=["doc_id", "domain", REPEAT.name])
    return table.take(pa.array(entries))


def _write_provenance(path: Path, documents: pa.Table, first: int, last: int, width: int) -> None:
    """Write which documents stand in tokens first to last, cut at the ends of rows."""
    ends = documents["end"].to_numpy()
    begins = np.concatenate([[0], ends[:-1]])
    inside = np.flatnonzero((ends > first) & (begins < last))
    pieces: list[tuple[int, int, int, int]] = []
    for piece in inside:
        start, stop = max(int(begins[piece]), first), min(int(ends[piece]), last)
        while start < stop:
            cut = min(stop, (start // width + 1) * width)
            pieces.append((int(piece), (start - first) // width, start % width, cut - start))
            start = cut
    owner, row, start_in_row, length = (list(column) for column in zip(*pieces, strict=True))
    named = documents.take(pa.array(owner))
    table = pa.table(
        {
            "row": pa.array(row, pa.int32()),
            "doc_id": named["doc_id"],
            "domain": named["domain"],
            "start": pa.array(start_in_row, pa.int32()),
            "num_tokens": pa.array(length, pa.int32()),
        }
        | ({REPEAT.name: named[REPEAT.name]} if REPEAT.name in named.column_names else {})
    )
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, compression="zstd")
    place = str(path).removesuffix(".parquet") + _SUFFIX
    storage.write_bytes(place, buffer.getvalue().to_pybytes())
