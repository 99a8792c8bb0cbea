"""A whole run over many tiny WARC files, its driver killed on the way, by the job's command.

    python -m tests.benchmarks.many_files --files 5000 --kills 2 --folder /tmp/many
    python -m tests.benchmarks.many_files --files 300 --kills 2 --straight --folder /tmp/many

A file has one page of the sample crawl's kinds, and its outcome is known. The driver's processes
are killed (SIGKILL) while units of the stage that reads files are being committed, and the same
command is given again. In the end every stage must account for the documents that came into it,
the documents stage for each page as its kind says. `--straight` runs once more without kills: each
stage must have the same fingerprint.
"""

import argparse
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from dclm_spark.recipes import load_recipe
from dclm_spark.sample.facts import make_facts
from dclm_spark.sample.generate import CRAWL, SampleCrawl, generate_crawl
from dclm_spark.sample.kinds import PageMaker
from dclm_spark.sample.sample_run import sample_recipe
from dclm_spark.sample.warc_records import write_warc
from dclm_spark.settings import to_yaml

ROOT = Path(__file__).parents[2]
FOLDER = f"crawl-data/{CRAWL}/segments/1767225600000.01/warc"
SHARDS = 16
# Pages of a kind at a time: of ten, so many are articles, chatter and foreign.
MIXTURE = (("articles", 6), ("chatter", 2), ("foreign", 2))
BLOCK_FILES = 1_000
STAGES = ("documents", "deduplicate", "select")
LOOK_SECONDS = 0.5


def path_of(place: int) -> str:
    return f"{FOLDER}/SAMPLE-20260101000000-20260101010000-{place:05d}.warc.gz"


