"""Checkpoints on disk: which there are, whether they are whole, what they say of themselves."""

import io
import json
import logging
import re
import shutil
import zipfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.distributed.checkpoint.filesystem import FileSystemReader

from dclm_spark.shard_format import ShardManifest, fingerprints
from dclm_spark.yaml_text import read_yaml

LATEST, FACTS, SETTINGS, PARTIAL = "latest", "facts.json", "settings.yaml", ".partial"
_TENSORS, _DAMAGED = ".metadata", ".damaged"
NAME = re.compile(r"step-\d{9,}")

LOGGER = logging.getLogger("dclm_spark")


class CheckpointError(ValueError):
    """A checkpoint is missing, or does not belong to this run."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a checkpoint says of itself beside its tensors."""

    # Steps whose updates are in the weights, and so the next step's number.
    step: int
    tokens: int
    # One for each manifest, in their order.
    fingerprints: tuple[str, ...]
    num_ranks: int
    # Of the held-out sequences; None when there were none, or before it was recorded.
    heldout_fingerprint: str | None = None


def is_permanent(name: str, permanent_steps: int | None) -> bool:
    """Say whether the checkpoint `name` stays for good."""
    return permanent_steps is not None and int(name.removeprefix("step-")) % permanent_steps == 0


def steps_below(directory: Path) -> list[Path]:
    """Return the finished checkpoints in `directory`, whole or not, the oldest first."""
    return sorted(path for path in directory.glob("step-*") if path.suffix == "")


def damage(path: Path) -> str | None:
    """Say what is missing from the checkpoint at `path`; None when all bytes are there."""
    for name in (FACTS, SETTINGS, _TENSORS):
        if not (path / name).is_file():
            return f"{name} is missing"
    try:
        read_facts(path)
        if not isinstance(read_yaml((path / SETTINGS).read_text("utf-8"), SETTINGS), dict):
            raise ValueError(f"no settings in {SETTINGS}")
        parts = _parts(path)
    except Exception as error:  # a damaged pickle raises nearly anything
        return f"its records cannot be read ({type(error).__name__}: {error})"
    return _cut_off(path, parts)


def corruption(path: Path) -> str | None:
    """Say which tensors' bytes changed since they were written, as `damage` does; reads all.

    Each tensor lies in the file as torch.save wrote it: a zip archive, which has checksums.
    """
    if (missing := damage(path)) is not None:
        return missing
    by_file: dict[str, list[Any]] = {}
    for part in _parts(path):
        by_file.setdefault(part.relative_path, []).append(part)
    with ThreadPoolExecutor(4) as pool:
        return next(filter(None, pool.map(_changed, [path] * len(by_file), by_file.items())), None)


def _changed(path: Path, file: tuple[str, list[Any]]) -> str | None:
    name, parts = file
    with (path / name).open("rb") as stream:
        for part in sorted(parts, key=lambda one: int(one.offset)):
            stream.seek(part.offset)
            content = io.BytesIO(stream.read(part.length))
            try:
                with zipfile.ZipFile(content) as archive:
                    broken = archive.testzip()
            except Exception as error:  # a damaged archive raises nearly anything
                broken = f"{type(error).__name__}"
            if broken is not None:
                return f"{name} has changed near byte {part.offset} ({broken})"
    return None


def _parts(path: Path) -> list[Any]:
    return list(FileSystemReader(path).read_metadata().storage_data.values())


def _cut_off(path: Path, parts: Iterable[Any]) -> str | None:
    ends: dict[str, int] = {}
    for part in parts:
        ends[part.relative_path] = max(ends.get(part.relative_path, 0), part.offset + part.length)
    for name, end in sorted(ends.items()):
        size = (path / name).stat().st_size if (path / name).is_file() else 0
        if size < end:
            return f"{name} has {size} of {end} bytes"
    return None


