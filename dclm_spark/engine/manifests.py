"""Reading and judging what units committed: the only source of counts."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow.compute as pc

from dclm_spark.engine.code_version import package_version
from dclm_spark.engine.stage_output import ROWS_AT_A_TIME, StageOutput, UnitRows
from dclm_spark.errors import SettingError
from dclm_spark.settings import to_dict
from udfs import storage
from udfs.documents.formats import LOST_SIZE
from udfs.documents.schema import DROPPED, KEPT
from udfs.storage import StoredObject
from udfs.storage.stream import shown
from udfs.units.commit import FORMAT_VERSION, MANIFESTS, STATISTICS, manifest_uri

__all__ = ["StageOutput", "Unit", "unit_key"]

STORAGE_THREADS = 16
# A folder in a stage's that is not the stage's own (`dclm_spark.removal`).
BESIDE = "removed"
_PACKAGE_FILE = re.compile(r"package://(\w+)/")


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One piece of work with a name of its own and the key that says what it was made from.

    `stored` is what is known of its input file. A unit that was committed when the file had another
    size is made again; so is one that lost something to damage, or has no document, when the file
    had another version. Where one of these is unknown, the key alone decides.
    """

    name: str
    key: str
    stored: StoredObject | None = None


def numbered_unit(shard: int, count: int) -> str:
    """Return the name of the unit of one of `count` shards; the names sort like the numbers."""
    digits = max(5, len(str(count - 1)))
    return f"shard-{shard:0{digits}d}"


def part_unit(file_unit: str, number: int) -> str:
    """Return the name of the unit of a part of a file, from that of the whole file's."""
    return f"{file_unit}-part-{number}"


def file_of_unit(name: str) -> str:
    """Return the name that the unit of the whole file would have."""
    return re.sub(r"(?<=-[0-9a-f]{10})-part-\d+$", "", name)


def unit_key(*parts: Any, code: str) -> str:
    """Return the key of a unit: a hash of its inputs, its settings and its stage's code version.

    Where these name files of an installed package, its version is part of the key. What signs a URI
    in them is none (see `dclm_spark.settings.to_dict`).
    """
    text = json.dumps([code, *map(to_dict, parts)], sort_keys=True, default=str)
    packages = {name: package_version(name) for name in _PACKAGE_FILE.findall(text)}
    text += json.dumps(packages, sort_keys=True) if packages else ""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def committed_names(directory: str) -> list[str]:
    """Return the names of the units that are committed below `directory`, whatever their keys."""
    uris = storage.list_files(storage.join(directory, MANIFESTS))
    return [uri.rsplit("/", 1)[-1].removesuffix(".json") for uri in uris if uri.endswith(".json")]


def read_manifests(directory: str, names: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield the manifests of committed units, in the order of `names`; few are held at a time.

    Raises SettingError for what another version of this package committed.
    """
    for text in read_many([manifest_uri(directory, name) for name in names]):
        manifest = json.loads(text)
        check_format(manifest, directory)
        yield manifest


def check_format(record: Mapping[str, Any], place: str) -> None:
    """Raise SettingError unless `record` (a manifest, run.json) is of the format of this version.

    `place` is the folder that it stands for.
    """
    found = record.get("format_version", 1)
    if found != FORMAT_VERSION:
        raise SettingError(
            f"{shown(place)} was made by {'an older' if found < FORMAT_VERSION else 'a newer'} "
            f"version of dclm-spark: its format is {found}, and this version reads and writes "
            f"format {FORMAT_VERSION}. Run again with another --output, or with --overwrite to "
            "make all of it anew"
        )


def read_many(uris: Sequence[str]) -> Iterator[bytes]:
    """Yield the content of small files, in their order, some hundreds read ahead."""
    with ThreadPoolExecutor(STORAGE_THREADS) as pool:
        for start in range(0, len(uris), ROWS_AT_A_TIME):
            yield from pool.map(storage.read_bytes, uris[start : start + ROWS_AT_A_TIME])


class OtherUnits(NamedTuple):
    """Committed units that are not what is asked for."""

    # Units that were made from other input, settings or code.
    made_otherwise: list[str]
    # What is said of units whose input file has changed since, by their names.
    changed: dict[str, str]

    @property
    def names(self) -> list[str]:
        """All of them."""
        return [*self.made_otherwise, *self.changed]


def read_committed(
    directory: str, names: Iterable[str], units: Mapping[str, Unit], rows: UnitRows
) -> OtherUnits:
    """Add to `rows` the units of `names` that are committed as in `units`; return the others."""
    others = OtherUnits([], {})
    for manifest in read_manifests(directory, names):
        unit = units[manifest["unit"]]
        if (changed := _change_of_file(manifest, unit)) is not None:
            others.changed[unit.name] = changed
        elif manifest["key"] != unit.key:
            others.made_otherwise.append(unit.name)
        else:
            rows.add(manifest)
    return others


def _change_of_file(manifest: Mapping[str, Any], unit: Unit) -> str | None:
    """Return how the input file changed since the unit was made, None where it did not."""
    file = manifest["facts"].get("input", {})
    then, now = file.get("size_bytes"), unit.stored
    if then is None or now is None:
        return None
    if then != now.size_bytes:
        return f"{file['path']} had {then:,} bytes and has {now.size_bytes:,}"
    is_other = now.version and file.get("version") and now.version != file["version"]
    documents = manifest["documents"]
    is_damaged = file.get(LOST_SIZE) or not any(documents[fate][0] for fate in (KEPT, DROPPED))
    return f"{file['path']} was damaged and was written again" if is_other and is_damaged else None


def uncommit(directory: str, names: Iterable[str]) -> None:
    """Remove the manifests of units, which are then as if they had never been done."""
    delete_many([manifest_uri(directory, name) for name in names])


def delete_many(uris: Sequence[str]) -> None:
    """Remove files, many at a time."""
    with ThreadPoolExecutor(STORAGE_THREADS) as pool:
        for _ in pool.map(storage.delete, uris):
            pass


def remove_stale(directory: str, output: StageOutput, suffixes: tuple[str, ...]) -> int:
    """Remove what belongs to other units than those of `output`; return how many units that were.

    Files of units have one of `suffixes`. What a stage keeps beside its units (an index, a
    manifest for trainers, what was removed from a corpus) stays.
    """
    current = {manifest_uri(directory, name) for name in output.unit_names}
    for column in (output.unit_files["path"], pc.drop_null(output.units["statistics_path"])):
        current.update(storage.join(directory, path) for path in column.to_pylist())
    folders = tuple(storage.join(directory, name) + "/" for name in (MANIFESTS, STATISTICS))
    beside = storage.join(directory, BESIDE) + "/"
    stale = [
        uri
        for uri in storage.list_files(directory)
        if uri not in current
        and not uri.startswith(beside)
        and (uri.endswith(suffixes) or uri.startswith(folders))
    ]
    delete_many(stale)
    return sum(uri.startswith(folders[0]) for uri in stale)
