"""The output of a stage as the driver holds it: units and files in columns, their totals."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from udfs import storage
from udfs.documents.schema import FATES, KEPT

ROWS_AT_A_TIME = 1000

UNITS = pa.schema(
    [
        pa.field("unit", pa.string()),
        pa.field("key", pa.string()),
        # Documents and bytes of text by fate; null where a stage gives none.
        *(pa.field(f"{fate}_documents", pa.int64()) for fate in FATES),
        *(pa.field(f"{fate}_text_bytes", pa.int64()) for fate in FATES),
        pa.field("seconds", pa.float64()),
        pa.field("cpu_seconds", pa.float64()),
        # The unit's own facts, as JSON; those that add up over units lie in a file of their own.
        pa.field("facts", pa.string()),
        pa.field("statistics_path", pa.string()),
        pa.field("statistics_sha256", pa.string()),
    ]
)
FILES = pa.schema(
    [
        pa.field("unit", pa.string()),
        pa.field("path", pa.string()),
        pa.field("rows", pa.int64()),
        pa.field("size_bytes", pa.int64()),
        pa.field("sha256", pa.string()),
    ]
)


@dataclass(frozen=True, kw_only=True, eq=False)
class StageOutput:
    """The committed units of a stage, in the order of their names.

    Units and files are Arrow tables (UNITS, FILES), about 1 KB a unit: a crawl has a hundred
    thousand. `totals` are the units' statistics added up (`udfs.units.totals.Totals`).
    """

    stage: str
    directory: str
    units: pa.Table
    unit_files: pa.Table
    totals: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def fingerprint(self) -> str:
        """Identity of the stage's data: the checksums of all its files."""
        ordered = self.unit_files.select(["path", "sha256"]).sort_by("path")
        digest = hashlib.sha256()
        for start in range(0, ordered.num_rows, ROWS_AT_A_TIME):
            part = ordered.slice(start, ROWS_AT_A_TIME)
            pairs = zip(part["path"].to_pylist(), part["sha256"].to_pylist(), strict=True)
            digest.update("".join(f"{path}\0{sha256}\n" for path, sha256 in pairs).encode())
        return digest.hexdigest()[:32]

    @property
    def unit_names(self) -> list[str]:
        """The names of all units."""
        names: list[str] = self.units["unit"].to_pylist()
        return names

    def files(self, prefix: str) -> list[dict[str, Any]]:
        """Return unit, uri, rows and size_bytes of the files below `prefix` (such as "kept/")."""
        return [
            {"uri": storage.join(self.directory, file["path"]), **file}
            for file in self._below(prefix).to_pylist()
        ]

    def rows(self, prefix: str) -> int:
        """Return the rows of all files below `prefix`."""
        return int(pc.sum(self._below(prefix)["rows"]).as_py() or 0)

    def _below(self, prefix: str) -> pa.Table:
        return self.unit_files.filter(pc.starts_with(self.unit_files["path"], prefix))

    def facts(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the name and the own facts of each unit."""
        for batch in self.units.select(["unit", "facts"]).to_batches(ROWS_AT_A_TIME):
            for name, text in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                yield name, json.loads(text)

    def documents(self) -> dict[str, int]:
        """Return the number of documents by fate."""
        return {fate: self._sum(f"{fate}_documents") for fate in FATES}

    def text_bytes(self, fate: str = KEPT) -> int:
        """Return the UTF-8 bytes of text of the documents of a fate."""
        return self._sum(f"{fate}_text_bytes")

    def documents_by_unit(self) -> dict[str, int]:
        """Return how many documents each unit accounts for: those with a fate, else its rows."""
        grouped = self.unit_files.group_by("unit").aggregate([("rows", "sum")])
        rows = dict(zip(grouped["unit"].to_pylist(), grouped["rows_sum"].to_pylist(), strict=True))
        columns = [self.units[f"{fate}_documents"].to_pylist() for fate in FATES]
        return {
            name: rows.get(name, 0) if fates[0] is None else sum(fates)
            for name, fates in zip(self.unit_names, zip(*columns, strict=True), strict=True)
        }

    def total(self, name: str) -> float:
        """Return the sum over units of a timing entry: `seconds` or `cpu_seconds`."""
        return float(pc.sum(self.units[name]).as_py() or 0.0)

    def _sum(self, column: str) -> int:
        return int(pc.sum(self.units[column]).as_py() or 0)


def unit_statistics(output: StageOutput, unit: str) -> dict[str, Any]:
    """Return the statistics that one unit committed; empty where it has none."""
    found = output.units.filter(pc.equal(output.units["unit"], unit))["statistics_path"]
    if not found.length() or found[0].as_py() is None:
        return {}
    text = storage.read_bytes(storage.join(output.directory, found[0].as_py()))
    statistics: dict[str, Any] = json.loads(text)
    return statistics


class UnitRows:
    """Manifests put into columns one by one, so that no more than a thousand are held as such."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self._units: list[dict[str, Any]] = []
        self._files: list[dict[str, Any]] = []
        self._tables: list[tuple[pa.Table, pa.Table]] = []

    def add(self, manifest: Mapping[str, Any]) -> None:
        """Add a unit by its manifest."""
        statistics = manifest.get("statistics") or {}
        row = {
            "unit": manifest["unit"],
            "key": manifest["key"],
            "facts": json.dumps(manifest["facts"], ensure_ascii=False, separators=(",", ":")),
            "statistics_path": statistics.get("path"),
            "statistics_sha256": statistics.get("sha256"),
            **manifest["timing"],
        }
        for fate, (documents, text_bytes) in manifest["documents"].items():
            row[f"{fate}_documents"], row[f"{fate}_text_bytes"] = documents, text_bytes
        self.names.add(manifest["unit"])
        self._units.append(row)
        self._files += [{"unit": manifest["unit"], **file} for file in manifest["files"]]
        if len(self._units) == ROWS_AT_A_TIME:
            self._flush()

    def _flush(self) -> None:
        parts = pa.Table.from_pylist(self._units, UNITS), pa.Table.from_pylist(self._files, FILES)
        self._tables.append(parts)
        self._units, self._files = [], []

    def output(self, stage: str, directory: str) -> StageOutput:
        """Return the units as the output of `stage`, sorted by name."""
        self._flush()
        units, files = (pa.concat_tables(parts) for parts in zip(*self._tables, strict=True))
        files = files.append_column("place", pa.array(range(files.num_rows), pa.int64()))
        return StageOutput(
            stage=stage,
            directory=directory,
            units=units.sort_by("unit").combine_chunks(),
            unit_files=files.sort_by([("unit", "ascending"), ("place", "ascending")])
            .select(FILES.names)
            .combine_chunks(),
        )


def stage_output(stage: str, directory: str, manifests: Iterable[Mapping[str, Any]]) -> StageOutput:
    """Return manifests as the output of a stage, without the totals of their statistics."""
    rows = UnitRows()
    for manifest in manifests:
        rows.add(manifest)
    return rows.output(stage, directory)
