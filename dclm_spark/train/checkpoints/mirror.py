"""Finished checkpoints copied to an object store in the background, and fetched from there."""

import logging
import shutil
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from dclm_spark.train.checkpoints.folder import (
    LATEST,
    NAME,
    PARTIAL,
    CheckpointError,
    corruption,
    is_permanent,
)
from udfs import storage
from udfs.storage.stream import shown

LOGGER = logging.getLogger("dclm_spark")
_BLOCK_BYTES = 1 << 24


class Mirror:
    """Uploads checkpoints one at a time; a failed upload is logged, and training goes on.

    When saving outruns the store, checkpoints between the one on its way and the newest are left
    out.
    """

    def __init__(self, uri: str, *, keep: int, permanent_steps: int | None) -> None:
        self.uri, self.keep, self.permanent_steps = _as_listed(uri), keep, permanent_steps
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="mirror")
        self._lock = Lock()
        self._busy: Path | None = None
        self._waiting: Path | None = None
        self._pending: Future[None] | None = None

    def start(self, path: Path) -> None:
        """Upload the checkpoint at `path` as soon as an earlier one is done."""
        with self._lock:
            if self._waiting is not None:
                LOGGER.warning("%s is not mirrored: a newer one waits", self._waiting.name)
            self._waiting = path
            if self._busy is None:
                self._busy = path
                self._pending = self._pool.submit(self._upload_waiting)

    def holds(self, path: Path) -> bool:
        """Say whether the checkpoint at `path` must stay, for it is not uploaded yet."""
        return path in (self._busy, self._waiting)

    def finish(self) -> None:
        """Wait until the newest checkpoint is uploaded."""
        if self._pending is not None:
            self._pending.result()

    def _upload_waiting(self) -> None:
        while True:
            with self._lock:
                self._busy, self._waiting = self._waiting, None
                if self._busy is None:
                    return
            self._upload(self._busy)

    def _upload(self, path: Path) -> None:
        try:
            for file in sorted(path.rglob("*")):
                if file.is_file():
                    name = file.relative_to(path).as_posix()
                    storage.upload(file, storage.join(self.uri, path.name, *name.split("/")))
            # Named last, so that a reader finds whole checkpoints alone.
            storage.write_bytes(storage.join(self.uri, LATEST), path.name.encode())
            self._rotate(path.name)
            LOGGER.info("%s is mirrored to %s", path.name, shown(self.uri))
        except (OSError, storage.StorageError) as error:
            LOGGER.error("%s is not mirrored to %s: %s", path.name, shown(self.uri), error)

    def _rotate(self, newest: str) -> None:
        files = storage.list_files(self.uri)
        names = {file.removeprefix(f"{self.uri}/").partition("/")[0] for file in files}
        steps = sorted(name for name in names if name.startswith("step-") and name <= newest)
        for name in steps[: -max(1, self.keep)]:
            if not is_permanent(name, self.permanent_steps):
                for file in files:
                    if file.startswith(f"{self.uri}/{name}/"):
                        storage.delete(file)
                if storage.is_local(self.uri):
                    shutil.rmtree(storage.local_path(storage.join(self.uri, name)))


def fetch_newest(uri: str, directory: Path) -> Path | None:
    """Copy the checkpoint that the mirror names as its newest, or the next older whole one.

    Returns its path below `directory`, or None where nothing was ever mirrored. Raises
    CheckpointError where none is whole.
    """
    uri = _as_listed(uri)
    try:
        newest = storage.read_bytes(storage.join(uri, LATEST)).decode("utf-8", "replace").strip()
    except storage.MissingObjectError:
        return None
    files = storage.list_files(uri)
    prefix = f"{uri}/"
    names = {file.removeprefix(prefix).partition("/")[0] for file in files}
    steps = sorted(filter(NAME.fullmatch, names), reverse=True)
    # What is newer may not be whole yet; bytes that are no name say nothing.
    for name in [one for one in steps if one <= newest or not NAME.fullmatch(newest)]:
        LOGGER.info("fetching %s from %s", name, shown(uri))
        below = f"{prefix}{name}/"
        target = _fetch([file for file in files if file.startswith(below)], below, directory / name)
        reason = corruption(target)
        if reason is None:
            (directory / LATEST).write_text(name)
            return target
        LOGGER.warning("%s in %s is damaged: %s; trying an older one", name, shown(uri), reason)
        shutil.rmtree(target)
    raise CheckpointError(f"checkpoint.mirror = {shown(uri)}: no checkpoint there is whole")


def _as_listed(uri: str) -> str:
    """Return an address as the names of the files below it begin with it."""
    return str(storage.local_path(uri)) if storage.is_local(uri) else uri.rstrip("/")


def _fetch(files: Sequence[str], below: str, target: Path) -> Path:
    partial = target.with_name(target.name + PARTIAL)
    for file in files:
        place = partial / file.removeprefix(below)
        place.parent.mkdir(parents=True, exist_ok=True)
        with storage.open_stream(file) as stream, place.open("wb") as copy:
            while block := stream.read(_BLOCK_BYTES):
                copy.write(block)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    return target
