"""Token shards and the manifest that promises them (design section 5)."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMAT, VERSION = "dclm-spark-shards", 1
ROWS_PER_GROUP = 256
Rows = NDArray[np.uint16]


class ShardError(ValueError):
    """A manifest or shard is not what it should be."""


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One Parquet file of token rows, as the manifest promises it."""

    path: str
    num_sequences: int
    size_bytes: int
    sha256: str
    role: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A source of training sequences."""

    path: str
    sequence_length: int
    tokens_per_row: int
    vocabulary_size: int
    tokenizer_sha256: str
    end_of_text_id: int
    padding_id: int
    shards: tuple[Shard, ...]

    @property
    def train_shards(self) -> tuple[Shard, ...]:
        """The shards of equal size that training reads."""
        return tuple(shard for shard in self.shards if shard.role == "train")

    @property
    def remainder(self) -> tuple[Shard, ...]:
        """What did not fill a shard: a random sample of the corpus, never trained on."""
        return tuple(shard for shard in self.shards if shard.role == "remainder")

    @property
    def num_sequences(self) -> int:
        """Sequences of one pass over the training shards."""
        return sum(shard.num_sequences for shard in self.train_shards)

    @property
    def padded_vocabulary_size(self) -> int:
        """The vocabulary rounded up to a multiple of 256, as the model holds it."""
        return -(-self.vocabulary_size // 256) * 256

    @property
    def fingerprint(self) -> str:
        """Changes whenever any training token, or the order of the shards, does."""
        facts = [(shard.path, shard.num_sequences, shard.sha256) for shard in self.train_shards]
        return hashlib.sha256(json.dumps([self.tokens_per_row, facts]).encode()).hexdigest()


def fingerprints(manifests: Sequence[Manifest]) -> tuple[str, ...]:
    """Return what a checkpoint remembers of its training data."""
    return tuple(manifest.fingerprint for manifest in manifests)


def read_manifest(path: str) -> Manifest:
    """Read `manifest.json` (or the directory that holds it); ShardError says what is wrong."""
    if not path.endswith(".json"):
        path = f"{path.rstrip('/')}/manifest.json"
    try:
        facts = json.loads(read_bytes(path))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ShardError(f"shard manifest {path}: not JSON ({error})") from error
    _check_format(path, facts)
    shards = tuple(
        Shard(**{name: entry[name] for name in Shard.__dataclass_fields__})
        for entry in facts["shards"]
    )
    return Manifest(
        path=path,
        shards=shards,
        **{
            name: facts[name]
            for name in Manifest.__dataclass_fields__
            if name not in ("path", "shards")
        },
    )


def read_bytes(path: str) -> bytes:
    """Return a whole local or remote file."""
    if "://" not in path:
        return Path(path).read_bytes()
    from udfs import storage

    return bytes(storage.read_bytes(path))


def _check_format(path: str, facts: Any) -> None:
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise ShardError(f"shard manifest {path}: format must be {FORMAT!r}")
    for name, wanted in (("version", VERSION), ("dtype", "uint16")):
        if facts.get(name) != wanted:
            raise ShardError(
                f"shard manifest {path}: {name} = {facts.get(name)!r}, "
                f"this trainer reads {wanted!r}"
            )
    if facts["tokens_per_row"] != facts["sequence_length"] + 1:
        raise ShardError(
            f"shard manifest {path}: tokens_per_row = {facts['tokens_per_row']} must be "
            f"sequence_length + 1 = {facts['sequence_length'] + 1}"
        )


def group_sizes(num_sequences: int) -> list[int]:
    """Return the row counts of a shard's row groups: full ones, then what is left."""
    full, rest = divmod(num_sequences, ROWS_PER_GROUP)
    return [ROWS_PER_GROUP] * full + [rest] * (rest > 0)
