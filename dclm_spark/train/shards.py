"""Token shards: the manifest that promises them, and reading their rows (design section 5)."""

import hashlib
import json
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
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


class ShardReader:
    """Reads row groups of one source; keeps the last few, since neighbors share them.

    Not safe for use by several threads at once.
    """

    def __init__(
        self, manifest: Manifest, *, verify: bool, cache_directory: Path | None = None,
        num_groups_kept: int = 4, num_files_kept: int = 32,
    ) -> None:  # fmt: skip
        self.manifest, self.verify, self.cache_directory = manifest, verify, cache_directory
        self._files: OrderedDict[str, pq.ParquetFile] = OrderedDict()
        self._groups: OrderedDict[tuple[str, int], Rows] = OrderedDict()
        self._verified: set[str] = set()
        self._num_groups_kept, self._num_files_kept = num_groups_kept, num_files_kept

    def rows(self, shard: Shard, group: int) -> Rows:
        """Return the token ids [rows, tokens_per_row] of one row group, read-only."""
        key = (shard.path, group)
        if key not in self._groups:
            self._groups[key] = self._read(shard, group)
            if len(self._groups) > self._num_groups_kept:
                self._groups.popitem(last=False)
        self._groups.move_to_end(key)
        return self._groups[key]

    def _read(self, shard: Shard, group: int) -> Rows:
        try:
            column = self._file(shard).read_row_group(group, columns=["tokens"]).column(0)
        except (pa.ArrowException, OSError) as error:
            raise ShardError(
                f"{self._name(shard)}: row group {group} is damaged ({error})"
            ) from error
        width = self.manifest.tokens_per_row
        array = column.combine_chunks()
        if isinstance(array, pa.ChunkedArray):
            array = array.chunk(0)
        _, offsets, data = array.cast(pa.large_binary()).buffers()
        ends = np.frombuffer(offsets, dtype=np.int64)[: len(array) + 1]
        if (np.diff(ends) != 2 * width).any():
            raise ShardError(
                f"{self._name(shard)}: row group {group} has rows of {int(np.diff(ends)[0])} "
                f"bytes, the manifest promises {width} tokens of 2 bytes a row"
            )
        values = np.frombuffer(data, dtype="<u2", count=len(array) * width)
        if int(values.max(initial=0)) >= self.manifest.vocabulary_size:
            raise ShardError(
                f"{self._name(shard)}: token id {values.max()} in row group {group} is outside "
                f"the manifest's vocabulary of {self.manifest.vocabulary_size}"
            )
        return values.reshape(-1, width)

    def _file(self, shard: Shard) -> pq.ParquetFile:
        if shard.path not in self._files:
            path = self.local_path(shard)
            self._files[shard.path] = self._open(shard, path)
            if len(self._files) > self._num_files_kept:
                self._files.popitem(last=False)[1].close()
        self._files.move_to_end(shard.path)
        return self._files[shard.path]

    def _open(self, shard: Shard, path: Path) -> pq.ParquetFile:
        if self.verify and shard.path not in self._verified:
            self._check_bytes(shard, path)
            self._verified.add(shard.path)
        try:
            file = pq.ParquetFile(path, memory_map=True)
        except (pa.ArrowException, OSError) as error:
            raise ShardError(
                f"{self._name(shard)}: not a readable Parquet file ({error})"
            ) from error
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        if sizes != group_sizes(shard.num_sequences):
            raise ShardError(
                f"{self._name(shard)}: {sum(sizes)} rows in groups of {max(sizes, default=0)}, the "
                f"manifest promises {shard.num_sequences} in groups of {ROWS_PER_GROUP}"
            )
        return file

    def _check_bytes(self, shard: Shard, path: Path) -> None:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != shard.sha256:
            raise ShardError(
                f"{self._name(shard)}: corrupt, its SHA-256 is {found}, the manifest promises "
                f"{shard.sha256}; restore the file or write the shards again"
            )

    def local_path(self, shard: Shard) -> Path:
        """Return the shard's file, fetching a remote one into the cache directory first."""
        name = self._name(shard)
        if "://" not in name:
            if not Path(name).is_file():
                raise ShardError(f"{name}: the manifest lists it but it does not exist")
            return Path(name)
        if self.cache_directory is None:
            raise ShardError(
                f"{name}: set data.cache_directory to a local folder for remote shards"
            )
        target = self.cache_directory / f"{shard.sha256}.parquet"
        if not target.is_file():
            self.cache_directory.mkdir(parents=True, exist_ok=True)
            # Ranks of one host may fetch at the same time: the last rename wins, all are whole.
            partial = target.with_name(f"{target.name}.{uuid.uuid4().hex}")
            partial.write_bytes(read_bytes(name))
            partial.replace(target)
        return target

    def _name(self, shard: Shard) -> str:
        return f"{self.manifest.path.rsplit('/', 1)[0]}/{shard.path}"


def group_sizes(num_sequences: int) -> list[int]:
    """Return the row counts of a shard's row groups: full ones, then what is left."""
    full, rest = divmod(num_sequences, ROWS_PER_GROUP)
    return [ROWS_PER_GROUP] * full + [rest] * (rest > 0)
