"""One near-duplicate run over generated documents in a process of its own, as a JSON object.

Run as `python -m tests.benchmarks.dedup_scale '{"num_documents": 10000, ...}'` by
`tests.benchmarks.dedup`, so that peaks of memory belong to one run.
"""

import json
import math
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql.pandas.types import to_arrow_schema

from dclm_spark.dedup.minhash import near_duplicate_verdicts
from dclm_spark.dedup.near_duplicates import NearDuplicateSettings
from dclm_spark.dedup.pairs.components import connected_components
from dclm_spark.engine.checkpoints import Checkpoints
from dclm_spark.engine.shuffles import sized_shuffles
from dclm_spark.engine.tables import Extent, FileTable
from dclm_spark.measure.clock import Watch
from dclm_spark.session import spark_session
from tests.benchmarks.dedup_corpus import BLOCK_SIZE, LETTERS_PER_WORD, chain_edges, corpus
from udfs.dedup.minhash import PRESETS

MASTER = "local[2]"
# Enough that every plan was compiled, kernels loaded and the JVM's compiler has met the hot loops.
WARM_UP_DOCUMENTS = 100_000
_DOCUMENTS_PER_FILE = 50_000


@dataclass(frozen=True, kw_only=True)
class ScaleRun:
    """What one process measures; a chain of documents when `chain`, else a corpus of them."""

    num_documents: int
    num_words: int = 80
    preset: str = "dclm"
    verification: str = "jaccard"
    # Whether a removal is verified against the survivor.
    verify: str = "none"
    chain: bool = False
    # Write the documents as JSON lines here, for a peer to read the same.
    export: str | None = None


