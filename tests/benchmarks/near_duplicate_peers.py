"""Near-duplicate removal beside datatrove and rensa, on planted families with the exact answer.

python -m tests.benchmarks.near_duplicate_peers --peers PYTHON [--documents 10000]

PYTHON has the packages datatrove, spacy, tokenizers, xxhash<4 and rensa.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from dclm_spark.command import run_command
from dclm_spark.dedup.methods import DeduplicationSettings
from dclm_spark.dedup.minhash import MinHash
from dclm_spark.measure.clock import Watch
from dclm_spark.session import spark_session
from dclm_spark.stages.deduplicate import deduplicate
from tests.benchmarks import datatrove_minhash_peer, rensa_peer
from tests.benchmarks.dedup_corpus import VOCABULARY_SIZE, Words, texts_of, vocabulary
from tests.benchmarks.dedup_scale import MASTER
from tests.benchmarks.peers import run_python
from tests.benchmarks.planted_pairs import EDITS, edited
from tests.dclm_spark.dedup.committed import committed
from udfs.dedup.minhash import PRESETS
from udfs.units.documents import DOCUMENTS

THRESHOLD = 0.8
# Of each family in turn: a page alone, a page with a copy, one with an edit of each of these
# similarities, and a chain in which each is so similar to the one before.
SIMILARITIES = (0.95, 0.9, 0.7, 0.6)
CHAIN, CHAIN_LENGTH = 0.88, 6
OURS = {
    "ours, whole clusters": MinHash(signatures=PRESETS["datatrove"], threshold=THRESHOLD),
    "ours, `verify: jaccard`": MinHash(
        signatures=PRESETS["datatrove"], threshold=THRESHOLD, verify="jaccard"
    ),
    "ours, `verify: containment`, 0.95": MinHash(
        signatures=PRESETS["datatrove"], threshold=THRESHOLD, verify="containment",
        min_coverage=0.95,
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Texts, and the family of each: texts of two families have no words in common."""

    texts: list[str]
    families: list[int]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a tool left: right removals, found copies, n-grams that nobody has any more."""

    tool: str
    kept: int
    # Of the removed, the share of which a kept document is THRESHOLD alike.
    precision: float
    # Of the pairs that are THRESHOLD alike, the share of which one at most is left.
    recall: float
    # The same of pairs of equal texts.
    copies: float
    lost: float
    cpu_seconds: float


def planted(num_documents: int, seed: int = 3) -> Corpus:
    """Return about so many documents of 80 to 300 random words, in an order by chance."""
    rng = np.random.default_rng(seed)
    words: list[Words] = []
    families: list[int] = []
    while len(words) < num_documents:
        first = rng.integers(VOCABULARY_SIZE, size=rng.integers(80, 301))
        family = [first]
        kind = len(set(families)) % (len(SIMILARITIES) + 3)
        edit = EDITS[int(rng.integers(len(EDITS)))]
        if kind == 1:
            family.append(first)
        elif 2 <= kind < 2 + len(SIMILARITIES):
            family.append(edited(first, edit, SIMILARITIES[kind - 2], rng))
        elif kind > 2:
            while len(family) < CHAIN_LENGTH:
                family.append(edited(family[-1], "substitution", CHAIN, rng))
        families += [len(families)] * len(family)
        words += family
    order = rng.permutation(len(words))
    offsets = np.concatenate(([0], np.cumsum([len(words[n]) for n in order])))
    joined = np.concatenate([words[n] for n in order])
    texts = texts_of(joined, offsets, vocabulary()).to_pylist()
    return Corpus(texts=texts, families=[families[n] for n in order])


def ngrams(text: str, length: int) -> frozenset[tuple[str, ...]]:
    """Return the distinct word n-grams of a text."""
    words = text.split()
    return frozenset(tuple(words[n : n + length]) for n in range(len(words) - length + 1))


def judged(corpus: Corpus, tool: str, kept: set[int], cpu_seconds: float) -> Answer:
    """Compare what was kept (places in the corpus) with the exact similarities."""
    members: dict[int, list[int]] = {}
    for place, family in enumerate(corpus.families):
        members.setdefault(family, []).append(place)
    right, pairs, copies = [], [], []
    for family in members.values():
        alike = _alike([corpus.texts[place] for place in family])
        stays = [place in kept for place in family]
        for one in range(len(family)):
            if not stays[one]:
                right.append(bool(np.any(alike[one] & stays)))
            for two in np.flatnonzero(alike[one, :one]):
                pairs.append(not (stays[one] and stays[two]))
                if corpus.texts[family[one]] == corpus.texts[family[two]]:
                    copies.append(pairs[-1])
    every: set[tuple[str, ...]] = set()
    left: set[tuple[str, ...]] = set()
    for place, text in enumerate(corpus.texts):
        grams = ngrams(text, 13)
        every |= grams
        if place in kept:
            left |= grams
    return Answer(
        tool=tool,
        kept=len(kept),
        precision=_share(right),
        recall=_share(pairs),
        copies=_share(copies),
        lost=1 - len(left) / len(every),
        cpu_seconds=cpu_seconds,
    )


def _alike(texts: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Return which texts have a Jaccard similarity of THRESHOLD by word 5-grams, not to itself."""
    sets = [ngrams(text, 5) for text in texts]
    alike = np.zeros((len(texts), len(texts)), np.bool_)
    for one, two in combinations(range(len(texts)), 2):
        shared = len(sets[one] & sets[two])
        is_alike = shared >= THRESHOLD * (len(sets[one]) + len(sets[two]) - shared)
        alike[one, two] = alike[two, one] = is_alike
    return alike