def newest_whole(directory: Path) -> Path:
    """Return the checkpoint to go on from: the one that `latest` names, or the next older whole.

    A damaged one is renamed and named in the log. Raises CheckpointError when none is whole.
    """
    steps = steps_below(directory)
    latest = _latest(directory)
    for path in reversed([path for path in steps if latest is None or path.name <= latest]):
        reason = corruption(path)
        if reason is None:
            return path
        aside = path.with_name(path.name + _DAMAGED)
        shutil.rmtree(aside, ignore_errors=True)
        path.rename(aside)
        LOGGER.warning("%s is damaged: %s; going on from an older checkpoint", aside, reason)
    raise CheckpointError(
        f"{directory}: no checkpoint is whole (see the *{_DAMAGED} folders); restore one from a "
        "copy, or start anew with another --output"
    )


def _latest(directory: Path) -> str | None:
    """Return the name in `latest`, that of the newest where it holds none; None without it."""
    pointer = directory / LATEST
    if not pointer.is_file():
        return None
    name = pointer.read_text(errors="replace").strip()
    if NAME.fullmatch(name):
        return name
    LOGGER.warning("%s holds %r, no checkpoint's name; the newest is taken", pointer, name[:40])
    steps = steps_below(directory)
    return steps[-1].name if steps else None


def resolve(path: Path) -> Path:
    """Return the checkpoint that `path` (a run's output or a checkpoint) stands for.

    Raises CheckpointError where there is none, or a damaged one.
    """
    for directory in (path, path / "checkpoints"):
        if (name := _latest(directory)) is not None:
            return _checked(directory / name)
    if (path / FACTS).is_file():
        return _checked(path)
    raise CheckpointError(
        f"{path}: neither a training output with checkpoints, a checkpoint, a Hugging Face "
        "export nor an OpenLM .pt file"
    )


def _checked(path: Path) -> Path:
    reason = corruption(path) if path.is_dir() else "the folder is gone"
    if reason is None:
        return path
    whole = [other for other in steps_below(path.parent) if other != path and not damage(other)]
    advice = f"take {whole[-1]} instead" if whole else "no other checkpoint beside it is whole"
    raise CheckpointError(f"{path}: damaged, {reason}; {advice}")


def read_facts(path: Path) -> Facts:
    """Read what the checkpoint at `path` says of itself."""
    facts = json.loads((path / FACTS).read_text())
    return Facts(**facts | {"fingerprints": tuple(facts["fingerprints"])})


def is_same_corpus(facts: Facts, manifests: Sequence[ShardManifest]) -> bool:
    """Say whether a checkpoint is of these shards, before or after documents were removed."""
    known = [{one.fingerprint, *one.earlier_fingerprints} for one in manifests]
    return len(known) == len(facts.fingerprints) and all(
        one in names for one, names in zip(facts.fingerprints, known, strict=True)
    )


def check_same_corpus(path: Path, facts: Facts, manifests: Sequence[ShardManifest]) -> None:
    """Raise CheckpointError when the shards are not those that the checkpoint was trained on."""
    if not is_same_corpus(facts, manifests):
        raise CheckpointError(
            f"{path}: trained on the corpus {_short(facts.fingerprints)}, but the shards given are "
            f"{_short(fingerprints(manifests))}; pass the original shards, or start a new run from "
            f"these weights with --set initial_weights={path}"
        )


def check_same_heldout(path: Path, facts: Facts, fingerprint: str | None) -> None:
    """Raise CheckpointError when held-out losses would not compare with the earlier ones."""
    if facts.heldout_fingerprint not in (None, fingerprint):
        raise CheckpointError(
            f"{path}: its held-out losses are of the sequences "
            f"{_short((str(facts.heldout_fingerprint),))}, but those given now are "
            f"{_short((str(fingerprint),))}, so that the log's losses would not compare; pass the "
            "original data.heldout, or measure the new sequences in a run of their own"
        )


def _short(fingerprints: tuple[str, ...]) -> str:
    return "+".join(fingerprint[:12] for fingerprint in fingerprints)
