"""How much longer the largest task of dedup takes than the median where one key is in every page.

    python -m tests.benchmarks.hot_keys --documents 32000 --folder /tmp/hot

An n-gram (a line) that every page has is one key of a shuffle, and so is a text that half of them
have. Tasks sort as little as
`--partition-kib`, so that a key of few documents fills one; they sort 256 MiB in a run, where a key
of 256 times as many documents does. It is measured with the key as one task and spread as
`dclm_spark.dedup.owners` does. Figures are those of Spark's event log, of the window whose largest
task read the most rows beyond the median's: bytes of equal rows are compressed away.
"""

import argparse
import json
import shutil
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

from dclm_spark.dedup.method import DedupMethod
from dclm_spark.dedup.methods import METHODS, DeduplicationSettings
from dclm_spark.dedup.minhash import MinHash
from dclm_spark.dedup.owners import HotKeys
from dclm_spark.dedup.pairs.candidates import BucketSettings
from dclm_spark.engine import shuffles
from dclm_spark.session import spark_session
from dclm_spark.stages.deduplicate import deduplicate
from tests.benchmarks.dedup_growth import BOILERPLATE, FILES, SHARDS, texts
from tests.benchmarks.dedup_scale import write_events_to
from tests.dclm_spark.dedup.committed import committed_files
from udfs.units.documents import DOCUMENTS

WORDS = 80
RUN_PARTITION_SIZE_BYTES = shuffles.PARTITION_SIZE_BYTES
# A stage of fewer has no median to speak of.
LEAST_TASKS = 4
NAMES = ("global", "minhash", "lines", "none")
COPIED = " ".join(f"copied{number}" for number in range(WORDS))


def one_domain(place: int) -> str:
    return f"http://{'one' if place % 2 else f'host{place}'}.example/{place}"


def measure(spark, folder: Path, documents: int, names: list[str]) -> list[dict[str, Any]]:
    places = list(enumerate(texts(documents, WORDS)))
    cut = [places[number::FILES] for number in range(FILES)]
    hot = [[(place, f"{BOILERPLATE}\n{text}") for place, text in rows] for rows in cut]
    domain = committed_files(folder / "domain", cut, url_of=one_domain)
    ngram = committed_files(folder / "ngram", hot)
    one = [[(place, text if place % 2 else COPIED) for place, text in rows] for rows in cut]
    copied = committed_files(folder / "copied", one)
    found = []
    for name in names:
        runs = [("one domain has half", domain, True), ("an n-gram in every page", ngram, True),
                ("the same, one task a key", ngram, False)]  # fmt: skip
        if name in ("none", "minhash"):
            runs = [
                ("half are one page", copied, True),
                ("the same, one task a key", copied, False),
            ]
        for variant, source, spread in runs:
            exact = () if METHODS[name].compares else ("text",)
            settings = DeduplicationSettings(exact=exact, method=method_of(name), shards=SHARDS)
            started, output = time.time(), folder / "out"
            with keys_of_one_task(not spread):
                deduplicate(spark, source, DOCUMENTS, settings, str(output / "stage"))
            found.append({"variant": variant, "method": name, "from": started,
                          "until": time.time()})  # fmt: skip
            shutil.rmtree(output)
    return found


def method_of(name: str) -> DedupMethod:
    """Return a method whose buckets are as small against a task as in a run."""
    if name != "minhash":
        return METHODS[name]()
    scale = shuffles.PARTITION_SIZE_BYTES / RUN_PARTITION_SIZE_BYTES
    size = max(int(BucketSettings().hot_bucket_size * scale), 2)
    return MinHash(buckets=BucketSettings(hot_bucket_size=size))


@contextmanager
def keys_of_one_task(wanted: bool) -> Iterator[None]:
    """Leave hot keys as they are in this block, if `wanted`."""
    with patch.object(HotKeys, "keys", lambda *_: None) if wanted else nullcontext():
        yield


def windows_of(event: dict[str, Any]) -> int | None:
    """Return the number of the stage that an event is of, where it has a window over keys."""
    scopes = [rdd.get("Scope", "") for rdd in event["Stage Info"]["RDD Info"]]
    return event["Stage Info"]["Stage ID"] if any('"Window"' in one for one in scopes) else None


def told(run: dict[str, Any], events: list[dict[str, Any]]) -> dict[str, Any]:
    """Return rows, bytes and seconds of the tasks of a run's stage with the most unequal ones."""
    first, last = run.pop("from") * 1000, run.pop("until") * 1000
    stages: dict[int, list[tuple[int, int, float]]] = defaultdict(list)
    for event in events:
        info, read = event["Task Info"], event["Task Metrics"]["Shuffle Read Metrics"]
        if first <= info["Launch Time"] <= last:
            size = read["Local Bytes Read"] + read["Remote Bytes Read"]
            seconds = (info["Finish Time"] - info["Launch Time"]) / 1000
            rows = read["Total Records Read"]
            stages[event["Stage ID"]].append((rows, size, seconds))
    tasks = max((one for one in stages.values() if len(one) >= LEAST_TASKS), key=_excess)
    rows, sizes, seconds = zip(*tasks, strict=True)
    return run | {
        "tasks": len(tasks),
        "largest_rows": max(rows),
        "median_rows": statistics.median(rows),
        "largest_mb": round(max(sizes) / 1e6, 2),
        "median_mb": round(statistics.median(sizes) / 1e6, 2),
        "longest_seconds": round(max(seconds), 2),
        "median_seconds": round(statistics.median(seconds), 2),
    }


def _excess(tasks: list[tuple[int, int, float]]) -> float:
    rows = [task[0] for task in tasks]
    return max(rows) - statistics.median(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="a folder that is not there yet")
    parser.add_argument("--documents", type=int, default=32_000, help="of 560 bytes each")
    parser.add_argument(
        "--partition-kib", type=int, default=1024, help="the most that a task sorts"
    )
    parser.add_argument("--methods", nargs="*", default=NAMES)
    given = parser.parse_args()
    given.folder.mkdir(parents=True)
    shuffles.PARTITION_SIZE_BYTES = shuffles.USEFUL_SIZE_BYTES = given.partition_kib * 1024
    write_events_to(str(given.folder))
    spark = spark_session("hot_keys", "local[2]")
    # Tasks of a real size are not joined, and joins with more for one key are split, as Spark does.
    spark.conf.set(
        "spark.sql.adaptive.advisoryPartitionSizeInBytes", f"{given.partition_kib // 4}k"
    )
    spark.conf.set(
        "spark.sql.adaptive.skewJoin.skewedPartitionThresholdInBytes", f"{given.partition_kib}k"
    )
    spark.conf.set("spark.sql.adaptive.coalescePartitions.enabled", "false")
    try:
        runs = measure(spark, given.folder, given.documents, given.methods)
    finally:
        spark.stop()
    (log,) = (given.folder / "events").iterdir()
    every = [json.loads(line) for line in log.read_text().splitlines()]
    ended = [one for one in every if one["Event"] == "SparkListenerStageCompleted"]
    windows = {windows_of(one) for one in ended}
    events = [
        one
        for one in every
        if one["Event"] == "SparkListenerTaskEnd" and one["Stage ID"] in windows
    ]
    for run in runs:
        print(json.dumps(told(run, events)), flush=True)


if __name__ == "__main__":
    main()
