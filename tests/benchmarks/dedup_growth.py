"""What each method of dedup takes at 1, 4 and 16 times the documents, and what skew does to it.

    python -m tests.benchmarks.dedup_growth --folder /tmp/growth --documents 2000

The stage runs as the job runs it, over committed files. Figures are those of Spark's event log:
tasks, bytes shuffled, and in the stage that reads most from shuffles the largest task against the
median. Plans are those of `dclm_spark.planning.dedup`.
"""

import argparse
import json
import shutil
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dclm_spark.dedup.methods import METHODS, DeduplicationSettings
from dclm_spark.measure.clock import Watch
from dclm_spark.planning.dedup import DedupRates, plan_minhash
from dclm_spark.session import spark_session
from dclm_spark.stages.deduplicate import deduplicate
from tests.benchmarks.dedup_corpus import BLOCK_SIZE, block_rows, vocabulary
from tests.benchmarks.dedup_scale import write_events_to
from tests.dclm_spark.dedup.committed import committed_files
from udfs.units.documents import DOCUMENTS

WORDS, FILES, SHARDS = 400, 8, 8
FACTORS = (1, 4, 16)
NAMES = ("sharded", "global", "minhash", "lines")
# One file of the last variant has so many times the documents of another.
LARGE_FILE = 50
BOILERPLATE = " ".join(f"menu{number}" for number in range(30))
# Of the documents of `dedup_corpus`, those that have a partner.
DUPLICATE_SHARE = 0.1


def texts(documents: int, words: int = WORDS) -> list[str]:
    table, found = vocabulary(), []
    for block in range(-(-documents // BLOCK_SIZE)):
        found += block_rows(block, words, table).column("text").to_pylist()
    return found[:documents]


def variants(documents: int) -> Iterator[tuple[str, int, list[list[tuple[int, str]]]]]:
    """Yield name, number of documents, and the files of documents of each run."""
    for factor in FACTORS:
        places = list(enumerate(texts(documents * factor)))
        yield f"{factor}x", len(places), [places[number::FILES] for number in range(FILES)]
    places = list(enumerate(texts(documents * FACTORS[1])))
    share = len(places) // (LARGE_FILE + FILES - 1)
    rest = places[: share * (FILES - 1)]
    small = [rest[number :: FILES - 1] for number in range(FILES - 1)]
    yield "one file 50x", len(places), [places[len(rest) :], *small]
    same = [(place, f"{BOILERPLATE}\n{text}") for place, text in places]
    yield "an n-gram in every page", len(places), [same[number::FILES] for number in range(FILES)]


def measure(spark, folder: Path, documents: int) -> list[dict[str, Any]]:
    found = []
    for variant, count, files in variants(documents):
        source = committed_files(folder / "in" / variant, files)
        for name in NAMES:
            settings = DeduplicationSettings(method=METHODS[name](), shards=SHARDS)
            output, started = folder / "out" / variant / name, time.time()
            with Watch() as watch:
                deduplicate(spark, source, DOCUMENTS, settings, str(output))
            found.append({
                "method": name, "variant": variant, "documents": count, "from": started,
                "until": time.time(), "cpu_seconds": round(watch.cpu_seconds, 1),
                "worker_peak_mb": watch.worker_peak_bytes // 10**6,
                "planned_shuffle_mb": planned(name, count),
            })  # fmt: skip
            shutil.rmtree(output)
            print(json.dumps(found[-1]), flush=True)
    return found


def planned(name: str, documents: int) -> int | None:
    """Return the megabytes that the plan of a method has for the shuffle, None without a plan."""
    if name != "minhash":
        return None
    # Random words do not compress.
    rates = DedupRates(shuffled_text_ratio=1.0)
    plan = plan_minhash(documents, WORDS * 7, METHODS[name](), DUPLICATE_SHARE, rates)
    return plan.shuffle_size_bytes // 10**6


def with_events(runs: list[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """Add what the event log says of the tasks of each run."""
    (log,) = (folder / "events").iterdir()
    ended = [
        event
        for event in map(json.loads, log.read_text().splitlines())
        if event["Event"] == "SparkListenerTaskEnd"
    ]
    for run in runs:
        first, last = run.pop("from") * 1000, run.pop("until") * 1000
        run |= _told([one for one in ended if first <= one["Task Info"]["Launch Time"] <= last])
    return runs


def _told(tasks: list[dict[str, Any]]) -> dict[str, Any]:
    reads: dict[int, list[int]] = defaultdict(list)
    written = spilled = memory = 0
    for task in tasks:
        metrics = task["Task Metrics"]
        read = metrics["Shuffle Read Metrics"]
        reads[task["Stage ID"]].append(read["Local Bytes Read"] + read["Remote Bytes Read"])
        written += metrics["Shuffle Write Metrics"]["Shuffle Bytes Written"]
        spilled += metrics["Disk Bytes Spilled"]
        memory = max(memory, metrics["Peak Execution Memory"])
    most = max(reads.values(), key=sum)
    return {
        "tasks": len(tasks),
        "shuffle_mb": round(written / 1e6, 1),
        "spilled_mb": round(spilled / 1e6, 1),
        "task_memory_mb": round(memory / 1e6, 1),
        "largest_to_median_task": round(max(most) / max(1, statistics.median(most)), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="a folder that is not there yet")
    parser.add_argument("--documents", type=int, default=2_000, help="at 1x, of 2,800 bytes each")
    given = parser.parse_args()
    given.folder.mkdir(parents=True)
    write_events_to(str(given.folder))
    spark = spark_session("dedup_growth", "local[2]")
    try:
        runs = measure(spark, given.folder, given.documents)
    finally:
        spark.stop()
    print(json.dumps(with_events(runs, given.folder), indent=1))


if __name__ == "__main__":
    main()
