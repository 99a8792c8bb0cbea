"""A new decision over a million scored documents: CPU seconds of everything that it takes.

    python tests/benchmarks/decision.py [DOCUMENTS]

Documents are made up: ids, addresses, and three columns beside them (a classifier's score, a
label with its probability). Timed is what another decision takes when these are there: ranks,
conditions, buckets and copies over columns, the ledger written and its counts added up.
"""

import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from dclm_spark.engine.file_stage import FileStage, UnitSource, sources_of
from dclm_spark.measure.clock import tree_cpu_seconds
from dclm_spark.session import spark_session
from dclm_spark.signals.decision import Decision
from dclm_spark.signals.scored_documents import QUALITY, Candidates
from dclm_spark.signals.signal_tables import SignalTable
from dclm_spark.stages.score import random_scores
from dclm_spark.stages.select import select
from udfs.documents.schema import EXTRACTED, document_id
from udfs.signals.signed_files import DOC_ID, ColumnTally
from udfs.storage.parquet import read_table
from udfs.units.fates import with_fate

UNITS = 20
TOPICS = ("art", "law", "science", "sport")
LABELS = (pa.field("topic", pa.string()), pa.field("topic_probability", pa.float64()))
DECISION = Decision(
    rules={"good": "quality_score_rank >= 0.4", "sure": "topic_probability >= 0.2"},
    bucket="concat(topic, '-', CAST(floor(quality_score_rank * 20) AS INT))",
    repeat="7 * power((quality_score_rank - 0.4) / 0.6, 3)",
)


def write_documents(source, output, documents):
    for start in range(0, documents, 1000):
        numbers = range(start, min(start + 1000, documents))
        rows = [
            dict.fromkeys(EXTRACTED.names)
            | {
                "doc_id": document_id("made-up", source["name"], number), "crawl": "made-up",
                "warc_path": source["name"], "warc_offset": number,
                "url": f"https://site-{number % 997}.example/{source['name']}/{number}",
            }
            for number in numbers
        ]  # fmt: skip
        batch = pa.RecordBatch.from_pylist(rows, EXTRACTED)
        none = pa.nulls(batch.num_rows, pa.string())
        output.write(with_fate(batch, stage="documents", rule=none, value=none, threshold=none))


def write_labels(source, output):
    chance, tally = np.random.default_rng(len(source["uri"])), ColumnTally()
    for batch in read_table(source["uri"], ["doc_id"]):
        labels = pa.array(chance.choice(TOPICS, batch.num_rows), pa.string())
        columns = [labels, pa.array(chance.random(batch.num_rows))]
        for field, column in zip(LABELS, columns, strict=True):
            tally.add(field.name, column)
        output.write(pa.RecordBatch.from_arrays([batch.column(0), *columns], schema=output.schema))
    output.facts["columns"] = tally.facts()


def candidates(spark, folder, documents):
    process = partial(write_documents, documents=documents // UNITS)
    stage = FileStage(name="documents", schema=EXTRACTED, process=process)
    sources = [
        UnitSource(unit=name, identity=name, source={"name": name})
        for name in (f"unit-{number:02d}" for number in range(UNITS))
    ]
    written = stage.run(spark, sources, str(folder / "documents"))
    scores = random_scores(spark, written, str(folder / "score"))
    labels = FileStage(
        name="labels", schema=pa.schema([DOC_ID, *LABELS]), process=write_labels, folder="signals"
    )
    named = labels.run(spark, sources_of(written), str(folder / "labels"))
    tables = (
        SignalTable(output=scores, fields=(QUALITY,), folder="scores"),
        SignalTable(output=named, fields=LABELS),
    )
    return Candidates(documents=written, tables=tables)


def measure(documents):
    with tempfile.TemporaryDirectory() as name:
        spark, folder = spark_session("decision", "local[2]"), Path(name)
        given = candidates(spark, folder, documents)
        started, before = time.perf_counter(), tree_cpu_seconds()
        selected = select(spark, given, DECISION, str(folder / "select"))
        result = {
            "documents": documents,
            "kept": selected.documents()["kept"],
            "cpu_seconds": round(tree_cpu_seconds() - before, 1),
            "seconds": round(time.perf_counter() - started, 1),
        }
        spark.stop()
    return result


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)))
