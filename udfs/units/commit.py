"""Units: what one task produces, and the manifest that commits it.

A unit is what one task produces: the documents of one WARC, one dedup shard, one token shard.
Its files are named after the unit, written to a temporary place and published whole, so a retried,
speculative or restarted task replaces a file by the same bytes. The unit exists once its manifest
does.

A manifest is small whatever the unit holds, since a driver reads all of them. What grows with a
unit (its domains, samples, histograms) lies in a file beside it, which tasks add up.
"""

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from udfs import storage
from udfs.cpu_clock import cpu_seconds
from udfs.documents.schema import FATES
from udfs.units.parquet_output import FileEntry
from udfs.units.statistics import ADDED_UP

MANIFESTS, STATISTICS = "manifests", "statistics"
# What names, folders and manifests mean. It goes up when an output of before cannot be read or
# resumed any more: 2 since stages have one name each, and select and tokenize are two of them.
FORMAT_VERSION = 2

# What a committing task hands to Spark: the unit's name and how many rows it wrote, or why it could
# not be made.
COMMITTED = pa.schema(
    [
        pa.field("unit", pa.string()),
        pa.field("rows", pa.int64()),
        pa.field("error", pa.string()),
    ]
)
_MAX_ERROR_LENGTH = 500


def committed(unit: str, rows: int) -> pa.RecordBatch:
    """Return the one-row batch that reports a committed unit to the driver."""
    return pa.RecordBatch.from_pydict(
        {"unit": [unit], "rows": [rows], "error": [None]}, schema=COMMITTED
    )


def failed(unit: str, error: str) -> pa.RecordBatch:
    """Return the one-row batch that reports a unit whose input cannot be read."""
    return pa.RecordBatch.from_pydict(
        {"unit": [unit], "rows": [0], "error": [error[:_MAX_ERROR_LENGTH]]}, schema=COMMITTED
    )


def failed_key(key: str) -> str:
    """Return the key under which what stands in for a failed unit is committed.

    It is not the unit's, so the next run tries the unit again.
    """
    return f"{key}-failed"


def report_of(directory: str, unit: str, key: str) -> pa.RecordBatch | None:
    """Return what committing `unit` reported, None where it is not committed with this key."""
    try:
        manifest = json.loads(storage.read_bytes(manifest_uri(directory, unit)))
    except storage.MissingObjectError:
        return None
    if manifest["key"] != key:
        return None
    return committed(unit, sum(file["rows"] for file in manifest["files"]))


class ForeignUnitError(RuntimeError):
    """Another run has committed this unit meanwhile, from other input, settings or code."""


class UnreadableInputError(RuntimeError):
    """An input file cannot be read to its end; the message names it, the place and the cause."""


class BooksError(RuntimeError):
    """A unit's rows are not as many as the records that were read for it."""


@dataclass(kw_only=True)
class UnitClock:
    """Wall and CPU seconds since the unit began, those of the page parser's process included."""

    wall_start: float = field(default_factory=time.perf_counter)
    cpu_start: float = field(default_factory=cpu_seconds)

    def timing(self) -> dict[str, float]:
        """Return `seconds` and `cpu_seconds` spent so far in this process."""
        return {
            "seconds": round(time.perf_counter() - self.wall_start, 4),
            "cpu_seconds": round(cpu_seconds() - self.cpu_start, 4),
        }


def commit(
    directory: str,
    unit: str,
    key: str,
    files: list[FileEntry],
    facts: dict[str, Any],
    clock: UnitClock,
) -> pa.RecordBatch:
    """Write the unit's manifest, which makes it exist, and return the row that reports it.

    Facts that add up over units go into a file of their own, which the manifest names. Raises
    BooksError when the rows are not as many as the records that the facts say were read, and
    ForeignUnitError when the unit was committed with another key meanwhile.
    """
    documents = _by_fate(facts)
    _check_books(unit, facts, documents)
    _check_owner(directory, unit, key)
    manifest = {
        "format_version": FORMAT_VERSION,
        "unit": unit,
        "key": key,
        "files": [vars(entry) for entry in files],
        "documents": documents,
        "statistics": _write_statistics(directory, unit, facts),
        "facts": {name: value for name, value in facts.items() if name not in ADDED_UP},
        "timing": clock.timing(),
    }
    text = json.dumps(manifest, sort_keys=True, ensure_ascii=False, indent=1)
    storage.write_bytes(manifest_uri(directory, unit), text.encode())
    return committed(unit, sum(entry.rows for entry in files))


def _by_fate(facts: dict[str, Any]) -> dict[str, list[int]]:
    """Return documents and bytes of text by fate; {} where documents are given none."""
    if "counts" not in facts:
        return {}
    totals = {fate: [0, 0] for fate in FATES}
    for entry in facts["counts"]:
        totals[entry["fate"]][0] += entry["documents"]
        totals[entry["fate"]][1] += entry["text_bytes"]
    return totals


def _check_books(unit: str, facts: dict[str, Any], documents: dict[str, list[int]]) -> None:
    if "records" not in facts:
        return
    read = facts["records"]["response"] + facts["records"]["broken"]
    rows = sum(count for count, _ in documents.values())
    if read != rows:
        name = facts.get("input", {}).get("uri", unit)
        raise BooksError(f"{name} gave {read} documents, but {rows} have a fate")


def _check_owner(directory: str, unit: str, key: str) -> None:
    """Refuse to take a unit's name from another run: a task may outlive its driver.

    A driver removes the manifests of units that it does again before it starts.
    """
    try:
        found = json.loads(storage.read_bytes(manifest_uri(directory, unit)))["key"]
    except storage.MissingObjectError:
        return
    if found != key:
        raise ForeignUnitError(
            f"{manifest_uri(directory, unit)}: another run committed this unit meanwhile; a second "
            "driver writes to the same output"
        )


def _write_statistics(directory: str, unit: str, facts: dict[str, Any]) -> dict[str, Any] | None:
    added_up = {name: facts[name] for name in ADDED_UP if name in facts}
    if not added_up:
        return None
    data = json.dumps(added_up, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    path = f"{STATISTICS}/{unit}.json"
    storage.write_bytes(storage.join(directory, path), data)
    return {
        "path": path,
        "size_bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def manifest_uri(directory: str, unit: str) -> str:
    """Return where the manifest of `unit` lies below a stage directory."""
    return storage.join(directory, MANIFESTS, f"{unit}.json")


def group_by_unit(
    batches: Iterator[pa.RecordBatch], column: str
) -> Iterator[tuple[str, Iterator[pa.RecordBatch]]]:
    """Split batches sorted by `column` into runs of one value: (value, batches of that run).

    Each run's iterator must be consumed before the next run is asked for.
    """
    current: pa.RecordBatch | None = next(batches, None)

    def run(value: str) -> Iterator[pa.RecordBatch]:
        nonlocal current
        while current is not None:
            if current.num_rows == 0:
                current = next(batches, None)
                continue
            same = pc.equal(current.column(column), value)
            length = current.num_rows if pc.all(same).as_py() else pc.index(same, False).as_py()
            if length:
                yield current.slice(0, length)
            if length < current.num_rows:
                current = current.slice(length)
                return
            current = next(batches, None)

    while current is not None:
        if current.num_rows == 0:
            current = next(batches, None)
            continue
        value = current.column(column)[0].as_py()
        yield value, run(value)