def _share(found: Sequence[bool]) -> float:
    return sum(found) / len(found) if found else 1.0


def ours(corpus: Corpus, folder: Path) -> list[Answer]:
    """Return our answers, a session that has run each once before."""
    spark = spark_session("near_duplicate_peers", MASTER)
    spark.conf.set("spark.sql.shuffle.partitions", "2")
    warm = committed(folder / "warm", corpus.texts[:500])
    documents = committed(folder / "in", corpus.texts, num_files=1)
    found = []
    for number, (name, method) in enumerate(OURS.items()):
        settings = DeduplicationSettings(method=method, shards=2)
        deduplicate(spark, warm, DOCUMENTS, settings, str(folder / f"warm-{number}"))
        with Watch() as watch:
            output = deduplicate(spark, documents, DOCUMENTS, settings, str(folder / str(number)))
        kept = {
            place
            for file in output.files("kept/")
            for place in pq.read_table(file["uri"], columns=["warc_offset"])[0].to_pylist()
        }
        found.append(judged(corpus, name, kept, watch.cpu_seconds))
    return found


def peers(corpus: Corpus, python: str, folder: Path) -> list[Answer]:
    """Return the answers of datatrove and rensa, each run by the interpreter `python`."""
    documents = folder / "documents"
    documents.mkdir()
    lines = (json.dumps({"id": str(n), "text": text}) for n, text in enumerate(corpus.texts))
    (documents / "part.json").write_text("\n".join(lines))
    found = []
    for name, script in (("datatrove", datatrove_minhash_peer), ("rensa", rensa_peer)):
        ids = folder / f"{name}.txt"
        printed = run_python(python, script.__file__, str(documents), str(ids))
        figures = json.loads(printed.splitlines()[-1])
        seconds = figures["cpu_seconds"]
        seconds = sum(seconds.values()) if isinstance(seconds, dict) else seconds
        kept = {int(one) for one in ids.read_text().split()}
        found.append(judged(corpus, f"{name} {figures['version']}", kept, seconds))
    return found


def as_table(answers: Sequence[Answer]) -> str:
    """Return the answers as a table in Markdown."""
    lines = [
        "| tool | kept | precision | recall | full copies gone | 13-grams lost | CPU s |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.tool} | {one.kept:,} | {one.precision:.4f} | {one.recall:.4f} | "
        f"{one.copies:.4f} | {one.lost:.2%} | {one.cpu_seconds:.1f} |"
        for one in answers
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", required=True, metavar="PYTHON", help="has the peers' packages")
    parser.add_argument("--documents", type=int, default=10_000)
    given = parser.parse_args()
    corpus = planted(given.documents)
    with tempfile.TemporaryDirectory() as folder:
        theirs = peers(corpus, given.peers, Path(folder))
        print(as_table([*ours(corpus, Path(folder)), *theirs]))


if __name__ == "__main__":
    run_command(main)
