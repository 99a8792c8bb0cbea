"""Reading and judging what units committed: the only source of counts."""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from dclm_spark.engine.code_version import package_version
from dclm_spark.settings import to_dict
from udfs import storage
from udfs.units.commit import manifest_uri

READER_THREADS = 16
_PACKAGE_FILE = re.compile(r"package://(\w+)/")


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One piece of work with a name of its own and the key that says what it was made from."""

    name: str
    key: str


@dataclass(frozen=True, kw_only=True)
class StageOutput:
    """The committed units of a stage, in the order of their names."""

    stage: str
    directory: str
    manifests: tuple[dict[str, Any], ...]

    @property
    def fingerprint(self) -> str:
        """Identity of the stage's data: the checksums of all its files."""
        entries = sorted(
            (file["path"], file["sha256"]) for unit in self.manifests for file in unit["files"]
        )
        return hashlib.sha256(json.dumps(entries).encode()).hexdigest()[:32]

    def files(self, prefix: str) -> list[dict[str, Any]]:
        """Return unit, uri, rows and size_bytes of the files below `prefix` (such as "kept/")."""
        return [
            {"unit": unit["unit"], "uri": storage.join(self.directory, file["path"]), **file}
            for unit in self.manifests
            for file in unit["files"]
            if file["path"].startswith(prefix)
        ]

    def facts(self) -> list[dict[str, Any]]:
        """Return the facts of each unit."""
        return [unit["facts"] for unit in self.manifests]

    def total(self, name: str) -> float:
        """Return the sum over units of a timing entry such as `cpu_seconds`."""
        return float(sum(unit["timing"].get(name, 0.0) for unit in self.manifests))


def unit_key(*parts: Any, code: str) -> str:
    """Return the key of a unit: a hash of its inputs, its settings and its stage's code version.

    Where these name files of an installed package, its version is part of the key. What signs a URI
    in them is none (see `dclm_spark.settings.to_dict`).
    """
    text = json.dumps([code, *map(to_dict, parts)], sort_keys=True, default=str)
    packages = {name: package_version(name) for name in _PACKAGE_FILE.findall(text)}
    text += json.dumps(packages, sort_keys=True) if packages else ""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def read_manifests(directory: str, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the manifests of those units of `names` that are committed below `directory`."""
    folder = storage.join(directory, "manifests")
    present = {uri.rsplit("/", 1)[-1].removesuffix(".json") for uri in storage.list_files(folder)}
    wanted = [name for name in names if name in present]
    with ThreadPoolExecutor(READER_THREADS) as pool:
        texts = pool.map(lambda name: storage.read_bytes(manifest_uri(directory, name)), wanted)
        return {name: json.loads(text) for name, text in zip(wanted, texts, strict=True)}


def pending_units(directory: str, units: Sequence[Unit]) -> tuple[list[Unit], dict[str, Any]]:
    """Split `units` into those still to be done and the manifests of those that are done.

    A unit whose manifest has another key was made from other input, settings or code: not done.
    """
    known = read_manifests(directory, [unit.name for unit in units])
    done = {
        unit.name: known[unit.name]
        for unit in units
        if unit.name in known and known[unit.name]["key"] == unit.key
    }
    return [unit for unit in units if unit.name not in done], done


def remove_stale(directory: str, units: Sequence[Unit], output: StageOutput) -> None:
    """Delete files of units that this run does not have, left by runs with other inputs."""
    current = {f"{unit.name}.json" for unit in units}
    current |= {file["path"] for unit in output.manifests for file in unit["files"]}
    manifests = storage.join(directory, "manifests")
    for uri in storage.list_files(directory):
        relative = uri[len(directory) :].lstrip("/")
        name = uri[len(manifests) :].lstrip("/") if uri.startswith(manifests) else relative
        if name not in current:
            storage.delete(uri)
