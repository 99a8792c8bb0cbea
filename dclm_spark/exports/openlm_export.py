"""Exporting shards to the WebDataset layout that OpenLM's reader takes (spec 5.1)."""

import gzip
import io
import json
import tarfile
from collections.abc import Iterator

import numpy as np
import pyarrow.parquet as pq

from dclm_spark.shard_format import Removals, ShardManifest, blanked, read_manifest
from udfs import storage

SEQUENCES_PER_TAR = 8192


def export_openlm(
    shards: str, directory: str, *, sequences_per_tar: int = SEQUENCES_PER_TAR
) -> int:
    """Write the sequences below `shards` as tars of .json.gz contexts; return how many tars.

    `directory` gets `shard_00000000.tar`, ... and `manifest.jsonl`, which ends with a newline:
    OpenLM's reader drops whatever follows the last one. The order is that of the shards, which are
    shuffled already. Bytes depend on the shards alone. Padding stands for removed documents.
    """
    sequences = _sequences(read_manifest(shards))
    lines = []
    for number, contexts in enumerate(_chunks(sequences, sequences_per_tar)):
        name = f"shard_{number:08d}"
        storage.write_bytes(storage.join(directory, f"{name}.tar"), _tar(number, contexts))
        lines.append(json.dumps({"shard": name, "num_sequences": len(contexts)}) + "\n")
    storage.write_bytes(storage.join(directory, "manifest.jsonl"), "".join(lines).encode())
    return len(lines)


def _sequences(manifest: ShardManifest) -> Iterator[list[int]]:
    removals = Removals(manifest)
    for shard in manifest.shards:
        first = 0
        with storage.open_seekable(manifest.uri(shard)) as source:
            for batch in pq.ParquetFile(source).iter_batches(256):
                kind = manifest.id_type
                rows = [np.frombuffer(row.as_py(), kind) for row in batch.column("tokens")]
                tokens, removed = np.stack(rows), removals.mask(shard, first, len(rows))
                if removed is not None:
                    blanked(tokens, removed, manifest)
                yield from tokens.tolist()
                first += len(rows)


def _chunks(sequences: Iterator[list[int]], size: int) -> Iterator[list[list[int]]]:
    chunk: list[list[int]] = []
    for sequence in sequences:
        chunk.append(sequence)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _tar(number: int, contexts: list[list[int]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for index, tokens in enumerate(contexts):
            data = gzip.compress(json.dumps(tokens).encode(), mtime=0)
            member = tarfile.TarInfo(f"{number:08d}_{index:08d}.json.gz")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()
