"""Looking up a page in the index of a run: a few reads, however many rows the ledger has."""

import json
import logging
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from dclm_spark.engine.books import STAGE_MANIFEST
from dclm_spark.engine.shuffles import partitions_of
from dclm_spark.stages import STAGES
from udfs import storage
from udfs.storage.parquet import python_values

LOGGER = logging.getLogger("dclm_spark")

INDEX, MARKER, FILES = "index", "index.json", "files.parquet"
# Stages whose rows are documents; the first has their addresses.
INDEXED = tuple(stage for stage in STAGES if stage not in ("score", "shards"))
FIRST = INDEXED[0]
# Tables, and the column that each is by. Those of addresses are of the first stage alone.
KEYS = {"by_id": "doc_id", "by_url": "url", "by_site": "site"}
FILES_PER_GROUP = 4096

# Spark's seed of xxhash64.
_SEED = 42
_NONE = pa.table({"number": pa.array([], pa.int32()), "row": pa.array([], pa.int32())})


class StageIndex(NamedTuple):
    """What the marker says of one stage's tables."""

    # Of the stage's data when it was indexed.
    fingerprint: str
    num_rows: int
    num_files: int


class Place(NamedTuple):
    """A row of a stage's ledger."""

    stage: str
    uri: str
    row: int


class PageIndex:
    """The index of the run in `output`, as `write_index` left it."""

    def __init__(self, output: str, stages: dict[str, StageIndex]) -> None:
        self.stages = stages
        self._output = output

    @classmethod
    def open(cls, output: str) -> "PageIndex | None":
        """Return the index of a run, None where there is none."""
        try:
            content = storage.read_bytes(storage.join(output, INDEX, MARKER))
        except storage.MissingObjectError:
            return None
        return cls(output, {name: StageIndex(*one) for name, one in json.loads(content).items()})

    def by_url(self, url: str) -> list[Place]:
        """Return the records of the first stage that may have this address."""
        return self._places(FIRST, "by_url", url.encode())

    def by_id(self, doc_id: bytes) -> list[Place]:
        """Return the rows of all stages that may be of this document, in the stages' order."""
        return [
            place
            for stage in INDEXED
            if stage in self.stages
            for place in self._places(stage, "by_id", doc_id)
        ]

    def last(self, doc_id: bytes, columns: Sequence[str]) -> dict[str, Any] | None:
        """Return the row of a document in the last stage that has it; None for one of no stage.

        Of `columns` those that the stage has, and the id.
        """
        for stage in reversed(INDEXED):
            row = self._row(stage, doc_id, columns)
            if row is not None:
                return row
        return None

    def address(self, doc_id: bytes) -> str | None:
        """Return the address of a document of this run, None for one without, or of no run."""
        row = self._row(FIRST, doc_id, ("url",))
        return str(row["url"]) if row and row.get("url") else None

    def by_site(self, site: str, first: int, count: int) -> list[Place]:
        """Return records of a registered domain, `count` from number `first` on."""
        return self._places(FIRST, "by_site", site.encode(), first, count)

    def _row(self, stage: str, doc_id: bytes, columns: Sequence[str]) -> dict[str, Any] | None:
        if stage in self.stages:
            for place in self._places(stage, "by_id", doc_id):
                row = read_row(place, ("doc_id", *columns))
                # Two ids may have one hash.
                if row["doc_id"] == doc_id:
                    return row
        return None

    def _places(
        self, stage: str, table: str, value: bytes, first: int = 0, count: int | None = None
    ) -> list[Place]:
        folder = storage.join(self._output, INDEX, stage)
        uri, num_files = storage.join(folder, table), self.stages[stage].num_files
        rows = keyed_rows(uri, value, num_files, first=first, count=count).to_pylist()
        paths = _paths(storage.join(folder, FILES), sorted({row["number"] for row in rows}))
        directory = storage.join(self._output, "stages", stage)
        return [
            Place(stage, storage.join(directory, paths[row["number"]]), row["row"]) for row in rows
        ]


def usable_index(output: str) -> PageIndex | None:
    """Return the index of a run; None where there is none of its present data."""
    index = PageIndex.open(output)
    if index is None:
        return None
    for stage in INDEXED:
        try:
            summary = storage.read_bytes(storage.join(output, "stages", stage, STAGE_MANIFEST))
        except storage.MissingObjectError:
            continue
        known = index.stages.get(stage)
        if known is None or known.fingerprint != json.loads(summary)["fingerprint"]:
            LOGGER.warning("the index is not of the present data of stage %s: all is read", stage)
            return None
    return index


def key_of(value: bytes) -> int:
    """Return the key of a value: Spark's xxhash64."""
    return int(np.uint64(xxhash.xxh64_intdigest(value, _SEED)).astype(np.int64))


def file_of(key: int, num_files: int) -> int:
    """Return which of the files of a table has a key."""
    return int(partitions_of(np.array([key & (2**31 - 1)], np.uint32), num_files)[0])


def keyed_rows(
    table: str, value: bytes, num_files: int, *, first: int = 0, count: int | None = None
) -> pa.Table:
    """Return number and row of the entries of a table whose key is the hash of `value`.

    Of many, `count` from number `first` on: row groups before and behind these are not read.
    """
    key = key_of(value)
    part = f"part-{file_of(key, num_files):05d}.parquet"
    try:
        with storage.open_seekable(storage.join(table, part)) as source:
            return pa.concat_tables([_NONE, *_entries(pq.ParquetFile(source), key, first, count)])
    except storage.MissingObjectError:
        # No key fell into this file.
        return _NONE


def _entries(file: pq.ParquetFile, key: int, first: int, count: int | None) -> Iterator[pa.Table]:
    for group in range(file.num_row_groups):
        metadata = file.metadata.row_group(group)
        keys = metadata.column(0).statistics
        if not keys.min <= key <= keys.max:
            continue
        if keys.min == keys.max and metadata.num_rows <= first:
            first -= metadata.num_rows
            continue
        rows = file.read_row_group(group)
        found = rows.filter(pc.equal(rows["key"], key)).select(_NONE.column_names)
        # Of a table that Spark computed, columns may say that they have no nulls.
        taken = found.slice(first, count).cast(_NONE.schema)
        first = max(0, first - found.num_rows)
        yield taken
        if count is not None:
            count -= taken.num_rows
            if count == 0:
                return


def _paths(files: str, numbers: list[int]) -> dict[int, str]:
    found = {}
    if numbers:
        with storage.open_seekable(files) as source:
            file = pq.ParquetFile(source)
            for group in sorted({number // FILES_PER_GROUP for number in numbers}):
                paths = file.read_row_group(group).column("path")
                first = group * FILES_PER_GROUP
                for number in numbers:
                    if number // FILES_PER_GROUP == group:
                        found[number] = paths[number - first].as_py()
    return found


def read_row(place: Place, columns: Sequence[str] = ()) -> dict[str, Any]:
    """Return one row of a ledger; its row group alone is read.

    Of `columns`, where they are given, those that the file has.
    """
    with storage.open_seekable(place.uri) as source:
        file = pq.ParquetFile(source)
        names = [name for name in file.schema_arrow.names if not columns or name in columns]
        first = 0
        for group in range(file.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            if place.row < first + count:
                table = file.read_row_group(group, columns=names).slice(place.row - first, 1)
                return {name: python_values(table[name])[0] for name in table.column_names}
            first += count
    raise IndexError(f"{place.uri} has no row {place.row}: the index is of other data")
