"""Opt-outs that came after the crawl: documents that sites' robots.txt now keep from AI agents.

Answers of sites and documents meet in one shuffle by host, in which a host's newest answer comes
before its documents; both stream, so that no task holds a site.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dclm_spark.crawl.listing import InputFile, list_inputs
from dclm_spark.engine.checkpoints import TableLayout, open_table, table_parts, write_table
from dclm_spark.engine.run_record import source_runs
from dclm_spark.engine.shuffles import sized_shuffles
from dclm_spark.engine.tables import read_files, spark_schema, work_frame
from dclm_spark.errors import InputError
from dclm_spark.removal.tombstones import REMOVED, committed_output
from udfs import storage
from udfs.documents.formats import FORMATS
from udfs.robots.agents import TOKENS
from udfs.robots.answers import ANSWERS, READERS, robots_answers
from udfs.robots.refusals import RobotsRules
from udfs.rules.urls import hosts
from udfs.storage.stream import shown

FOLDER = "robots"
# The signal: a row for each document that its site now keeps from some of the agents.
REFUSED = pa.schema(
    [
        pa.field("doc_id", pa.binary()),
        pa.field("host", pa.string()),
        # When the site was asked, in UTC.
        pa.field("asked", pa.string()),
        pa.field("agents", pa.list_(pa.string())),
        # Whether agents that the file does not name are kept out, too.
        pa.field("to_all", pa.bool_()),
    ]
)
_DOCUMENTS = pa.schema(
    [pa.field("doc_id", pa.binary()), pa.field("url", pa.string()), pa.field("host", pa.string())]
)
_FILE = pa.schema([pa.field("uri", pa.string()), pa.field("kind", pa.string())])
# A document and a file of answers in a shuffle (a WARC of robots.txt records has some megabytes).
_DOCUMENT_SIZE_BYTES, _FILE_SIZE_BYTES = 150, 16 * 1024**2
# A row of the table, compressed.
_REFUSED_SIZE_BYTES = 32
_ANSWER, _DOCUMENT = 0, 1


@dataclass(frozen=True, kw_only=True)
class RobotsRequest:
    """Files of answers, what is too late to count, and the agents that are asked about."""

    files: tuple[InputFile, ...]
    until: datetime | None = None
    agents: tuple[str, ...] = TOKENS


@dataclass(frozen=True, kw_only=True)
class Refusals:
    """The documents that sites refuse: their table, files below `removed/`, and counts."""

    table: str
    parts: tuple[str, ...]
    documents: int
    to_all: int
    by_agent: dict[str, int]


def robots_files(named: str, base: str | None) -> tuple[InputFile, ...]:
    """Return the files that `--robots` names, as `--input` of a run does.

    Raises InputError for none, and for files that hold no answers of sites.
    """
    try:
        files = list_inputs(named, base)
    except InputError as error:
        raise InputError(str(error).replace("--input", "--robots")) from error
    for file in files:
        if file.kind not in READERS:
            raise InputError(
                f"--robots {shown(file.uri)}: expected WARC files of robots.txt records, or JSON "
                "Lines with url, date and text"
            )
    return tuple(files)


def refused_documents(spark: SparkSession, output: str, request: RobotsRequest) -> Refusals:
    """Write the table (REFUSED) of the documents with text of a run that sites now refuse.

    Of a host the newest answer up to `request.until` counts. Raises InputError where no documents
    are.
    """
    runs = tuple(source_runs(output).values()) or (output,)
    stages = [
        committed_output("documents", storage.join(run, "stages", "documents")) for run in runs
    ]
    uris = [file["uri"] for stage in stages for file in stage.files("kept/")]
    if not uris:
        raise InputError(f"--output {shown(output)}: no documents are there to look up")
    name = _name(request, [stage.fingerprint for stage in stages])
    table = storage.join(output, "shards", REMOVED, FOLDER, name)
    rows = sum(stage.rows("kept/") for stage in stages)
    size = rows * _DOCUMENT_SIZE_BYTES + len(request.files) * _FILE_SIZE_BYTES
    layout = TableLayout(by=("doc_id",), size_bytes=rows * _REFUSED_SIZE_BYTES)
    with sized_shuffles(spark, size):
        found = write_table(_refused(spark, uris, request), table, layout)
    parts = tuple(f"{FOLDER}/{name}/{part['path']}" for part in table_parts(table))
    return _counted(open_table(spark, table), table, parts, found)


def _name(request: RobotsRequest, fingerprints: Sequence[str]) -> str:
    """Return a name for what the table is made of."""
    # A list may be changed in its place, an archive is not.
    files = [
        file.path
        if FORMATS[file.kind].has_pages
        else hashlib.sha256(storage.read_bytes(file.uri)).hexdigest()
        for file in request.files
    ]
    parts = [files, str(request.until), request.agents, *fingerprints]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _refused(spark: SparkSession, uris: Sequence[str], request: RobotsRequest) -> DataFrame:
    answers = _answers(spark, request).select(
        "host", F.lit(_ANSWER).alias("kind"), "asked", "rules",
        F.lit(None).cast("binary").alias("doc_id"), F.lit(None).cast("string").alias("url"),
    )  # fmt: skip
    read = pa.schema([_DOCUMENTS.field("doc_id"), _DOCUMENTS.field("url")])
    pages = read_files(spark, uris, read, transform=_with_host, output_schema=_DOCUMENTS)
    pages = pages.where("host IS NOT NULL").select(
        "host", F.lit(_DOCUMENT).alias("kind"), F.lit(None).cast("string").alias("asked"),
        F.lit(None).cast("string").alias("rules"), "doc_id", "url",
    )  # fmt: skip
    order = ("host", "kind", F.desc("asked"), F.desc("rules"), "doc_id")
    met = answers.unionByName(pages).repartition("host").sortWithinPartitions(*order)
    return met.mapInArrow(partial(_judged, agents=request.agents), spark_schema(REFUSED))


def _answers(spark: SparkSession, request: RobotsRequest) -> DataFrame:
    files = [{"uri": file.uri, "kind": file.kind} for file in request.files]
    until = request.until

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for file in batch.to_pylist():
                yield from robots_answers(file["uri"], file["kind"], until)

    return work_frame(spark, files, _FILE).mapInArrow(read, spark_schema(ANSWERS))


def _with_host(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.append_column("host", hosts(batch.column("url")).cast(pa.string()))


def _judged(batches: Iterator[pa.RecordBatch], agents: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield the documents that the newest answer of their host refuses; runs on an executor."""
    host, asked, rules = None, None, RobotsRules("", agents)
    for batch in batches:
        found: list[dict[str, Any]] = []
        for row in batch.to_pylist():
            if row["kind"] == _ANSWER:
                if row["host"] != host:
                    host, asked = row["host"], row["asked"]
                    rules = RobotsRules(row["rules"], agents)
                continue
            refused, to_all = rules.refused(row["url"]) if row["host"] == host else ((), False)
            if refused:
                found.append({
                    "doc_id": row["doc_id"], "host": host, "asked": asked,
                    "agents": list(refused), "to_all": to_all,
                })  # fmt: skip
        yield pa.RecordBatch.from_pylist(found, schema=REFUSED)


def _counted(rows: DataFrame, table: str, parts: tuple[str, ...], documents: int) -> Refusals:
    by_agent = rows.select(F.explode("agents").alias("agent")).groupBy("agent").count().collect()
    return Refusals(
        table=table,
        parts=parts,
        documents=documents,
        to_all=rows.where("to_all").count(),
        by_agent=dict(sorted((row["agent"], row["count"]) for row in by_agent)),
    )


def described(refusals: Refusals) -> str:
    """Return in a sentence how many documents are refused, and to whom."""
    agents = ", ".join(f"{name} {count:,}" for name, count in refusals.by_agent.items())
    return (
        f"{refusals.documents:,} documents are kept from AI agents by robots.txt, "
        f"{refusals.to_all:,} of them from all ({agents or 'none'}); listed in "
        f"{shown(refusals.table)}"
    )
