"""datatrove in another interpreter, on the same pages and in the same run as our chain."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dclm_spark.crawl.listing import InputFile
from dclm_spark.errors import InputError
from dclm_spark.measure import datatrove_peer
from dclm_spark.measure.chain import time_chain
from dclm_spark.measure.clock import Timing
from dclm_spark.measure.inputs import Models

_TIMEOUT_SECONDS = 1200
_FILTER_NGRAMS = 1_000_000


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


def compare(python: str, files: Sequence[InputFile], folder: Path, models: Models) -> PeerResult:
    """Run datatrove with the interpreter `python` on the WARCs of `folder`, which are `files`."""
    result = run_peer(python, folder, models.language_model)
    time_chain(files, models, ngrams=_FILTER_NGRAMS)
    # One pass, as datatrove's.
    counts, curating, refining = time_chain(files, models, ngrams=_FILTER_NGRAMS)
    pages = counts.documents
    words = result["uniseg"]
    steps = [
        Timing(name=name, cpu_seconds=max(step["cpu_seconds"], 1e-9), documents=pages, size_bytes=0)
        for name, step in result["steps"].items()
    ]
    return PeerResult(
        version=result["version"],
        ours=Timing(
            name="our whole chain",
            cpu_seconds=curating + refining,
            documents=pages,
            size_bytes=0,
        ),
        steps=steps,
        kept=list(result["steps"].values())[-2]["documents"],
        words=_words(words) if words else None,
    )


def check_peer(python: str) -> None:
    """Raise InputError unless the interpreter `python` has all that the peer's script imports."""
    run_python(python, "-c", "import datatrove, lxml_html_clean, spacy, trafilatura, warcio")


def run_peer(python: str, folder: Path, language_model: Path) -> dict[str, Any]:
    """Return what the peer's script prints: see `dclm_spark.measure.datatrove_peer`."""
    printed = run_python(
        python, datatrove_peer.__file__, str(folder), str(language_model.absolute())
    )
    found: dict[str, Any] = json.loads(printed.strip().splitlines()[-1])
    return found


def run_python(python: str, *arguments: str) -> str:
    """Return what the interpreter prints; InputError with its last line where it fails."""
    try:
        done = subprocess.run(
            [python, *arguments],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"--peers {python}: {error}; give a Python with datatrove") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise InputError(
            f"--peers {python}: {last}; give a Python that has datatrove[processing,io], "
            "lxml_html_clean and spacy"
        )
    return done.stdout


def _words(found: dict[str, Any]) -> Timing:
    return Timing(
        name=f"uniseg {found['version']}",
        cpu_seconds=max(found["cpu_seconds"], 1e-9),
        documents=1,
        size_bytes=found["size_bytes"],
    )