def write_block(base: Path, block: int, files: int) -> dict[str, int]:
    """Write a block of files of a page each; return how many have which fate in `documents`."""
    maker, fates = PageMaker(block, make_facts(Random("facts")), []), Counter[str]()
    pages = []
    for kind, share in MIXTURE:
        made = getattr(maker, kind)(BLOCK_FILES * share // 10)
        pages += [one[0] if isinstance(one, tuple) else one for one in made]
    Random(block).shuffle(pages)
    for place, page in enumerate(islice(pages, files), block * BLOCK_FILES):
        write_warc(base / path_of(place), [page], Random(place))
        early = page.truth.stage in ("documents", "charset")
        fates[str(page.truth.fate) if early else "kept"] += 1
    return dict(fates)


def write_crawl(base: Path, files: int) -> dict[str, int]:
    """Write the files and their listing; return the number of pages by fate in `documents`."""
    fates: Counter[str] = Counter()
    with ProcessPoolExecutor(2) as pool:
        blocks = range(-(-files // BLOCK_FILES))
        sizes = [min(BLOCK_FILES, files - block * BLOCK_FILES) for block in blocks]
        for one in pool.map(write_block, [base] * len(blocks), blocks, sizes):
            fates.update(one)
    listing = "".join(f"{path_of(place)}\n" for place in range(files))
    (base / "warc.paths.gz").write_bytes(gzip.compress(listing.encode()))
    return dict(fates)


def recipe_file(folder: Path) -> Path:
    """Write the sample's recipe, with lists and models made from a sample of its own."""
    sample: SampleCrawl = generate_crawl(folder / "sample")
    recipe = sample_recipe(load_recipe("sample", []), sample, folder / "sample")
    method = replace(recipe.deduplication, shards=SHARDS)
    path = folder / "recipe.yaml"
    path.write_text(to_yaml(replace(recipe, deduplication=method)))
    return path


def committed(output: Path) -> int:
    """Return how many files of input are done."""
    manifests = output / "stages/documents/manifests"
    return sum(1 for _ in os.scandir(manifests)) if manifests.is_dir() else 0


class Run:
    """One start of the job: its processes, and the most memory that they took."""

    def __init__(self, folder: Path, output: Path, log: Path) -> None:
        self.output, self.peaks = output, Counter[str]()
        command = [
            sys.executable, str(ROOT / "jobs/build_baseline.py"), "--recipe",
            str(folder / "recipe.yaml"), "--input", str(folder / "crawl/warc.paths.gz"), "--base",
            str(folder / "crawl"), "--output", str(output), "--master", "local[2]",
        ]  # fmt: skip
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        with log.open("a") as file:
            self.process = subprocess.Popen(
                command, env=environment, stdout=file, stderr=file, start_new_session=True
            )
        self.started = time.perf_counter()

    def wait(self, until: int | None = None) -> None:
        """Wait until the job ends or, with `until`, has committed so many units; then kill it."""
        while self.process.poll() is None:
            self._look()
            if until is not None and committed(self.output) >= until:
                os.killpg(self.process.pid, signal.SIGKILL)
                assert self.process.wait() == -signal.SIGKILL
                return
            time.sleep(LOOK_SECONDS)
        assert until is None, f"it ended with {self.process.returncode} before it was killed"
        assert self.process.returncode == 0, self.process.returncode

    def _look(self) -> None:
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
            except (OSError, ValueError):
                continue
            pid, parent = int(lines["Pid"]), int(lines["PPid"])
            if "VmHWM" in lines and self.process.pid in (pid, parent):
                name = "python" if pid == self.process.pid else lines["Name"].strip()
                self.peaks[name] = max(self.peaks[name], int(lines["VmHWM"].split()[0]) // 1024)


def measure(folder: Path, name: str, kills: list[int]) -> dict[str, Any]:
    """Run the job, killed when so many units are committed; return seconds and peaks in MiB."""
    output, log = folder / name, folder / f"{name}.log"
    found: dict[str, Any] = {"killed_at": [], "seconds": [], "peak_mib": []}
    for until in [*kills, None]:
        run = Run(folder, output, log)
        run.wait(until)
        found["seconds"].append(round(time.perf_counter() - run.started))
        found["peak_mib"].append(dict(run.peaks))
        if until is not None:
            assert not (output / "report.json").exists()
            found["killed_at"].append(committed(output))
    return found


def summaries(output: Path) -> dict[str, dict[str, Any]]:
    """Return the summaries of all stages, by their names."""
    files = [*output.glob("stages/*/stage.json"), *output.glob("shards/stage.json")]
    return {one["stage"]: one for one in (json.loads(path.read_text()) for path in files)}


def check_books(output: Path, fates: dict[str, int]) -> dict[str, int]:
    """Assert that every document that came into a stage has a fate there; return those kept."""
    found, kept = summaries(output), {}
    came = sum(fates.values())
    for stage in STAGES:
        by_fate: Counter[str] = Counter()
        for entry in found[stage]["counts"]:
            by_fate[entry["fate"]] += entry["documents"]
        if stage == "documents":
            assert dict(by_fate) == fates, (by_fate, fates)
        if by_fate:
            assert sum(by_fate.values()) == came, (stage, by_fate, came)
            came = kept[stage] = by_fate["kept"]
    assert json.loads((output / "report.json").read_text())["complete"]
    assert (output / "report.html").stat().st_size > 10_000
    return kept


def objects(output: Path) -> dict[str, list[int]]:
    """Return how many files a run left, and their bytes, by folder."""
    found: dict[str, list[int]] = {}
    for path in output.rglob("*"):
        if path.is_file():
            place = path.relative_to(output).parts
            entry = found.setdefault("/".join(place[:-1][:3]), [0, 0])
            entry[0] += 1
            entry[1] += path.stat().st_size
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, required=True)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--straight", action="store_true", help="run once more without kills")
    parser.add_argument("--folder", type=Path, required=True, help="a folder that is not there yet")
    given = parser.parse_args()
    given.folder.mkdir(parents=True)
    recipe_file(given.folder)
    started = time.perf_counter()
    fates = write_crawl(given.folder / "crawl", given.files)
    print(f"{given.files} files written in {time.perf_counter() - started:.0f} s", flush=True)
    kills = [given.files * (one + 1) // (given.kills + 1) for one in range(given.kills)]
    found: dict[str, Any] = {"files": given.files, "killed": measure(given.folder, "run", kills)}
    found["kept"] = check_books(given.folder / "run", fates)
    found["objects"] = objects(given.folder / "run")
    print(json.dumps(found), flush=True)
    if given.straight:
        found["straight"] = measure(given.folder, "straight", [])
        ours, theirs = (summaries(given.folder / name) for name in ("run", "straight"))
        assert ours == theirs, "a stage differs"
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
