"""Where the tokens of removed documents lie in the shards: found by tasks, named in the manifest.

A corpus keeps what was removed from it in `removed/` beside its shards: for each removal, by its
number, the list and the documents that it met; and for each shard the spans of all removals.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from dclm_spark.engine.file_stage import FileStage, UnitSource, sources_of
from dclm_spark.engine.manifests import (
    StageOutput,
    committed_names,
    read_manifests,
)
from dclm_spark.engine.stage_output import stage_output
from dclm_spark.engine.tables import read_files
from dclm_spark.errors import InputError, SettingError
from dclm_spark.shard_format import REMOVED_SPANS, RemovedSpans
from dclm_spark.stages.tokenize import FOLDER as TOKENS
from udfs import storage
from udfs.shards.format import ShardFormat
from udfs.shards.shard_output import PROVENANCE_SUFFIX
from udfs.storage.parquet import read_table
from udfs.storage.stream import shown
from udfs.units.output import UnitOutput
from udfs.units.removals import ENTRIES, LIST, read_wanted

REMOVED, LIST_FILE, RECORD_FILE = "removed", "list.parquet", "record.json"
SPANS = "spans"
_DOCUMENTS, _TEXTS, _ENTRIES = "documents", "texts", "entries"
_MET = pa.schema(
    [
        pa.field("doc_id", pa.binary()),
        pa.field("crawl", pa.string()),
        pa.field("warc_path", pa.string()),
        pa.field("warc_offset", pa.int64()),
        pa.field("domain", pa.string()),
        pa.field("num_tokens", pa.int64()),
        pa.field(_ENTRIES, ENTRIES),
    ]
)
_DIGITS = 4


def committed_output(stage: str, directory: str) -> StageOutput:
    """Return what is committed of a stage."""
    return stage_output(stage, directory, read_manifests(directory, committed_names(directory)))


def removal_folder(shards: str, number: int) -> str:
    """Return where removal `number` (from 1 on) of the corpus in `shards` is kept."""
    return storage.join(shards, REMOVED, f"{number:0{_DIGITS}d}")


def num_removals(shards: str) -> int:
    """Return how many removals there were."""
    number = 0
    while storage.exists(storage.join(removal_folder(shards, number + 1), LIST_FILE)):
        number += 1
    return number


def check_removals_ended(shards: str) -> None:
    """Raise InputError where the last removal from the corpus in `shards` did not end.

    Shards may then have what its list names.
    """
    last = num_removals(shards)
    folder = removal_folder(shards, last)
    if last and not storage.exists(storage.join(folder, RECORD_FILE)):
        raise InputError(
            f"{shown(folder)}: this removal did not end; run its command again first, or delete "
            f"its {LIST_FILE} to give it up"
        )


def check_can_leave_out(shards: str, kind: ShardFormat) -> None:
    """Raise SettingError where documents were removed and shards of a format would have them again.

    Other trainers know of no tombstones.
    """
    if num_removals(shards) and not kind.trained_here:
        raise SettingError(
            f"tokens.format: documents were removed from the corpus in {shards}, and shards of the "
            f"format {kind.manifest_name!r} would hold them again; keep tokens.format=dclm here, "
            "or give another --output and an input without these documents"
        )


def write_tombstones(
    spark: SparkSession, tokenized: StageOutput, shards: StageOutput
) -> tuple[RemovedSpans, ...]:
    """Find the documents of all removals in a corpus and return their spans by shard.

    What earlier calls found is not looked for again. Untouched shards have no entry.
    """
    directory = shards.directory
    for number in range(1, num_removals(directory) + 1):
        folder = removal_folder(directory, number)
        if not _was_looked_for(tokenized, folder):
            _find_documents(spark, tokenized, folder)
    met = documents_met(directory)
    if not met:
        return ()
    found = _find_spans(spark, shards, met)
    sums = dict(found.facts())
    return tuple(
        RemovedSpans(
            path=f"{REMOVED}/{SPANS}/{file['path']}",
            shard=f"{file['unit']}.parquet",
            num_tokens=sums[file["unit"]]["num_tokens"],
            sha256=file["sha256"],
        )
        for file in found.files("")
        if file["rows"]
    )


def documents_met(shards: str, number: int | None = None) -> list[dict[str, Any]]:
    """Return the files of the documents that removals (or one of them) met: unit, uri, rows."""
    numbers = range(1, num_removals(shards) + 1) if number is None else [number]
    found = []
    for one in numbers:
        folder = storage.join(removal_folder(shards, one), _DOCUMENTS)
        runs = sorted({_run_of(uri, folder) for uri in storage.list_files(folder)})
        for run in runs:
            output = committed_output(REMOVED, storage.join(folder, run))
            found += [file for file in output.files("") if file["rows"]]
    return found


def entries_met(spark: SparkSession, shards: str, number: int) -> set[tuple[str, str]]:
    """Return the entries (kind, value) of the list of a removal that name a document it met.

    Tasks say so of each document; no more comes here than the list has.
    """
    uris = [file["uri"] for file in documents_met(shards, number)]
    if not uris:
        return set()
    rows = read_files(spark, uris, pa.schema([_MET.field(_ENTRIES)]))
    named = rows.select(F.explode(_ENTRIES).alias("entry")).select("entry.*").distinct().toArrow()
    return set(zip(*(named[name].to_pylist() for name in LIST.names), strict=True))


def texts_met(
    spark: SparkSession, documents: StageOutput, shards: str, lists: Sequence[str]
) -> list[str]:
    """Return tables (by doc_id) of all documents with text that lists name, tokenized or not.

    Stages without addresses, such as tables of signals, know their rows by these ids.
    """
    stage = FileStage(
        name=REMOVED,
        schema=pa.schema([_MET.field("doc_id")]),
        process=partial(_meet, lists=lists),
        key=([hashlib.sha256(storage.read_bytes(uri)).hexdigest() for uri in lists],),
        folder=_DOCUMENTS,
    )
    sources = [replace(one, documents=None) for one in sources_of(documents)]
    place = storage.join(shards, REMOVED, _TEXTS, documents.fingerprint[:16])
    return [file["uri"] for file in stage.run(spark, sources, place).files("") if file["rows"]]


def _run_of(uri: str, folder: str) -> str:
    return uri[len(folder) :].strip("/").split("/", 1)[0]


def _place_of_documents(tokenized: StageOutput, folder: str) -> str:
    # Found documents stay found when the corpus is made anew.
    return storage.join(folder, _DOCUMENTS, tokenized.fingerprint[:16])


def _was_looked_for(tokenized: StageOutput, folder: str) -> bool:
    """Say whether a removal that ended has looked through all of a corpus, by whatever code.

    Its list does not change, and the addresses that it went by may be gone since (compaction).
    """
    if not storage.exists(storage.join(folder, RECORD_FILE)):
        return False
    done = committed_names(_place_of_documents(tokenized, folder))
    return {source.unit for source in sources_of(tokenized, f"{TOKENS}/")} <= set(done)


def _find_documents(spark: SparkSession, tokenized: StageOutput, folder: str) -> StageOutput:
    listed = storage.join(folder, LIST_FILE)
    stage = FileStage(
        name=REMOVED,
        schema=_MET,
        process=partial(_meet, lists=[listed]),
        key=(hashlib.sha256(storage.read_bytes(listed)).hexdigest(),),
        folder=_DOCUMENTS,
    )
    sources = [replace(one, documents=None) for one in sources_of(tokenized, f"{TOKENS}/")]
    return stage.run(spark, sources, _place_of_documents(tokenized, folder))


def _meet(source: dict[str, Any], output: UnitOutput, lists: Sequence[str]) -> None:
    wanted = read_wanted(lists)
    names = [name for name in output.schema.names if name != _ENTRIES]
    for batch in read_table(source["uri"], [*names, "url"]):
        found = batch.filter(wanted.mask(batch.column("doc_id"), batch.column("url")))
        columns = {name: found.column(name) for name in names}
        if _ENTRIES in output.schema.names:
            columns[_ENTRIES] = wanted.entries_of(found.column("doc_id"), found.column("url"))
        output.write(pa.RecordBatch.from_pydict(columns).cast(output.schema))


def _find_spans(
    spark: SparkSession, shards: StageOutput, met: Sequence[dict[str, Any]]
) -> StageOutput:
    stage = FileStage(
        name=SPANS,
        schema=REMOVED_SPANS,
        process=partial(_span, met=[file["uri"] for file in met]),
        key=([file["sha256"] for file in met],),
        folder=SPANS,
    )
    sources = [
        UnitSource(unit=file["unit"], identity=file["sha256"], source={"uri": file["uri"]})
        for file in shards.files("")
        if file["path"].endswith(PROVENANCE_SUFFIX)
    ]
    return stage.run(spark, sources, storage.join(shards.directory, REMOVED, SPANS))


def _span(source: dict[str, Any], output: UnitOutput, met: Sequence[str]) -> None:
    wanted, count = read_wanted([], met), 0
    for batch in read_table(source["uri"], ["doc_id", *REMOVED_SPANS.names]):
        mask = pc.is_in(batch.column("doc_id").cast(pa.binary()), wanted.ids)
        found = batch.select(REMOVED_SPANS.names).filter(mask)
        count += pc.sum(found.column("num_tokens")).as_py() or 0
        output.write(found)
    output.facts["num_tokens"] = count


def tokens_by_shard(spans: Sequence[RemovedSpans]) -> dict[str, int]:
    """Return the removed tokens of each shard that has some."""
    found: dict[str, int] = defaultdict(int)
    for one in spans:
        found[one.shard] += one.num_tokens
    return dict(found)
