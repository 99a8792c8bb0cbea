"""What a driver takes for very many units of real shape: memory, CPU and files, without the work.

    python -m tests.benchmarks.driver_scale --units 100000 --folder /tmp/units
    python -m tests.benchmarks.driver_scale --units 2000 --folder /tmp/units --s3

The units are committed by writing prepared manifests, so that what is measured is the driver: it
reads manifests, adds statistics up by tasks, writes the stage's summary and the report. `--s3` puts
all on a local S3 server and counts the driver's requests, by operation.
"""

import argparse
import json
import os
import random
import resource
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
from botocore.client import BaseClient

from dclm_spark.engine.manifests import STORAGE_THREADS, Unit, delete_many
from dclm_spark.engine.monitoring.run_clock import RunClock
from dclm_spark.engine.run_output import RunProgress
from dclm_spark.engine.stage import UnitRules, run_units
from dclm_spark.engine.tables import spark_schema
from dclm_spark.recipes import load_recipe
from dclm_spark.report.page import write_report
from dclm_spark.report.summarize import summarize
from dclm_spark.session import spark_session
from tests.s3_store import CREDENTIALS, s3_store
from udfs import storage
from udfs.documents.schema import FATES
from udfs.units.commit import COMMITTED, FORMAT_VERSION, manifest_uri
from udfs.units.curate import InputUnit
from udfs.units.statistics import DOMAINS_PER_UNIT, HISTOGRAM_EDGES, SAMPLE_CHARACTERS
from udfs.warc.reader import RecordCounts

# A usual WARC: its pages, hosts and rules (CC-MAIN-2024-10; spec of issue 26).
PAGES, HOSTS, RULES = 39_000, 10_000, 24
# Statistics files of different content; the others are links to them.
DISTINCT = 200
MISSING_SHARE = 0.01


def name_of(place: int) -> str:
    return f"CC-MAIN-20240220211055-20240221001055-{place:05d}-{place:010x}"


