"""What a driver takes for very many units of real shape: memory, CPU and files, without the work.

    python -m tests.benchmarks.driver_scale --units 100000 --folder /tmp/units
    python -m tests.benchmarks.driver_scale --units 90000 --folder /tmp/units --s3
    python -m tests.benchmarks.driver_scale --units 90000 --folder /tmp/units --kills 2

The units are committed by writing prepared manifests, so that what is measured is the driver: it
reads manifests, adds statistics up by tasks, writes the stage's summary and the report. `--s3` puts
all on a local S3 server and counts the driver's requests, by operation. `--kills` has a driver
killed (SIGKILL) while it commits units, and the stage made again without.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
from botocore.client import BaseClient

from dclm_spark.engine.books import STAGE_MANIFEST
from dclm_spark.engine.manifests import STORAGE_THREADS, Unit, delete_many
from dclm_spark.engine.monitoring.run_clock import RunClock
from dclm_spark.engine.run_output import RunProgress
from dclm_spark.engine.stage import UnitRules, run_units
from dclm_spark.engine.tables import spark_schema
from dclm_spark.recipes import load_recipe
from dclm_spark.report.page import write_report
from dclm_spark.report.summarize import summarize
from dclm_spark.session import spark_session
from tests.benchmarks.crawl_units import DISTINCT, PAGES, manifest, name_of, statistics
from tests.s3_store import CREDENTIALS, s3_store
from udfs import storage
from udfs.documents.schema import FATES
from udfs.units.commit import COMMITTED, MANIFESTS, manifest_uri
from udfs.units.statistics import DOMAINS_PER_UNIT

MISSING_SHARE = 0.01


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
    commits: list[dict[str, float]] = []
    work = [Unit(name=name_of(place), key=key) for place in range(units)]
    pages = len(FATES) * (PAGES // len(FATES))
    rules = UnitRules(
        documents_in=dict.fromkeys((one.name for one in work), pages), others="refuse"
    )

    def execute(pending):
        places = {unit.name: place for place, unit in enumerate(work)}
        before, started = cpu_seconds(), time.perf_counter()
        with requests.uncounted():
            for_each(partial(write_manifest, folder, key), (places[one.name] for one in pending))
        # The tasks' work, and no part of the driver's.
        commits.append(taken(before, started))
        return spark.createDataFrame([], spark_schema(COMMITTED))

    def run(step):
        before, started = cpu_seconds(), time.perf_counter()
        output = run_units(
            spark, stage="documents", directory=folder, units=work, execute=execute,
            rules=rules,
        )  # fmt: skip
        found[step] = taken(before, started) | {"requests": requests.taken()}
        if commits:
            work_done = commits.pop()
            for name, value in work_done.items():
                found[step][name] = round(found[step][name] - value, 1)
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


def killed_and_resumed(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Kill a driver while it commits units, so many times; return what the last one measured.

    What the stage says of itself in the end must be what an undisturbed driver's stage says.
    """
    prepare(str(folder / "killed"), given.units, given.domains)
    prepare(str(folder / "straight"), given.units, given.domains)
    killed_at = []
    for number in range(given.kills):
        child = start_driver(folder / "killed", given)
        until = given.units * (number + 1) // (given.kills + 1)
        while num_committed(folder / "killed") < until:
            assert child.poll() is None, "it ended before it was killed"
            time.sleep(0.02)
        os.killpg(child.pid, signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
        assert not (folder / "killed" / STAGE_MANIFEST).exists()
        killed_at.append(num_committed(folder / "killed"))
    found = {name: measured_by(folder / name, given) for name in ("killed", "straight")}
    stages = [(folder / name / STAGE_MANIFEST).read_text() for name in found]
    assert stages[0] == stages[1], "the stage differs"
    assert json.loads(stages[0])["num_units"] == given.units
    return {"killed_at": killed_at, **found}


def start_driver(folder: Path, given: argparse.Namespace) -> subprocess.Popen[str]:
    command = [
        sys.executable, "-m", "tests.benchmarks.driver_scale", "--units", str(given.units),
        "--folder", str(folder), "--prepared",
    ]  # fmt: skip
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)


def measured_by(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    child = start_driver(folder, given)
    output, _ = child.communicate()
    assert child.returncode == 0
    return dict(json.loads(output.splitlines()[-1]))


def num_committed(folder: Path) -> int:
    manifests = folder / MANIFESTS
    return sum(1 for _ in os.scandir(manifests)) if manifests.is_dir() else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="a folder that is not there yet")
    parser.add_argument("--domains", type=int, default=DOMAINS_PER_UNIT, help="of each unit")
    parser.add_argument("--s3", action="store_true", help="on a local S3 server")
    parser.add_argument("--kills", type=int, default=0, help="kill the driver so many times first")
    parser.add_argument("--prepared", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.prepared:
        return measure_in(str(given.folder), given.units)
    given.folder.mkdir(parents=True)
    try:
        if given.kills:
            print(json.dumps(killed_and_resumed(given.folder, given)))
        elif given.s3:
            # Statistics of a unit are 0.1 MB.
            with s3_store(given.folder, 1 + given.units // 5_000) as url:
                os.environ |= {**CREDENTIALS, "AWS_ENDPOINT_URL": url}
                boto3.client("s3", endpoint_url=url).create_bucket(Bucket="units")
                prepare("s3://units", given.units, given.domains)
                measure_in("s3://units", given.units)
        else:
            prepare(str(given.folder), given.units, given.domains)
            measure_in(str(given.folder), given.units)
    finally:
        shutil.rmtree(given.folder)


def measure_in(folder: str, units: int) -> None:
    spark = spark_session("driver_scale", "local[2]")
    try:
        print(json.dumps(measure(spark, folder, units, "key")))
    finally:
        spark.stop()


if __name__ == "__main__":
    main()
