"""Remote shards on a host's disk: fetched whole, evicted in the order in which they are needed.

The ranks of a host share the folder: a lock in it is held by one rank to fetch and evict, and by
any number to open. A fetch that is killed leaves a `.partial` file, which the next one removes.
"""

import fcntl
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dclm_spark.train.shards import Shard, ShardError, read_bytes

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
