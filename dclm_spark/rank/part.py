"""A part of a corpus, for the control that reads little data often."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dclm_spark.errors import InputError
from dclm_spark.evaluate.runner import write_atomically
from dclm_spark.train.shards import ROWS_PER_GROUP


def part_of(manifest: Path, part: int) -> Path:
    """Write a manifest of one sequence in `part`, of shards cut short, and return it.

    It lies beside `manifest`, since shards are named relative to theirs. The trainer wants shards
    of one size, so as many as are needed give the same number of their first sequences; shards
    are random samples of the corpus. Raises InputError for fewer than `part` sequences.
    """
    facts = json.loads(manifest.read_text())
    target = manifest.with_name(f"manifest-part-{part}.json")
    source = hashlib.sha256(manifest.read_bytes()).hexdigest()
    if target.exists() and json.loads(target.read_text())["part_of"] == source:
        return target
    shards = [shard for shard in facts["shards"] if shard["role"] == "train"]
    wanted = sum(shard["num_sequences"] for shard in shards) // part
    if wanted == 0:
        raise InputError(
            f"{manifest}: {len(shards)} training shards hold fewer than {part} sequences, so there "
            "is no such part of them; lower tokens.sequences_per_shard or give more documents"
        )
    used = shards[: -(-len(shards) // part)]
    each = wanted // len(used)
    facts["shards"] = [_first(manifest.parent, shard, each, part) for shard in used]
    facts["num_sequences"] = each * len(used)
    facts["num_tokens"] = facts["num_sequences"] * facts["sequence_length"]
    facts["part_of"] = source
    write_atomically(target, json.dumps(facts, indent=1))
    return target


def _first(folder: Path, shard: dict[str, Any], num_sequences: int, part: int) -> dict[str, Any]:
    """Return the entry of `shard` itself, or of a file with its first `num_sequences`."""
    if num_sequences == shard["num_sequences"]:
        return shard
    path = folder / f"part-{part}-{shard['path']}"
    rows = pq.read_table(folder / shard["path"]).slice(0, num_sequences)
    buffer = pa.BufferOutputStream()
    pq.write_table(rows, buffer, compression="zstd", row_group_size=ROWS_PER_GROUP)
    content = buffer.getvalue().to_pybytes()
    write_atomically(path, content)
    return shard | {
        "path": path.name,
        "num_sequences": num_sequences,
        "size_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
