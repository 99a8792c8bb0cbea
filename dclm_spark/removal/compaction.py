"""Compaction: the texts, addresses and tokens of removed documents leave the files of a run.

Rows stay where they are and keep their place and fate, so that every book balances as before; what
was in them is blanked. A file without removed documents keeps its bytes. Manifests keep the
checksums that files had when they were written, by which later stages know what they are made of;
`compacted` in a unit's facts has the present ones.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from dclm_spark.engine.manifests import committed_names
from dclm_spark.engine.run_record import source_runs
from dclm_spark.engine.totals import TOTALS
from dclm_spark.engine.unit_tasks import commit_each, run_tasks
from dclm_spark.mixture.mix import STAGE as MIX
from dclm_spark.removal.tombstones import (
    LIST_FILE,
    committed_output,
    documents_met,
    num_removals,
    removal_folder,
    texts_met,
)
from dclm_spark.shard_format import (
    Removals,
    RemovedSpans,
    Shard,
    ShardManifest,
)
from dclm_spark.signals.signal_tables import stage_name
from dclm_spark.stages import STAGES
from udfs import storage
from udfs.shards.packed_rows import ROWS_PER_GROUP
from udfs.shards.shard_output import PROVENANCE_SUFFIX
from udfs.units.commit import committed, manifest_uri
from udfs.units.parquet_output import ROW_GROUP_ROWS, FileEntry, ParquetOutput
from udfs.units.removals import Wanted, blanked_rows, blanked_tokens, read_wanted

COMPACTED = "compacted"
_STAGE = "compact"
# Made anew by the run's own command: what they hold of removed documents must not stay.
_REPORTS = ("report.html", "report.json", "stages/deduplicate-evidence.json")
_FOLDERS = (("stages", "deduplicate-working"), ("stages", "deduplicate-tables"), ("description",))
# The blanked rows of a batch.
Blank = Callable[[pa.RecordBatch, int], pa.RecordBatch | None]


@dataclass(frozen=True, kw_only=True)
class _Sources:
    """Where tasks read what is removed: lists, and tables of the documents that they met."""

    lists: tuple[str, ...]
    met: tuple[str, ...]
    padding: np.unsignedinteger[Any]

    def wanted(self) -> Wanted:
        return read_wanted(self.lists, self.met)


def compact(spark: SparkSession, output: str, manifest: ShardManifest) -> ShardManifest:
    """Blank what was removed in all stages and shards of the run in `output`; return the manifest.

    Tables of deduplication and reports go too: the run's command makes them again.
    """
    shards = manifest.path.rpartition("/")[0]
    lists = tuple(
        storage.join(removal_folder(shards, number), LIST_FILE)
        for number in range(1, num_removals(shards) + 1)
    )
    met = [file["uri"] for file in documents_met(shards)]
    runs = (output, *source_runs(output).values())
    for run in runs:
        documents = committed_output("documents", storage.join(run, "stages", "documents"))
        if documents.files("kept/"):
            met += texts_met(spark, documents, shards, lists)
    sources = _Sources(lists=lists, met=tuple(met), padding=manifest.padding)
    stages = [
        storage.join(run, "stages", stage)
        for run in runs
        for stage in (*STAGES[:-1], MIX, *signal_stages(run))
    ]
    units = [
        {"unit": name, "directory": directory}
        for directory in stages
        for name in committed_names(directory)
    ]
    if units:
        run_tasks(spark, _STAGE, commit_each(spark, units, partial(_compact_unit, sources)))
    _compact_shards(spark, shards, manifest, sources)
    reports = [storage.join(run, name) for run in runs for name in _REPORTS]
    folders = [storage.join(run, *folder) for run in runs for folder in _FOLDERS]
    made = [uri for folder in folders for uri in storage.list_files(folder)]
    for uri in (*made, *(storage.join(one, TOTALS) for one in stages), *reports):
        storage.delete(uri)
    return _with_present_files(manifest, shards)


def signal_stages(output: str) -> list[str]:
    """Return the names of all stages of signals that a run has left, whatever recipe asked."""
    files = storage.list_files(storage.join(output, "stages"))
    names = {uri.rpartition("/stages/")[2].partition("/")[0] for uri in files}
    return sorted(name for name in names if name.startswith(stage_name("")))


def _compact_unit(sources: _Sources, row: dict[str, str]) -> pa.RecordBatch:
    """Blank the removed documents of one unit of a stage; runs on an executor."""
    wanted, directory = sources.wanted(), row["directory"]

    def blank(batch: pa.RecordBatch, _: int) -> pa.RecordBatch | None:
        mask = _removed(batch, wanted)
        if not pc.any(mask).as_py():
            return None
        return blanked_rows(batch, mask, sources.padding)

    manifest = _read(directory, row["unit"])
    entries = [
        _rewritten(directory, file["path"], blank, ROW_GROUP_ROWS) for file in manifest["files"]
    ]
    _without_samples(directory, manifest, wanted)
    return _commit(directory, row["unit"], manifest, entries)


def _removed(batch: pa.RecordBatch, wanted: Wanted) -> pa.BooleanArray:
    names = batch.schema.names
    if "doc_id" not in names:
        return pa.array([False] * batch.num_rows)
    urls = batch.column("url") if "url" in names else pa.nulls(batch.num_rows, pa.string())
    return wanted.mask(batch.column("doc_id"), urls)


def _compact_shards(
    spark: SparkSession, shards: str, manifest: ShardManifest, sources: _Sources
) -> None:
    rows = [
        {"unit": spans.shard.removesuffix(".parquet"), "spans": json.dumps(asdict(spans))}
        for spans in manifest.removed
    ]
    if rows:
        small = replace(manifest, shards=(), removed=())
        frame = commit_each(spark, rows, partial(_compact_shard, shards, small, sources))
        run_tasks(spark, _STAGE, frame)


def _compact_shard(
    shards: str, manifest: ShardManifest, sources: _Sources, row: dict[str, str]
) -> pa.RecordBatch:
    """Blank the removed spans of one shard, and their domains beside it; runs on an executor."""
    spans, wanted = RemovedSpans(**json.loads(row["spans"])), sources.wanted()
    removals = Removals(replace(manifest, removed=(spans,)))
    shard = Shard(path=spans.shard, num_sequences=0, size_bytes=0, sha256="", role="")

    def blank(batch: pa.RecordBatch, first: int) -> pa.RecordBatch | None:
        mask = removals.mask(shard, first, batch.num_rows)
        if mask is None:
            return None
        column = blanked_tokens(
            batch.column("tokens"), mask, manifest.padding, manifest.end_of_text_id
        )
        return pa.RecordBatch.from_arrays([column], schema=batch.schema)

    def forget(batch: pa.RecordBatch, _: int) -> pa.RecordBatch | None:
        mask = _removed(batch, wanted)
        return blanked_rows(batch, mask, manifest.padding) if pc.any(mask).as_py() else None

    found = _read(shards, row["unit"])
    provenance = spans.shard.removesuffix(".parquet") + PROVENANCE_SUFFIX
    entries = [
        _rewritten(shards, spans.shard, blank, ROWS_PER_GROUP),
        _rewritten(shards, provenance, forget, ROW_GROUP_ROWS),
    ]
    return _commit(shards, row["unit"], found, entries)


def _rewritten(directory: str, path: str, blank: Blank, group_rows: int) -> FileEntry | None:
    """Write a file anew with its rows blanked; None, and not a byte written, where none is."""
    uri = storage.join(directory, path)
    with storage.open_seekable(uri) as source:
        file = pq.ParquetFile(source)
        if all(blank(batch, first) is None for batch, first in _batches(file)):
            return None
        with ParquetOutput(
            directory, path, file.schema_arrow, row_group_rows=group_rows,
            use_dictionary=_has_dictionaries(file),
        ) as output:  # fmt: skip
            for batch, first in _batches(file):
                output.write(blank(batch, first) or batch)
            return output.close()


def _has_dictionaries(file: pq.ParquetFile) -> bool:
    groups = (file.metadata.row_group(number) for number in range(file.num_row_groups))
    return any(
        group.column(column).has_dictionary_page
        for group in groups
        for column in range(group.num_columns)
    )


def _batches(file: pq.ParquetFile) -> Iterator[tuple[pa.RecordBatch, int]]:
    """Yield the batches of a file by row groups, each with the number of its first row."""
    first = 0
    for group in range(file.num_row_groups):
        for batch in file.iter_batches(ROW_GROUP_ROWS, row_groups=[group]):
            yield batch, first
            first += batch.num_rows


def _without_samples(directory: str, manifest: dict[str, Any], wanted: Wanted) -> None:
    """Take the samples of removed documents out of a unit's statistics."""
    statistics = manifest.get("statistics")
    if not statistics:
        return
    uri = storage.join(directory, statistics["path"])
    content = json.loads(storage.read_bytes(uri))
    samples = content.get("samples", [])
    if not samples:
        return
    ids = pa.array([bytes.fromhex(one["doc_id"]) for one in samples], pa.binary())
    urls = pa.array([one["url"] for one in samples], pa.string())
    removed = wanted.mask(ids, urls).to_pylist()
    if not any(removed):
        return
    content["samples"] = [one for one, gone in zip(samples, removed, strict=True) if not gone]
    data = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    storage.write_bytes(uri, data)
    statistics |= {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _read(directory: str, unit: str) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads(storage.read_bytes(manifest_uri(directory, unit)))
    return manifest


def _commit(
    directory: str, unit: str, manifest: dict[str, Any], entries: Sequence[FileEntry | None]
) -> pa.RecordBatch:
    """Write the unit's manifest with the present checksums of the files that were rewritten."""
    present = {entry.path: entry for entry in entries if entry is not None}
    before = manifest["facts"].get(COMPACTED, {})
    changed = {
        path: {"size_bytes": entry.size_bytes, "sha256": entry.sha256}
        for path, entry in present.items()
    }
    if before | changed:
        manifest["facts"][COMPACTED] = before | changed
    text = json.dumps(manifest, sort_keys=True, ensure_ascii=False, indent=1)
    storage.write_bytes(manifest_uri(directory, unit), text.encode())
    return committed(unit, sum(entry.rows for entry in present.values()))


def _with_present_files(manifest: ShardManifest, shards: str) -> ShardManifest:
    touched = {spans.shard for spans in manifest.removed}
    present = {
        path: _read(shards, path.removesuffix(".parquet"))["facts"].get(COMPACTED, {}).get(path, {})
        for path in touched
    }
    return replace(
        manifest,
        shards=tuple(replace(shard, **present.get(shard.path, {})) for shard in manifest.shards),
    )
