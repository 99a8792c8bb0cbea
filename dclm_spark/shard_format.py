"""Token shards and the manifest that promises them (design section 5)."""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from udfs import storage
from udfs.shards.packed_rows import ROWS_PER_GROUP, OwnShards
from udfs.storage.stream import shown
from udfs.tokens.id_types import ID_TYPES, Ids, IdType, id_type

MANIFEST = "manifest.json"
FORMAT = OwnShards.manifest_name
# Trainers that do not know of removed documents must not read a corpus that lost some.
VERSION, VERSION_WITH_REMOVALS = 1, 2
# What a shard is for: all whole shards are trained on, what did not fill one never is.
TRAIN, REMAINDER = "train", "remainder"
# What lies beside the shards of other formats: where each document begins.
INDEX = "index"
Rows = Ids
# Which tokens of which row of a shard belong to removed documents.
REMOVED_SPANS = pa.schema(
    [
        pa.field("row", pa.int32()),
        pa.field("start", pa.int32()),
        pa.field("num_tokens", pa.int32()),
    ]
)


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
class RemovedSpans:
    """Tokens of a shard that belong to removed documents: a Parquet file of REMOVED_SPANS."""

    # The file beside the manifest, and the path of the shard that it speaks of.
    path: str
    shard: str
    num_tokens: int
    sha256: str


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
    # Of documents that were taken out since (`dclm_spark.removal`).
    removed: tuple[RemovedSpans, ...] = ()
    # Of a recipe of several sources: what the corpus has of each (`dclm_spark.mixture.shares`).
    sources: tuple[Mapping[str, Any], ...] = ()
    # What `fingerprint` was before each removal and compaction: runs on these may go on.
    earlier_fingerprints: tuple[str, ...] = ()

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
    def padding(self) -> np.unsignedinteger[Any]:
        """The padding id, in the type of the ids."""
        return self.id_type.type(self.padding_id)

    @property
    def padded_vocabulary_size(self) -> int:
        """The vocabulary rounded up to a multiple of 256, as the model holds it."""
        return -(-self.vocabulary_size // 256) * 256

    @property
    def fingerprint(self) -> str:
        """Changes whenever any training token, or the order of the shards, does."""
        facts = [(shard.path, shard.num_sequences, shard.sha256) for shard in self.train_shards]
        parts: list[Any] = [self.tokens_per_row, facts]
        if self.removed:
            parts.append([(spans.shard, spans.sha256) for spans in self.removed])
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def uri(self, shard: Shard | RemovedSpans) -> str:
        """Return where a file that the manifest names lies: beside the manifest."""
        return f"{self.path.rpartition('/')[0] or '.'}/{shard.path}"


def changed(manifest: ShardManifest, before: ShardManifest) -> ShardManifest:
    """Return `manifest`, a corpus that lost documents, as one that runs on `before` may go on."""
    if manifest.fingerprint == before.fingerprint:
        return replace(manifest, earlier_fingerprints=before.earlier_fingerprints)
    earlier = (*before.earlier_fingerprints, before.fingerprint)
    return replace(manifest, earlier_fingerprints=earlier)


def fingerprints(manifests: Sequence[ShardManifest]) -> tuple[str, ...]:
    """Return what a checkpoint remembers of its training data."""
    return tuple(manifest.fingerprint for manifest in manifests)


def write_manifest(manifest: ShardManifest) -> dict[str, Any]:
    """Write `manifest` to its path, whole or not at all, and return the JSON object."""
    shards = [asdict(shard) for shard in manifest.shards]
    num_sequences = sum(shard.num_sequences for shard in manifest.shards)
    facts = {
        "format": manifest.format,
        "version": VERSION_WITH_REMOVALS if manifest.removed else VERSION,
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
    if manifest.sources:
        facts["sources"] = [dict(one) for one in manifest.sources]
    if manifest.removed:
        facts["removed"] = [asdict(spans) for spans in manifest.removed]
        facts["earlier_fingerprints"] = list(manifest.earlier_fingerprints)
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
            f"shard manifest {shown(path)}: there is no such file; give the folder with "
            f"{MANIFEST} that the shards stage wrote (OUTPUT/shards), or the file itself"
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


# Fields of a manifest that are read one by one.
_NOT_FIELDS = ("shards", "removed", "earlier_fingerprints", "sources")


def _manifest(path: str, facts: dict[str, Any]) -> ShardManifest:
    names = set(ShardManifest.__dataclass_fields__) - {"path", *_NOT_FIELDS}
    shards = tuple(
        Shard(**{name: entry[name] for name in Shard.__dataclass_fields__})
        for entry in facts["shards"]
    )
    removed = tuple(RemovedSpans(**entry) for entry in facts.get("removed", ()))
    rest = {name: facts[name] for name in names}
    earlier = tuple(facts.get("earlier_fingerprints", ()))
    rest |= {"removed": removed, "earlier_fingerprints": earlier}
    return ShardManifest(path=path, shards=shards, sources=tuple(facts.get("sources", ())), **rest)


def _check_format(path: str, facts: Any) -> None:
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        found = facts.get("format") if isinstance(facts, dict) else None
        raise ShardError(
            f"shard manifest {path}: its format is {found!r}, and training, ranking, removal and "
            f"exports read {FORMAT!r} alone; write shards with tokens.format=dclm"
        )
    versions = (VERSION, VERSION_WITH_REMOVALS)
    for name, known in (("version", versions), ("dtype", tuple(ID_TYPES))):
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


def blanked(tokens: NDArray[Any], removed: NDArray[np.bool_], manifest: ShardManifest) -> None:
    """Put padding in the place of removed tokens; the ends of documents stay."""
    tokens[removed & (tokens != manifest.end_of_text_id)] = manifest.padding_id


class Removals:
    """Finds the removed tokens of a source's shards."""

    def __init__(self, manifest: ShardManifest) -> None:
        self._manifest = manifest
        self._spans = {spans.shard: spans for spans in manifest.removed}
        self._read: dict[str, NDArray[np.int32]] = {}

    def mask(self, shard: Shard, first: int, count: int) -> NDArray[np.bool_] | None:
        """Return [count, tokens_per_row]: which tokens of rows from `first` on are removed.

        None where none is.
        """
        spans = self._of(shard)
        spans = spans[(spans[:, 0] >= first) & (spans[:, 0] < first + count)]
        if not len(spans):
            return None
        mask = np.zeros((count, self._manifest.tokens_per_row), np.bool_)
        for row, start, length in spans:
            mask[row - first, start : start + length] = True
        return mask

    def _of(self, shard: Shard) -> NDArray[np.int32]:
        """Return the shard's spans [spans, 3], in memory from the first call on."""
        if shard.path not in self._read:
            entry = self._spans.get(shard.path)
            self._read[shard.path] = (
                np.zeros((0, 3), np.int32) if entry is None else self._load(entry)
            )
        return self._read[shard.path]

    def _load(self, entry: RemovedSpans) -> NDArray[np.int32]:
        uri = self._manifest.uri(entry)
        content = storage.read_bytes(uri)
        if hashlib.sha256(content).hexdigest() != entry.sha256:
            raise ShardError(
                f"{uri}: not the removed documents that the manifest promises; give "
                "the command of the run again"
            )
        table = pq.read_table(io.BytesIO(content), columns=REMOVED_SPANS.names)
        return np.stack([column.to_numpy() for column in table.columns], axis=1)
