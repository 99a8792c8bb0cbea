"""datatrove in another interpreter on the same pages as our chain, and how a peer is run."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dclm_spark.crawl.listing import InputFile
from dclm_spark.errors import InputError
from dclm_spark.measure.chain import ChainCounts, time_chain
from dclm_spark.measure.clock import Timing
from dclm_spark.measure.inputs import Models
from tests.benchmarks import datatrove_peer

DATATROVE, REFERENCE = "datatrove", "the reference"
# What the script of each peer imports.
PACKAGES = {
    DATATROVE: ("datatrove", "lxml_html_clean", "spacy", "trafilatura", "warcio"),
    REFERENCE: ("fasttext", "fastwarc", "resiliparse", "uniseg"),
}
_NEEDED = "give a Python with the packages that docs/throughput.md names"
_TIMEOUT_SECONDS = 1200
_FILTER_NGRAMS = 1_000_000
# Prints those of its arguments that cannot be imported; importing finds what they lack in turn.
_PROBE = """
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except Exception:
        print(name)
"""


@dataclass(frozen=True, kw_only=True)
class PeerResult:
    """`ours` is the whole chain on the peer's pages; `steps` are datatrove's, in order."""

    version: str
    ours: Timing
    steps: list[Timing]
    # Documents that came out of the last filter.
    kept: int
    # Word segmentation by the peer's uniseg, if it has one; the name says its version.
    words: Timing | None

    @property
    def seconds(self) -> float:
        """CPU seconds of all of datatrove's steps."""
        return sum(step.cpu_seconds for step in self.steps)

    @property
    def ratio(self) -> float:
        """How many times the CPU of our chain datatrove takes."""
        return self.seconds / self.ours.cpu_seconds


def time_ours(files: Sequence[InputFile], models: Models) -> tuple[Timing, ChainCounts]:
    """Return our whole chain on the peers' pages: one pass, as theirs, after one to warm up."""
    time_chain(files, models, ngrams=_FILTER_NGRAMS)
    counts, curating, refining = time_chain(files, models, ngrams=_FILTER_NGRAMS)
    timing = Timing(
        name="our whole chain",
        cpu_seconds=curating + refining,
        documents=counts.documents,
        size_bytes=0,
    )
    return timing, counts


def compare_with_datatrove(python: str, folder: Path, ours: Timing, models: Models) -> PeerResult:
    """Run datatrove with the interpreter `python` on the WARCs of `folder`, as `ours` was."""
    result = run_peer(python, folder, models.language_model)
    words = result["uniseg"]
    return PeerResult(
        version=result["version"],
        ours=ours,
        steps=timings(result["steps"], ours.documents),
        kept=list(result["steps"].values())[-2]["documents"],
        words=_words(words) if words else None,
    )


def timings(steps: dict[str, dict[str, float]], pages: int) -> list[Timing]:
    """Return the steps that a peer printed, each as one over all pages."""
    return [
        Timing(name=name, cpu_seconds=max(step["cpu_seconds"], 1e-9), documents=pages, size_bytes=0)
        for name, step in steps.items()
    ]


def missing_packages(python: str) -> dict[str, list[str]]:
    """Return the packages that `python` lacks for each peer that it cannot run.

    Raises InputError where it can run none.
    """
    names = [name for packages in PACKAGES.values() for name in packages]
    absent = run_python(python, "-c", _PROBE, *names).split()
    found = {
        peer: [name for name in packages if name in absent] for peer, packages in PACKAGES.items()
    }
    missing = {peer: packages for peer, packages in found.items() if packages}
    if len(missing) == len(PACKAGES):
        lacks = "; ".join(f"for {peer} {', '.join(missing[peer])}" for peer in missing)
        raise InputError(f"--peers {python}: it lacks {lacks}; {_NEEDED}")
    return missing


def run_peer(python: str, folder: Path, language_model: Path) -> dict[str, Any]:
    """Return what the peer's script prints: see `tests.benchmarks.datatrove_peer`."""
    return last_json(
        run_python(python, datatrove_peer.__file__, str(folder), str(language_model.absolute()))
    )


def last_json(printed: str) -> dict[str, Any]:
    """Return the object in the last line that a peer printed."""
    found: dict[str, Any] = json.loads(printed.strip().splitlines()[-1])
    return found


def run_python(python: str, *arguments: str, search: Path | None = None) -> str:
    """Return what the interpreter prints; InputError with its last line where it fails.

    `search` is a folder whose modules it can import.
    """
    environment = {**os.environ, **({"PYTHONPATH": str(search)} if search else {})}
    try:
        done = subprocess.run(
            [python, *arguments],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"--peers {python}: {error}; {_NEEDED}") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise InputError(f"--peers {python}: {last}; {_NEEDED}")
    return done.stdout


def _words(found: dict[str, Any]) -> Timing:
    return Timing(
        name=f"uniseg {found['version']}",
        cpu_seconds=max(found["cpu_seconds"], 1e-9),
        documents=1,
        size_bytes=found["size_bytes"],
    )
