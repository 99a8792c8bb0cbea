"""Near-duplicate search: scale, quality and datatrove, as one JSON object.

python -m tests.benchmarks.dedup --documents 10000 --preset dclm --quality
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dclm_spark.command import run_command
from dclm_spark.dedup.near_duplicates import NearDuplicateSettings
from dclm_spark.errors import SettingError, StageError
from dclm_spark.session import spark_session
from tests.benchmarks import datatrove_minhash_peer
from tests.benchmarks.dedup_corpus import BLOCK_SIZE
from tests.benchmarks.dedup_quality import (
    candidates,
    datasketch_candidates,
    judge,
    measure_clusters,
    recall_by_similarity,
)
from tests.benchmarks.dedup_scale import MASTER, ScaleRun
from tests.benchmarks.peers import run_python
from tests.benchmarks.planted_pairs import Pairs, listed_pairs, planted_pairs
from udfs.dedup.coverage import MEASURES
from udfs.dedup.minhash import PRESETS
from udfs.dedup.shingles import jaccard

PEER_DOCUMENTS = 100_000
CHAINS = (100, 1_000, 10_000, 100_000)
SIMILARITIES = [0.3, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0]
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
CLUSTERS = {2: 200, 10: 40, 100: 10, 1_000: 2, 10_000: 1}
# datasketch signs some hundred texts a second at 1,395 permutations.
_DATASKETCH_ROWS = 2_000_000


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, measure, and print or write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, nargs="*", default=[], help="such as 10000 100000")
    parser.add_argument("--preset", choices=PRESETS, default="dclm")
    verify = ("none", *MEASURES)
    parser.add_argument("--verify", nargs="+", choices=verify, default=["none"], help="in turn")
    parser.add_argument("--chain", action="store_true", help="components of chains up to 100,000")
    parser.add_argument("--quality", action="store_true", help="precision and recall")
    parser.add_argument("--pairs", type=int, default=100_000, help="planted pairs of --quality")
    parser.add_argument("--pages", help="folder with near_duplicates.tsv, for --quality")
    parser.add_argument("--peers", metavar="PYTHON", help="a Python that has datatrove")
    parser.add_argument("--output", help="where the figures go (JSON); default: print them")
    options = parser.parse_args(arguments)
    text = json.dumps(measure(options), indent=2)
    if options.output is None:
        print(text)
    else:
        Path(options.output).write_text(text)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures asked for, by name."""
    for number in options.documents:
        if number < 1 or number % BLOCK_SIZE:
            raise SettingError(f"--documents {number}: must be a multiple of {BLOCK_SIZE}")
    found: dict[str, Any] = {}
    if options.documents:
        runs = [
            ScaleRun(num_documents=n, preset=options.preset, verify=verify)
            for n in options.documents
            for verify in options.verify
        ]
        found["scale"] = [in_own_process(run) for run in runs]
    if options.chain:
        found["chain"] = [in_own_process(ScaleRun(num_documents=n, chain=True)) for n in CHAINS]
    if options.quality:
        found["quality"] = quality(options.preset, options.pairs, options.pages)
    if options.peers:
        found["peers"] = beside_datatrove(options.peers)
    if not found:
        raise SettingError("nothing to measure: give --documents, --chain, --quality or --peers")
    return found


def in_own_process(settings: ScaleRun) -> dict[str, Any]:
    """Return the figures of a run (`tests.benchmarks.dedup_scale`). Raises StageError."""
    command = [sys.executable, "-m", "tests.benchmarks.dedup_scale", json.dumps(asdict(settings))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise StageError(f"the run over {settings.num_documents} documents failed; see above")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def beside_datatrove(python: str) -> dict[str, Any]:
    """Return our figures, datatrove's, and how many times our CPU it takes, same documents."""
    run_python(python, "-c", "import datatrove, spacy")
    with tempfile.TemporaryDirectory() as folder:
        documents = f"{folder}/documents"
        ours = in_own_process(
            ScaleRun(num_documents=PEER_DOCUMENTS, preset="datatrove", export=documents)
        )
        printed = run_python(python, datatrove_minhash_peer.__file__, documents)
    theirs = json.loads(printed.splitlines()[-1])
    ratio = sum(theirs["cpu_seconds"].values()) / ours["cpu_seconds"]
    return {"ours": ours, "datatrove": theirs, "ratio": ratio}


def quality(preset: str, num_pairs: int, pages: str | None) -> dict[str, Any]:
    """Return recall by similarity, verified precision, clusters, and the listed real pairs."""
    settings = PRESETS[preset]
    pairs = planted_pairs(num_pairs)
    found = candidates(pairs, settings)
    few = slice(0, min(num_pairs, _DATASKETCH_ROWS // settings.num_rows))
    some = Pairs(left=pairs.left[few], right=pairs.right[few], exact=pairs.exact[few])
    theirs = datasketch_candidates(some, settings)
    result: dict[str, Any] = {
        "recall": recall_by_similarity(pairs, found, settings, SIMILARITIES, None),
        "datasketch": recall_by_similarity(some, found[few], settings, SIMILARITIES, theirs),
        "judged": [row for t in THRESHOLDS for row in judge(pairs, found, settings, t)],
    }
    if pages is not None:
        left, right = listed_pairs(Path(pages))
        real = Pairs(left=left, right=right, exact=jaccard(left, right, settings.ngram))
        flags = candidates(real, settings)
        result["real"] = [row for t in THRESHOLDS[1:] for row in judge(real, flags, settings, t)]
    spark = spark_session("dedup", MASTER)
    near = NearDuplicateSettings(signatures=settings)
    for similarity in (0.85, 0.95):
        with tempfile.TemporaryDirectory() as folder:
            result[f"clusters at {similarity}"] = measure_clusters(
                spark, CLUSTERS, similarity, near, folder
            )
    return {name: [asdict(row) for row in rows] for name, rows in result.items()}


if __name__ == "__main__":
    run_command(main)