def run(settings: ScaleRun) -> dict[str, Any]:
    """Return the measured figures of one run; sizes in bytes, CPU of JVM and workers together."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("DCLM_SPARK_SCRATCH")) as folder:
        write_events_to(folder)
        with Watch() as start:
            spark = spark_session("dedup", MASTER)
        measure = _chain if settings.chain else _corpus
        figures = measure(spark, settings, folder)
        spark.stop()
        shuffled = _shuffled(folder, figures.pop("from_moment"))
        started = {"session_cpu_seconds": start.cpu_seconds}
        return {**asdict(settings), **started, **figures, **shuffled}


def write_events_to(folder: str) -> None:
    """Have the session write its event log, which knows the bytes of every shuffle."""
    Path(folder, "events").mkdir()
    settings = {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": f"file://{folder}/events",
        "spark.eventLog.compress": "false",
        "spark.eventLog.rolling.enabled": "false",
        "spark.local.dir": folder,
    }
    chosen = " ".join(f"--conf {name}={value}" for name, value in settings.items())
    os.environ["PYSPARK_SUBMIT_ARGS"] = f"{chosen} pyspark-shell"


def _corpus(spark: SparkSession, settings: ScaleRun, folder: str) -> dict[str, Any]:
    warm = _written(spark, WARM_UP_DOCUMENTS, settings.num_words, f"{folder}/warm")
    with Watch() as warming:
        _deduplicate(warm, settings, f"{folder}/warming")
    documents = _written(spark, settings.num_documents, settings.num_words, f"{folder}/input")
    if settings.export is not None:
        rows = documents.select("doc_id", "text")
        rows.selectExpr("hex(doc_id) AS id", "text").write.json(settings.export)
    started = time.time()
    with Watch() as watch:
        _deduplicate(documents, settings, f"{folder}/run")
    return {
        "from_moment": started,
        "warm_up_cpu_seconds": warming.cpu_seconds,
        "seconds": time.time() - started,
        "cpu_seconds": watch.cpu_seconds,
        "cpu_seconds_by_step": _by_step(watch, Path(folder, "run")),
        "worker_peak_bytes": watch.worker_peak_bytes,
        "jvm_peak_bytes": watch.jvm_peak_bytes,
        "rounds": len(list(Path(folder, "run/components").glob("round-*.json"))) - 1,
        "candidates": sum(_rows(path) for path in Path(folder, "run").glob("pairs-*.json")),
        "kept": int(spark.read.parquet(f"{folder}/run/kept").count()),
    }


def _written(spark: SparkSession, num_documents: int, num_words: int, path: str) -> FileTable:
    """Write the corpus and return it as the job has its documents: as committed files."""
    tasks = math.ceil(num_documents / _DOCUMENTS_PER_FILE)
    rows = corpus(spark, num_documents, num_words, tasks)
    rows.write.parquet(path)
    return FileTable(
        spark=spark,
        uris=tuple(sorted(str(file) for file in Path(path).glob("*.parquet"))),
        schema=to_arrow_schema(rows.schema),
        extent=Extent(
            key=path,
            num_rows=num_documents,
            text_size_bytes=num_documents * num_words * (LETTERS_PER_WORD + 1),
        ),
    )


def _deduplicate(documents: FileTable, settings: ScaleRun, folder: str) -> None:
    """Find the near duplicates and write the documents that stay."""
    near = NearDuplicateSettings(
        signatures=PRESETS[settings.preset],
        verification=settings.verification,
        verify=settings.verify,
    )
    spark = documents.spark
    working = Checkpoints(spark=spark, directory=folder, key="measured")
    with sized_shuffles(spark, documents.extent.text_size_bytes):
        found = near_duplicate_verdicts(documents, near, working).select("doc_id").hint("merge")
        kept = documents.select(*documents.columns).join(found, "doc_id", "left_anti")
        kept.write.parquet(f"{folder}/kept")


def _by_step(watch: Watch, folder: Path) -> dict[str, float]:
    """Split the CPU time at the moments at which the tables of the run were finished."""
    # Not the listing inside of a table, which its marker follows.
    written = [path for path in folder.rglob("*.json") if path.name != "parts.json"]
    markers = sorted(written, key=lambda path: path.stat().st_mtime)
    found: dict[str, float] = {}
    before = 0.0
    for marker in markers:
        until = watch.cpu_until(marker.stat().st_mtime)
        name = "components" if marker.parent.name == "components" else marker.stem
        found[name] = found.get(name, 0.0) + until - before
        before = until
    found["survivors"] = watch.cpu_seconds - before
    return found


def _rows(marker: Path) -> int:
    return int(json.loads(marker.read_text())["facts"]["rows"])


def _chain(spark: SparkSession, settings: ScaleRun, folder: str) -> dict[str, Any]:
    edges = chain_edges(spark, settings.num_documents)
    started = time.time()
    with Watch() as watch:
        working = Checkpoints(spark=spark, directory=f"{folder}/chain", key="chain")
        members, rounds = connected_components(edges, working, settings.num_documents)
        components = members.select("component").distinct().count()
    return {
        "from_moment": started,
        "seconds": time.time() - started,
        "cpu_seconds": watch.cpu_seconds,
        "rounds": rounds,
        "components": components,
    }


def _shuffled(folder: str, moment: float) -> dict[str, int]:
    """Add up the shuffles of the tasks that were launched after `moment` (Unix time)."""
    written = tasks = spilled = largest = 0
    for path in Path(folder, "events").iterdir():
        for line in path.read_text().splitlines():
            event = json.loads(line)
            if event["Event"] != "SparkListenerTaskEnd":
                continue
            if event["Task Info"]["Launch Time"] < moment * 1000:
                continue
            metrics = event.get("Task Metrics") or {}
            written += metrics["Shuffle Write Metrics"]["Shuffle Bytes Written"]
            spilled += metrics["Disk Bytes Spilled"]
            largest = max(largest, metrics["Peak Execution Memory"])
            tasks += 1
    return {
        "shuffle_size_bytes": written,
        "spilled_size_bytes": spilled,
        "tasks": tasks,
        "task_peak_execution_bytes": largest,
    }


def main() -> None:
    """Print the figures of the run that the command line describes."""
    settings = ScaleRun(**json.loads(sys.argv[1]))
    assert settings.chain or settings.num_documents % BLOCK_SIZE == 0
    print(json.dumps(run(settings)))


if __name__ == "__main__":
    main()
