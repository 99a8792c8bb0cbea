"""Input files that gave nothing, or of which most was lost: none of them goes unsaid."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dclm_spark.engine.manifests import StageOutput, file_of_unit
from dclm_spark.engine.stage_output import unit_statistics
from dclm_spark.html_pages.quantities import bytes_text
from udfs.documents.formats import LOST_SIZE
from udfs.documents.schema import DROPPED, KEPT, QUARANTINED

# So many files are named one by one.
NAMED_FILES = 10
# A record inside of a compressed member has a higher number than any file has bytes.
_MAX_POSITION = 1 << 62


@dataclass(kw_only=True)
class ReadFile:
    """What the units of one file, or of its parts, say of it."""

    units: list[str] = field(default_factory=list)
    uri: str = ""
    readable: int = 0
    quarantined: int = 0
    lost_size_bytes: int = 0
    size_bytes: int | None = None

    @property
    def lost_fraction(self) -> float:
        """The share of the file's bytes that damage left nothing of; 0 where it is not known."""
        return min(1.0, self.lost_size_bytes / self.size_bytes) if self.size_bytes else 0.0

    @property
    def is_lost(self) -> bool:
        """Whether no document was read of the file, or the smaller part of it."""
        return not self.readable or self.quarantined > self.readable or 2 * self.lost_fraction > 1


def suspect_files(documents: StageOutput) -> list[ReadFile]:
    """Return the files with a unit of which no or few documents came, or which lost bytes."""
    units = documents.units
    readable = pc.add(*(pc.fill_null(units[f"{fate}_documents"], 0) for fate in (KEPT, DROPPED)))
    quarantined = pc.fill_null(units[f"{QUARANTINED}_documents"], 0)
    few = pc.or_(pc.equal(readable, 0), pc.greater(quarantined, readable))
    suspect = pc.or_(few, pc.match_substring(units["facts"], f'"{LOST_SIZE}"'))
    if not pc.any(suspect).as_py():
        return []
    names = {file_of_unit(unit) for unit in units["unit"].filter(suspect).to_pylist()}
    files = {name: ReadFile() for name in sorted(names)}
    # The facts of all units of a crawl would be hundreds of megabytes.
    told = {unit: facts for unit, facts in documents.facts() if file_of_unit(unit) in files}
    for unit, good, bad in _rows(units["unit"], readable, quarantined):
        if (file := files.get(file_of_unit(unit))) is None:
            continue
        file.units.append(unit)
        file.readable, file.quarantined = file.readable + good, file.quarantined + bad
        given = told[unit]["input"]
        file.uri, file.size_bytes = file.uri or given["uri"], given.get("size_bytes")
        file.lost_size_bytes += given.get(LOST_SIZE, 0)
    return list(files.values())


def lost_files(documents: StageOutput, suspects: Sequence[ReadFile] | None = None) -> list[str]:
    """Return what is to be said of lost files: a line for each of some, one for all others.

    `suspects` are the `suspect_files`, where they are known already.
    """
    if suspects is None:
        suspects = suspect_files(documents)
    lost = [file for file in suspects if file.is_lost]
    lines = [_line(documents, file) for file in lost[:NAMED_FILES]]
    rest = len(lost) - len(lines)
    return lines + ([f"{rest:,} more files lost all or most of what they hold"] if rest else [])


def _rows(*columns: pa.ChunkedArray) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in columns), strict=True)


def _line(documents: StageOutput, file: ReadFile) -> str:
    whole = file.readable + file.quarantined
    said = [f"{file.readable:,} of {whole:,} records could be read"]
    if not file.readable:
        said = ["no document could be read"]
    if file.lost_size_bytes and file.size_bytes:
        size = f"{file.lost_fraction:.0%} of {bytes_text(file.size_bytes)}"
        said.append(f"{size} are lost to damage")
    return "; ".join([f"{file.uri}: {', '.join(said)}", *_first_error(documents, file)])


def _first_error(documents: StageOutput, file: ReadFile) -> list[str]:
    """Return rule, place and reason of the file's first damage, or of what could not be read."""
    samples = (
        sample
        for unit in file.units
        for sample in unit_statistics(documents, unit).get("samples", ())
        if sample["fate"] == QUARANTINED
    )
    found = min(
        samples,
        key=lambda one: (one["rule"] != "damaged_file", one.get("warc_offset") or 0),
        default=None,
    )
    if found is None:
        return []
    place = found.get("warc_offset")
    at = f" at {place}" if place is not None and place < _MAX_POSITION else ""
    return [f"{found['rule']}{at}" + (f": {found['error']}" if found["error"] else "")]