def statistics(seed: int, domains: int = DOMAINS_PER_UNIT) -> dict:
    """What `udfs.units.statistics.Tally` says of such a WARC."""
    draw = random.Random(seed)
    hosts = draw.sample(range(50 * HOSTS), domains)
    documents = sorted((int(draw.paretovariate(1.1)) + 1 for _ in hosts), reverse=True)
    rules = [("kept", "", "")] + [("dropped", "heuristics", f"rule_{n}") for n in range(RULES)]
    return {
        "counts": [
            {"fate": fate, "stage": stage, "rule": rule, "documents": PAGES // len(rules),
             "text_bytes": 3_000_000}
            for fate, stage, rule in rules
        ],
        "thresholds": {rule: 0.5 for _, _, rule in rules if rule},
        "languages": [[f"l{n}", kept, 10] for n in range(150) for kept in (False, True)],
        "domains": [[f"www.host-{host}.example.org", count, count // 2, 900 * count]
                    for host, count in zip(hosts, documents, strict=True)],
        "domains_cut": documents[-1],
        "histograms": {name: [7] * (len(edges) - 1) for name, edges in HISTOGRAM_EDGES.items()},
        "kept_histograms": {
            name: [3] * (len(edges) - 1) for name, edges in HISTOGRAM_EDGES.items()
        },
        "samples": [
            {"doc_id": f"{draw.getrandbits(128):032x}", "fate": fate, "stage": stage,
             "rule": rule or "kept", "url": "https://www.host.example.org/a/page", "value": 0.1,
             "threshold": 0.5, "error": None, "text": "a b c d " * (SAMPLE_CHARACTERS // 8)}
            for fate, stage, rule in rules for _ in range(3)
        ],
    }  # fmt: skip


def manifest(place: int, key: str) -> dict:
    """The manifest that `udfs.units.commit.commit` writes of it."""
    name = name_of(place)
    path = f"crawl-data/CC-MAIN-2024-10/segments/1707947473360.9/warc/{name}.warc.gz"
    source = InputUnit(
        crawl="CC-MAIN-2024-10", path=path, uri=f"s3://commoncrawl/{path}", kind="warc"
    )
    records = RecordCounts(response=PAGES, request=PAGES, metadata=PAGES, warcinfo=1)
    return {
        "format_version": FORMAT_VERSION,
        "unit": name,
        "key": key,
        "files": [
            {"path": f"{fate}/{name}.parquet", "rows": PAGES // 3, "size_bytes": 34_567_890,
             "sha256": f"{place:064x}"}
            for fate in FATES
        ],
        "documents": {fate: [PAGES // 3, 45_678_901] for fate in FATES},
        "statistics": {"path": f"statistics/{name}.json", "size_bytes": 100_000,
                       "sha256": f"{place % DISTINCT:064x}"},
        "facts": {"records": asdict(records), "input": asdict(source)},
        "timing": {"seconds": 1234.5, "cpu_seconds": 1100.25},
    }  # fmt: skip


def prepare(folder: str, units: int, domains: int) -> None:
    """Write the statistics of `units` units where a stage looks for them."""
    texts = [
        json.dumps(statistics(place, domains), separators=(",", ":")).encode()
        for place in range(min(units, DISTINCT))
    ]

    def write(place: int) -> None:
        uri = f"{folder}/statistics/{name_of(place)}.json"
        if place < DISTINCT or not storage.is_local(uri):
            storage.write_bytes(uri, texts[place % DISTINCT])
        else:
            same = Path(folder, "statistics", f"{name_of(place % DISTINCT)}.json")
            Path(uri).hardlink_to(same)

    for_each(write, range(min(units, DISTINCT)))
    for_each(write, range(DISTINCT, units))


def for_each(do: Callable[[Any], object], items: Iterable[Any]) -> None:
    with ThreadPoolExecutor(STORAGE_THREADS) as pool:
        for _ in pool.map(do, items):
            pass


def write_manifest(folder: str, key: str, place: int) -> None:
    text = json.dumps(manifest(place, key), indent=1)
    storage.write_bytes(manifest_uri(folder, name_of(place)), text.encode())


class Requests:
    """Counts what this process asks of S3, by operation."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.counting = True
        asked = BaseClient._make_api_call

        def counted(client, operation, parameters):
            if self.counting:
                self.counts[operation] += 1
            return asked(client, operation, parameters)

        BaseClient._make_api_call = counted

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        self.counting = False
        yield
        self.counting = True

    def taken(self) -> dict[str, int]:
        found, self.counts = dict(self.counts), Counter()
        return found


def measure(spark, folder: str, units: int, key: str) -> dict:
    """Run the stage three times and report; return seconds and CPU of each, and memory."""
    found, requests = {"units": units}, Requests()
    work = [Unit(name=name_of(place), key=key) for place in range(units)]
    rules = UnitRules(documents_in=None, others="refuse")

    def execute(pending):
        places = {unit.name: place for place, unit in enumerate(work)}
        with requests.uncounted():
            for_each(partial(write_manifest, folder, key), (places[one.name] for one in pending))
        return spark.createDataFrame([], spark_schema(COMMITTED))

    def run(step):
        before, started = cpu_seconds(), time.perf_counter()
        output = run_units(
            spark, stage="documents", directory=folder, units=work, execute=execute,
            rules=rules,
        )  # fmt: skip
        found[step] = taken(before, started) | {"requests": requests.taken()}
        return output

    run("fresh")
    run("resume_all_done")
    with requests.uncounted():
        gone = range(0, units, round(1 / MISSING_SHARE))
        delete_many([manifest_uri(folder, name_of(place)) for place in gone])
    output = run("resume_some_missing")
    before, started = cpu_seconds(), time.perf_counter()
    report(output, folder)
    found["report"] = taken(before, started)
    found["driver_peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    found["driver_cpu_seconds"] = round(cpu_seconds(), 1)
    found["jvm_peak_bytes"] = jvm_peak_bytes()
    found["manifest_bytes"] = storage.size_bytes(manifest_uri(folder, name_of(0)))
    found["statistics_bytes"] = storage.size_bytes(f"{folder}/statistics/{name_of(0)}.json")
    found["columns_bytes_a_unit"] = (output.units.nbytes + output.unit_files.nbytes) // units
    return found


def report(output, folder: str) -> None:
    """Write the report of a run that has got as far as `output`."""
    run = RunProgress(documents=output)
    identity = SimpleNamespace(recipe_hash="0" * 16, versions={}, commit="")
    summary = summarize(run, load_recipe("dclm_baseline", []), identity, RunClock(folder, ""))
    write_report(summary, f"{folder}/report.html")


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def taken(before: float, started: float) -> dict[str, float]:
    return {
        "cpu_seconds": round(cpu_seconds() - before, 1),
        "seconds": round(time.perf_counter() - started, 1),
    }


def jvm_peak_bytes() -> int:
    """Return the peak of the JVM that this process started, 0 where it is not found."""
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        except (OSError, ValueError):
            continue
        mine = lines["PPid"].strip() == str(os.getpid())
        if mine and lines["Name"].strip() == "java":
            return int(lines["VmHWM"].split()[0]) * 1024
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="a folder that is not there yet")
    parser.add_argument("--domains", type=int, default=DOMAINS_PER_UNIT, help="of each unit")
    parser.add_argument("--s3", action="store_true", help="on a local S3 server")
    given = parser.parse_args()
    given.folder.mkdir(parents=True)
    try:
        if given.s3:
            # Statistics of a unit are 0.1 MB.
            with s3_store(given.folder, 1 + given.units // 5_000) as url:
                os.environ |= {**CREDENTIALS, "AWS_ENDPOINT_URL": url}
                boto3.client("s3", endpoint_url=url).create_bucket(Bucket="units")
                run_in("s3://units", given)
        else:
            run_in(str(given.folder), given)
    finally:
        shutil.rmtree(given.folder)


def run_in(folder: str, given: argparse.Namespace) -> None:
    prepare(folder, given.units, given.domains)
    spark = spark_session("driver_scale", "local[2]")
    try:
        print(json.dumps(measure(spark, folder, given.units, "key")))
    finally:
        spark.stop()


if __name__ == "__main__":
    main()
