"""Writes small token shards as the tokens stage does, for the trainer's tests."""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dclm_spark.shard_format import (
    REMOVED_SPANS,
    RemovedSpans,
    changed,
    read_manifest,
    write_manifest,
)
from udfs.tokens.id_types import Ids, id_type


def write_shards(
    directory: Path, rows: Ids, *, sequences_per_shard: int,
    vocabulary_size: int = 250, padding_id: int = 249, domains: list[str] | None = None,
) -> Path:  # fmt: skip
    """Write `rows` [sequences, tokens_per_row] and return the manifest's path.

    With `domains`, each row is two documents, of domains taken in turn.
    """
    directory.mkdir(parents=True, exist_ok=True)
    shards, kind = [], id_type(vocabulary_size)
    for number, start in enumerate(range(0, len(rows), sequences_per_shard)):
        part = rows[start : start + sequences_per_shard]
        name = f"shard-{number:05d}.parquet"
        table = pa.table(
            {"tokens": pa.array([r.astype(kind).tobytes() for r in part], pa.binary())}
        )
        pq.write_table(
            table, directory / name, compression="zstd", row_group_size=256, use_dictionary=False
        )
        content = (directory / name).read_bytes()
        if domains is not None:
            _write_provenance(directory, name, len(part), rows.shape[1], domains)
        shards.append(
            {
                "path": name,
                "num_sequences": len(part),
                "size_bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
                "role": "train" if len(part) == sequences_per_shard else "remainder",
            }
        )
    width = rows.shape[1]
    manifest = {
        "format": "dclm-spark-shards", "version": 1, "sequence_length": width - 1,
        "tokens_per_row": width, "dtype": kind.name, "vocabulary_size": vocabulary_size,
        "tokenizer_sha256": "0" * 64, "end_of_text_id": 0, "padding_id": padding_id,
        "num_sequences": len(rows), "num_tokens": int(rows.size), "num_padding_tokens": 0,
        "sequences_per_shard": sequences_per_shard, "seed": 1234, "recipe_hash": "test",
        "fingerprint": "test", "shards": shards,
    }  # fmt: skip
    path = directory / "manifest.json"
    path.write_text(json.dumps(manifest))
    return path


def _write_provenance(
    directory: Path, name: str, num_rows: int, width: int, domains: list[str]
) -> None:
    half = width // 2
    spans = [(row, part) for row in range(num_rows) for part in (0, 1)]
    table = pa.table(
        {
            "row": pa.array([row for row, _ in spans], pa.int32()),
            "doc_id": pa.array([bytes(16)] * len(spans), pa.binary(16)),
            "domain": [domains[part % len(domains)] for _, part in spans],
            "start": pa.array([part * half for _, part in spans], pa.int32()),
            "num_tokens": pa.array(
                [width - half if part else half for _, part in spans], pa.int32()
            ),
        }
    )
    pq.write_table(table, directory / name.replace(".parquet", ".provenance.parquet"))


def counting_rows(
    num_rows: int, length: int, *, period: int = 7, seed: int = 0
) -> NDArray[np.uint16]:
    """Rows that a model can learn: runs of consecutive ids from random starts."""
    starts = np.random.default_rng(seed).integers(1, 200, size=(num_rows, 1))
    return ((starts + np.arange(length + 1) % period) % 249).astype(np.uint16)


def remove(manifest: Path, shard: str, spans: list[tuple[int, int, int]]) -> None:
    """Let a manifest say that (row, start, num_tokens) of a shard belong to removed documents."""
    before = read_manifest(str(manifest))
    columns = zip(REMOVED_SPANS.names, zip(*spans, strict=True), strict=True)
    table = pa.table({name: pa.array(values, pa.int32()) for name, values in columns})
    path = manifest.parent / "removed" / shard
    path.parent.mkdir(exist_ok=True)
    pq.write_table(table, path)
    entry = RemovedSpans(
        path=f"removed/{shard}", shard=shard, num_tokens=sum(one[2] for one in spans),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )  # fmt: skip
    write_manifest(changed(dataclasses.replace(before, removed=(entry,)), before))
