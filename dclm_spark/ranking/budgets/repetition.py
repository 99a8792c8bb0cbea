"""A thinned corpus: a keyed choice of documents, packed again, for a proxy to repeat.

The choice is a function of document id and seed alone, and grows with the number of tokens, so a
smaller thinned corpus is part of a larger one. A document is chosen with all of its copies, which
lie apart as in the corpus; documents that were removed from it are not chosen. Nothing here needs
Spark.
"""

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dclm_spark.errors import InputError
from dclm_spark.ranking.prepared import without_removals, write_shard
from dclm_spark.settings import settings_hash
from dclm_spark.shard_format import (
    Removals,
    Shard,
    ShardManifest,
    group_sizes,
    read_manifest,
)
from dclm_spark.train.data.batches import open_reader
from dclm_spark.train.data.shard_reader import ShardReader
from dclm_spark.train.data.sources import DataSettings
from udfs import storage
from udfs.shards.packed_rows import ROWS_PER_GROUP
from udfs.tokens.copies import REPEAT
from udfs.tokens.order import document_keys, mix

LOGGER = logging.getLogger("dclm_spark")
_SUFFIX = ".provenance.parquet"
# What a change of this module's choice raises, so that older parts are not taken for it.
_VERSION = 1
Index = NDArray[np.int64]
Keys = NDArray[np.uint64]
# Odd, so that the copies of a document have keys of their own.
_COPY_STEP = np.uint64(0x9E3779B97F4A7C15)


def provenance_uri(manifest: ShardManifest, shard: Shard) -> str:
    """Return where it stands which documents are in the rows of `shard`."""
    return manifest.uri(shard).removesuffix(".parquet") + _SUFFIX


def thinned(manifest: str, num_tokens: int, seed: int, folder: Path) -> Path:
    """Write about `num_tokens` of the corpus below `folder` and return their manifest.

    Whole documents are chosen by a key of their id and `seed`. What is there already is not
    written again. Raises InputError where shards have no provenance or the part no sequence.
    """
    source = read_manifest(manifest)
    key = settings_hash([source.fingerprint, num_tokens, seed, _VERSION])
    target = folder / key / "manifest.json"
    if not target.exists():
        spans = _Spans.of(source, num_tokens, seed)
        if min(num_tokens, spans.num_tokens) < source.tokens_per_row:
            raise InputError(
                f"{manifest}: {num_tokens:,} tokens of it are not one sequence of "
                f"{source.tokens_per_row}; raise --tokens, or --train model.sequence_length=N lower"
            )
        _write(source, spans, target)
        LOGGER.info("%s: %s tokens, seed %d", target.parent, f"{spans.num_tokens:,}", seed)
    return target


@dataclass(frozen=True)
class _Spans:
    """Chosen pieces of documents [P].

    They stand in the order of the shards; `entry` is a piece's place in its shard's provenance, and
    `order` sorts pieces into the order in which they are packed.
    """

    shard: Index
    entry: Index
    row: Index
    start: Index
    length: Index
    order: Index

    @classmethod
    def of(cls, manifest: ShardManifest, num_tokens: int, seed: int) -> "_Spans":
        """Choose the documents with the smallest keys that have about `num_tokens`."""
        removals = Removals(manifest)
        parts = [
            _present(_provenance(manifest, number, shard, seed), removals, shard)
            for number, shard in enumerate(manifest.train_shards)
        ]
        keys = np.concatenate([part[0] for part in parts])
        places = np.concatenate([part[1] for part in parts], axis=1)
        if len(keys) == 0:
            raise InputError(f"{manifest.path}: all of its documents were removed")
        chosen = np.flatnonzero(keys <= _largest_key(keys, places[4], num_tokens))
        keys, (shard, entry, row, start, length, copy) = keys[chosen], places[:, chosen]
        # A document's first piece, those that fill a row, its last: their order in the text. Of
        # several that fill a row, shards do not tell the order.
        begins, ends = start > 0, start + length < manifest.tokens_per_row
        stage = np.where(begins, 0, np.where(ends, 2, 1))
        copies = mix(keys + copy.astype(np.uint64) * _COPY_STEP)
        order = np.lexsort((row, shard, stage, copies))
        return cls(shard, entry, row, start, length, order)

    @property
    def num_tokens(self) -> int:
        """Return the tokens of all pieces."""
        return int(self.length.sum())


def _largest_key(keys: Keys, lengths: Index, num_tokens: int) -> np.uint64:
    """Return the key of the last document that is chosen, whose total is nearest."""
    distinct, owner = np.unique(keys, return_inverse=True)
    total = np.cumsum(np.bincount(owner, weights=lengths))
    return np.uint64(distinct[np.abs(total - num_tokens).argmin()])


def _provenance(
    manifest: ShardManifest, number: int, shard: Shard, seed: int
) -> tuple[Keys, Index]:
    """Return keys of the pieces in a shard; their shard, entry, row, start, length, copy [6, P]."""
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
    stays = np.flatnonzero(~mask[places[2], places[3]])
    return keys[stays], places[:, stays]


def _write(source: ShardManifest, spans: _Spans, target: Path) -> None:
    """Write shards of equal size with their provenance, then the manifest."""
    width = source.tokens_per_row
    tokens, documents = _pieces(source, spans)
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
        "part_of": source.fingerprint,
    }
    storage.write_bytes(str(target), json.dumps(facts, indent=1).encode())


def _pieces(source: ShardManifest, spans: _Spans) -> tuple[NDArray[Any], pa.Table]:
    """Return the tokens of all pieces; doc_id, domain, copy and end of each among them."""
    reader = open_reader(DataSettings(), source)
    order = spans.order
    ends = np.cumsum(spans.length[order])
    begins = np.empty_like(ends)
    begins[order] = ends - spans.length[order]
    tokens: NDArray[Any] | None = None
    names = []
    for number, shard in enumerate(source.train_shards):
        here = np.flatnonzero(spans.shard == number)
        if len(here) == 0:
            continue
        names.append(_names(source, shard, spans.entry[here]))
        for group, rows in _groups(reader, shard):
            if tokens is None:
                tokens = np.empty(spans.num_tokens, dtype=rows.dtype)
            inside = here[spans.row[here] // ROWS_PER_GROUP == group]
            for piece in inside:
                length, start = spans.length[piece], spans.start[piece]
                row = rows[spans.row[piece] - group * ROWS_PER_GROUP]
                tokens[begins[piece] : begins[piece] + length] = row[start : start + length]
    assert tokens is not None
    documents = pa.concat_tables(names).take(pa.array(order))
    return tokens, documents.append_column("end", pa.array(ends))


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
