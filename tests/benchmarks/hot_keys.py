"""How much longer the largest task of dedup takes than the median where one key is in every page.

    python -m tests.benchmarks.hot_keys --documents 32000 --folder /tmp/hot --partition-mib 1

An n-gram (a line, a band of a signature) that every page has is one key of a shuffle. Partitions
are made as small as `--partition-mib`, so that a key of few documents fills one: at a partition of
256 MiB as many documents times 256 are needed. Figures are those of Spark's event log, of the stage
that reads most from shuffles.
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
from dclm_spark.engine import shuffles
from dclm_spark.session import spark_session
from dclm_spark.stages.deduplicate import deduplicate
from tests.benchmarks.dedup_growth import BOILERPLATE, FILES, SHARDS, texts
from tests.benchmarks.dedup_scale import write_events_to
from tests.dclm_spark.dedup.committed import committed_files
from udfs.units.documents import DOCUMENTS

NAMES = ("global", "minhash", "lines")


def one_domain(place: int) -> str:
    return f"http://{'one' if place % 2 else f'host{place}'}.example/{place}"


def variants(folder: Path, documents: int) -> Iterator[tuple[str, Any]]:
    """Yield name and documents of each corpus."""
    places = list(enumerate(texts(documents)))
    cut = [places[number::FILES] for number in range(FILES)]
    yield "no hot key", committed_files(folder / "plain", cut)
    yield "one domain has half", committed_files(folder / "domain", cut, url_of=one_domain)
    hot = [[(place, f"{BOILERPLATE}\n{text}") for place, text in rows] for rows in cut]
    yield "an n-gram in every page", committed_files(folder / "ngram", hot)


def measure(spark, folder: Path, documents: int, names: list[str]) -> list[dict[str, Any]]:
    found = []
    for variant, source in variants(folder / "in", documents):
        for name in names:
            settings = DeduplicationSettings(method=METHODS[name](), shards=SHARDS)
            started, output = time.time(), folder / "out"
            deduplicate(spark, source, DOCUMENTS, settings, str(output / "stage"))
            found.append({"variant": variant, "method": name, "from": started,
                          "until": time.time()})  # fmt: skip
            shutil.rmtree(output)
    return found


def told(run: dict[str, Any], events: list[dict[str, Any]]) -> dict[str, Any]:
    """Return bytes and seconds of the tasks of the stage of a run that read most from shuffles."""
    first, last = run.pop("from") * 1000, run.pop("until") * 1000
    stages: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for event in events:
        info, read = event["Task Info"], event["Task Metrics"]["Shuffle Read Metrics"]
        if first <= info["Launch Time"] <= last:
            size = read["Local Bytes Read"] + read["Remote Bytes Read"]
            seconds = (info["Finish Time"] - info["Launch Time"]) / 1000
            stages[event["Stage ID"]].append((size, seconds))
    tasks = max(stages.values(), key=lambda one: sum(size for size, _ in one))
    sizes, seconds = zip(*tasks, strict=True)
    return run | {
        "tasks": len(tasks),
        "largest_mb": round(max(sizes) / 1e6, 2),
        "median_mb": round(statistics.median(sizes) / 1e6, 2),
        "longest_seconds": round(max(seconds), 2),
        "median_seconds": round(statistics.median(seconds), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="a folder that is not there yet")
    parser.add_argument("--documents", type=int, default=32_000, help="of 2,800 bytes each")
    parser.add_argument("--partition-mib", type=int, default=16, help="the smallest that is useful")
    parser.add_argument("--methods", nargs="*", default=NAMES)
    given = parser.parse_args()
    given.folder.mkdir(parents=True)
    shuffles.USEFUL_SIZE_BYTES = given.partition_mib * 2**20
    write_events_to(str(given.folder))
    spark = spark_session("hot_keys", "local[2]")
    try:
        runs = measure(spark, given.folder, given.documents, given.methods)
    finally:
        spark.stop()
    (log,) = (given.folder / "events").iterdir()
    events = [
        event
        for event in map(json.loads, log.read_text().splitlines())
        if event["Event"] == "SparkListenerTaskEnd"
    ]
    for run in runs:
        print(json.dumps(told(run, events)), flush=True)


if __name__ == "__main__":
    main()
