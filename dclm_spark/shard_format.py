"""Token shards and the manifest that promises them (design section 5)."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from udfs import storage
from udfs.shards.packed_rows import ROWS_PER_GROUP, OwnShards
from udfs.storage.stream import shown
from udfs.tokens.id_types import ID_TYPES, Ids, IdType, id_type

MANIFEST = "manifest.json"
FORMAT, VERSION = OwnShards.manifest_name, 1
# What a shard is for: all whole shards are trained on, what did not fill one never is.
TRAIN, REMAINDER = "train", "remainder"
# What lies beside the shards of other formats: where each document begins.
INDEX = "index"
Rows = Ids


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
class ShardManifest:
    """A source of training sequences; the fields stand in `manifest.json` in this order."""

    # Where it was read; not in the file.
    path: str
    sequence_length: int
    tokens_per_row: int
    # Of the ids, a name in ID_TYPES.
    dtype: str
    vocabulary_size: int
    tokenizer_sha256: str
    end_of_text_id: int
    padding_id: int
    num_padding_tokens: int
    sequences_per_shard: int
    # Of the shuffle, and of the recipe that made the corpus.
    seed: int
    recipe_hash: str
    shards: tuple[Shard, ...]
    format: str = FORMAT

    @property
    def train_shards(self) -> tuple[Shard, ...]:
        """The shards of equal size that training reads."""
        return tuple(shard for shard in self.shards if shard.role == TRAIN)

    @property
    def remainder(self) -> tuple[Shard, ...]:
        """What did not fill a shard: a random sample of the corpus, never trained on."""
        return tuple(shard for shard in self.shards if shard.role == REMAINDER)

    @property
    def num_sequences(self) -> int:
        """Sequences of one pass over the training shards."""
        return sum(shard.num_sequences for shard in self.train_shards)

    @property
    def id_type(self) -> IdType:
        """The type of the ids in the shards."""
        return ID_TYPES[self.dtype]

    @property
    def padded_vocabulary_size(self) -> int:
        """The vocabulary rounded up to a multiple of 256, as the model holds it."""
        return -(-self.vocabulary_size // 256) * 256

    @property
    def fingerprint(self) -> str:
        """Changes whenever any training token, or the order of the shards, does."""
        facts = [(shard.path, shard.num_sequences, shard.sha256) for shard in self.train_shards]
        return hashlib.sha256(json.dumps([self.tokens_per_row, facts]).encode()).hexdigest()

    def uri(self, shard: Shard) -> str:
        """Return where `shard` lies: beside the manifest."""
        return f"{self.path.rpartition('/')[0] or '.'}/{shard.path}"


def fingerprints(manifests: Sequence[ShardManifest]) -> tuple[str, ...]:
    """Return what a checkpoint remembers of its training data."""
    return tuple(manifest.fingerprint for manifest in manifests)


def write_manifest(manifest: ShardManifest) -> dict[str, Any]:
    """Write `manifest` to its path, whole or not at all, and return the JSON object."""
    shards = [asdict(shard) for shard in manifest.shards]
    num_sequences = sum(shard.num_sequences for shard in manifest.shards)
    facts = {
        "format": manifest.format,
        "version": VERSION,
        "sequence_length": manifest.sequence_length,
        "tokens_per_row": manifest.tokens_per_row,
        "dtype": manifest.dtype,
        "vocabulary_size": manifest.vocabulary_size,
        "tokenizer_sha256": manifest.tokenizer_sha256,
        "end_of_text_id": manifest.end_of_text_id,
        "padding_id": manifest.padding_id,
        "num_sequences": num_sequences,
        "num_tokens": num_sequences * manifest.tokens_per_row,
        "num_padding_tokens": manifest.num_padding_tokens,
        "sequences_per_shard": manifest.sequences_per_shard,
        "seed": manifest.seed,
        "recipe_hash": manifest.recipe_hash,
        "fingerprint": hashlib.sha256(json.dumps(shards, sort_keys=True).encode()).hexdigest(),
        "shards": shards,
    }
    storage.write_bytes(manifest.path, json.dumps(facts, indent=1).encode())
    return facts


def read_manifest(path: str) -> ShardManifest:
    """Read `manifest.json` (or the directory that holds it); ShardError says what is wrong."""
    if not path.endswith(".json"):
        path = f"{path.rstrip('/')}/{MANIFEST}"
    try:
        facts = json.loads(storage.read_bytes(path))
    except storage.MissingObjectError as error:
        raise ShardError(
            f"--shards {shown(path)}: there is no such file; give the folder with {MANIFEST} that "
            "the shards stage wrote (OUTPUT/shards), or the file itself"
        ) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ShardError(f"shard manifest {shown(path)}: not JSON ({error})") from error
    _check_format(shown(path), facts)
    try:
        return _manifest(path, facts)
    except (KeyError, TypeError) as error:
        raise ShardError(
            f"shard manifest {shown(path)}: the key {error} is missing or of another kind; write "
            "the shards again"
        ) from error


def _manifest(path: str, facts: dict[str, Any]) -> ShardManifest:
    names = set(ShardManifest.__dataclass_fields__) - {"path", "shards"}
    shards = tuple(
        Shard(**{name: entry[name] for name in Shard.__dataclass_fields__})
        for entry in facts["shards"]
    )
    return ShardManifest(path=path, shards=shards, **{name: facts[name] for name in names})


def _check_format(path: str, facts: Any) -> None:
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        found = facts.get("format") if isinstance(facts, dict) else None
        raise ShardError(
            f"shard manifest {path}: its format is {found!r}, and this trainer reads {FORMAT!r}; "
            "write shards with tokens.format=dclm"
        )
    for name, known in (("version", (VERSION,)), ("dtype", tuple(ID_TYPES))):
        if facts.get(name) not in known:
            raise ShardError(
                f"shard manifest {path}: {name} = {facts.get(name)!r}, this version reads "
                f"{' and '.join(map(repr, known))}"
            )
    size = facts.get("vocabulary_size", 0)
    if ID_TYPES[facts["dtype"]].itemsize < id_type(size).itemsize:
        raise ShardError(
            f"shard manifest {path}: dtype = {facts['dtype']!r} cannot hold the {size} ids of the "
            "vocabulary; write the shards again"
        )
    if facts.get("tokens_per_row") != facts.get("sequence_length", 0) + 1:
        raise ShardError(
            f"shard manifest {path}: tokens_per_row = {facts.get('tokens_per_row')} must be "
            f"sequence_length + 1 = {facts.get('sequence_length', 0) + 1}"
        )


def group_sizes(num_sequences: int) -> list[int]:
    """Return the row counts of a shard's row groups: full ones, then what is left."""
    full, rest = divmod(num_sequences, ROWS_PER_GROUP)
    return [ROWS_PER_GROUP] * full + [rest] * (rest > 0)
