"""Reading token rows from one source's shards, and refusing what its manifest did not promise."""

import fcntl
import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dclm_spark.shard_format import (
    Removals,
    Rows,
    Shard,
    ShardError,
    ShardManifest,
    group_sizes,
)
from udfs.shards.packed_rows import ROWS_PER_GROUP
from udfs.storage import read_bytes

_PARTIAL, _SHARD = ".partial", ".parquet"


class ShardCache:
    """A folder of shards named by their SHA-256.

    `budget_bytes` bounds what they take together; None never evicts. `next_uses` says how far
    ahead the run needs a shard next; those that it does not name are evicted first.
    """

    def __init__(
        self, directory: Path, *, budget_bytes: int | None, verify: bool,
        next_uses: Callable[[], Mapping[str, float]] = dict,
    ) -> None:  # fmt: skip
        self.directory, self.budget_bytes, self.verify = directory, budget_bytes, verify
        self.next_uses = next_uses

    def path(self, shard: Shard) -> Path:
        """Return where the shard lies when it is here."""
        return self.directory / f"{shard.sha256}{_SHARD}"

    @contextmanager
    def file(self, uri: str, shard: Shard) -> Iterator[Path]:
        """Yield the shard's file, fetched if need be; it stays in place while the block runs.

        Files that are open may be evicted: they can still be read.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.path(shard)
        while True:
            with self._locked(fcntl.LOCK_SH):
                if path.is_file():
                    yield path
                    return
            with self._locked(fcntl.LOCK_EX):
                if not path.is_file():
                    self._fetch(uri, shard)

    @contextmanager
    def _locked(self, kind: int) -> Iterator[None]:
        # The kernel drops the lock of a killed process.
        with (self.directory / ".lock").open("a") as stream:
            fcntl.flock(stream, kind)
            yield

    def _fetch(self, uri: str, shard: Shard) -> None:
        for stale in self.directory.glob(f"*{_PARTIAL}"):
            stale.unlink()
        self._make_room(uri, shard)
        content = read_bytes(uri)
        found = hashlib.sha256(content).hexdigest() if self.verify else shard.sha256
        if found != shard.sha256:
            raise ShardError(
                f"{uri}: corrupt, its SHA-256 is {found}, the manifest promises {shard.sha256}; "
                "restore the file or write the shards again"
            )
        partial = self.path(shard).with_suffix(_PARTIAL)
        partial.write_bytes(content)
        partial.replace(self.path(shard))

    def _make_room(self, uri: str, shard: Shard) -> None:
        if self.budget_bytes is None:
            return
        if shard.size_bytes > self.budget_bytes:
            raise ShardError(
                f"{uri}: {shard.size_bytes} bytes, more than data.cache_bytes = "
                f"{self.budget_bytes}; allow more"
            )
        sizes = {path: path.stat().st_size for path in self.directory.glob(f"*{_SHARD}")}
        excess = sum(sizes.values()) + shard.size_bytes - self.budget_bytes
        uses = self.next_uses() if excess > 0 else {}
        for path in sorted(sizes, key=lambda path: (-uses.get(path.stem, math.inf), path.name)):
            if excess <= 0:
                return
            path.unlink()
            excess -= sizes[path]


class ShardReader:
    """Reads row groups of one source; keeps the last few, since neighbors share them.

    Not safe for use by several threads at once.
    """

    def __init__(
        self, manifest: ShardManifest, *, verify: bool, cache: ShardCache | None = None,
        num_groups_kept: int = 4, num_files_kept: int = 32,
    ) -> None:  # fmt: skip
        self.manifest, self.verify, self.cache = manifest, verify, cache
        self._removals = Removals(manifest)
        self._files: OrderedDict[Shard, pq.ParquetFile] = OrderedDict()
        self._groups: OrderedDict[tuple[str, int], Rows] = OrderedDict()
        self._verified: set[Shard] = set()
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

    def removed(self, shard: Shard, group: int) -> NDArray[np.bool_] | None:
        """Return [rows, tokens_per_row]: the group's tokens of removed documents; None for none."""
        first = group * ROWS_PER_GROUP
        count = min(ROWS_PER_GROUP, shard.num_sequences - first)
        return self._removals.mask(shard, first, count)

    def _read(self, shard: Shard, group: int) -> Rows:
        try:
            # One column is one thread's work; waking others costs as much CPU as the reading.
            table = self._file(shard).read_row_group(group, columns=["tokens"], use_threads=False)
            column = table.column(0)
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
        kind = self.manifest.id_type
        if (np.diff(ends) != kind.itemsize * width).any():
            raise ShardError(
                f"{self._name(shard)}: row group {group} has rows of {int(np.diff(ends)[0])} "
                f"bytes, the manifest promises {width} tokens of {kind.itemsize} bytes a row"
            )
        values = np.frombuffer(data, dtype=kind, count=len(array) * width)
        if int(values.max(initial=0)) >= self.manifest.vocabulary_size:
            raise ShardError(
                f"{self._name(shard)}: token id {values.max()} in row group {group} is outside "
                f"the manifest's vocabulary of {self.manifest.vocabulary_size}"
            )
        return values.reshape(-1, width)

    def _file(self, shard: Shard) -> pq.ParquetFile:
        if shard not in self._files:
            with self._local(shard) as path:
                self._files[shard] = self._open(shard, path)
            self._close_evicted()
            if len(self._files) > self._num_files_kept:
                self._files.popitem(last=False)[1].close()
        self._files.move_to_end(shard)
        return self._files[shard]

    def _open(self, shard: Shard, path: Path) -> pq.ParquetFile:
        if self.verify and shard not in self._verified:
            self._check_bytes(shard, path)
            self._verified.add(shard)
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
                f"{self._name(shard)}: corrupt, its SHA-256 is {found} in {path}, the manifest "
                f"promises {shard.sha256}; restore the file (delete it from a cache) or write the "
                "shards again"
            )

    def _local(self, shard: Shard) -> AbstractContextManager[Path]:
        """Return the shard's file while it is opened, a remote one from the cache."""
        name = self._name(shard)
        if "://" in name:
            if self.cache is None:
                raise ShardError(
                    f"{name}: set data.cache_directory to a local folder for remote shards"
                )
            return self.cache.file(name, shard)
        if not Path(name).is_file():
            raise ShardError(f"{name}: the manifest lists it but it does not exist")
        return nullcontext(Path(name))

    def _close_evicted(self) -> None:
        """Let go of files that are no longer in the cache: until then they take room on disk."""
        if self.cache is None or "://" not in self.manifest.path:
            return
        for shard in list(self._files):
            if not self.cache.path(shard).exists():
                self._files.pop(shard).close()
                self._verified.discard(shard)

    def _name(self, shard: Shard) -> str:
        return self.manifest.uri(shard)
