"""Dedup where much meets in one place: CPU at two sizes, so that quadratic work would show.

python -m tests.benchmarks.hot_clusters [--documents 25000 100000]
"""

import argparse
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pyspark.sql import SparkSession

from dclm_spark.command import run_command
from dclm_spark.dedup.duplicate_lines import Lines
from dclm_spark.dedup.evidence.guard import GuardSettings
from dclm_spark.dedup.methods import DeduplicationSettings
from dclm_spark.dedup.minhash import MinHash
from dclm_spark.dedup.passages import Passages
from dclm_spark.measure.clock import Watch
from dclm_spark.session import spark_session
from dclm_spark.stages.deduplicate import deduplicate
from tests.benchmarks.dedup_corpus import texts_of, vocabulary
from tests.benchmarks.dedup_scale import MASTER
from tests.dclm_spark.dedup.committed import committed
from udfs.dedup.minhash import PRESETS
from udfs.units.documents import DOCUMENTS

_WORDS, _BLOCK = 60, 1000
_SHARED = " ".join(f"shared{n}" for n in range(40))
_MINHASH = MinHash(signatures=PRESETS["datatrove"], verify="containment")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A corpus of so many documents in which one thing is everywhere, and what looks at it."""

    texts: Callable[[int], list[str]]
    settings: DeduplicationSettings
    # How many documents are expected to stay, of so many.
    stay: Callable[[int], int]


def different(count: int) -> list[str]:
    """Return so many texts of random words."""
    table = vocabulary()
    texts: list[str] = []
    for block in range(-(-count // _BLOCK)):
        words = np.random.default_rng((1, block)).integers(len(table), size=_BLOCK * _WORDS)
        offsets = np.arange(0, (_BLOCK + 1) * _WORDS, _WORDS)
        texts += texts_of(words, offsets, table).to_pylist()
    return texts[:count]


CASES: Mapping[str, Case] = {
    "identical documents, minhash verified": Case(
        texts=lambda count: [_SHARED] * count,
        settings=DeduplicationSettings(method=_MINHASH, shards=2),
        stay=lambda count: 1,
    ),
    "a passage in every document, passages": Case(
        texts=lambda count: [f"{text} {_SHARED}" for text in different(count)],
        settings=DeduplicationSettings(method=Passages(), shards=2),
        stay=lambda count: count,
    ),
    "a line in every document, lines": Case(
        texts=lambda count: [f"{text}. One. Two. Three.\n{_SHARED}." for text in different(count)],
        settings=DeduplicationSettings(method=Lines(min_sentences=1), shards=2),
        stay=lambda count: count,
    ),
    "half of all documents one page, all of one source, minhash verified and guard": Case(
        texts=lambda count: [*different(count // 2), *([_SHARED] * (count // 2))],
        settings=DeduplicationSettings(
            method=_MINHASH,
            shards=2,
            guard=GuardSettings(max_removed_share=0.2, action="warn"),
        ),
        stay=lambda count: count // 2 + 1,
    ),
}


def measure(spark: SparkSession, case: Case, count: int, folder: Path) -> float:
    """Return the CPU seconds that a case takes with so many documents."""
    documents = committed(folder / "in", case.texts(count))
    with Watch() as watch:
        output = deduplicate(spark, documents, DOCUMENTS, case.settings, str(folder / "out"))
    kept = sum(file["rows"] for file in output.files("kept/"))
    assert kept == case.stay(count), f"{kept} of {count} documents stay"
    return watch.cpu_seconds


def as_table(found: Mapping[str, Sequence[float]], counts: Sequence[int]) -> str:
    """Return CPU seconds by case and size, and growth from the first size to the last."""
    heads = " | ".join(f"{count:,} documents" for count in counts)
    lines = [f"| case | {heads} | growth for {counts[-1] / counts[0]:g} times as many |"]
    lines.append("|---" * (len(counts) + 2) + "|")
    for name, seconds in found.items():
        cells = " | ".join(f"{one:.1f}" for one in seconds)
        lines.append(f"| {name} | {cells} | {seconds[-1] / seconds[0]:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, nargs="+", default=[25_000, 100_000])
    given = parser.parse_args()
    spark = spark_session("hot_clusters", MASTER)
    spark.conf.set("spark.sql.shuffle.partitions", "4")
    found = {}
    for name, case in CASES.items():
        seconds = []
        for count in (_BLOCK, *given.documents):
            with tempfile.TemporaryDirectory() as folder:
                seconds.append(measure(spark, case, count, Path(folder)))
        # The first run compiles.
        found[name] = seconds[1:]
        print(name, found[name], flush=True)
    print(as_table(found, given.documents))


if __name__ == "__main__":
    run_command(main)
