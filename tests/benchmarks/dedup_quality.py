"""How well near duplicates are found: bands against theory and datasketch, runs against truth."""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import SparkSession

from dclm_spark.dedup.minhash import near_duplicate_verdicts
from dclm_spark.dedup.near_duplicates import NearDuplicateSettings
from dclm_spark.engine.checkpoints import Checkpoints
from dclm_spark.measure.inputs import library
from tests.benchmarks.dedup_corpus import VOCABULARY_SIZE
from tests.benchmarks.planted_pairs import EDITS, Pairs, as_texts, edited, exact_jaccard
from udfs.dedup.minhash import (
    MinHashSettings,
    candidate_probability,
    estimated_jaccard,
    signatures,
)
from udfs.dedup.shingles import jaccard

Flags = npt.NDArray[np.bool_]
VERIFICATIONS = ("none", "sketch", "jaccard")
_CLUSTER_WORDS = 200
_CLUSTER_TYPES = "doc_id binary, crawl string, warc_path string, warc_offset bigint, text string"


@dataclass(frozen=True, kw_only=True)
class Recall:
    """Of `pairs` pairs from similarity `low` up to `high`, the share that became candidates.

    `theory` is the mean of the S-curve at their exact similarities, `error` its standard error;
    `datasketch` is the share that its MinHashLSH finds, None where it was not asked.
    """

    low: float
    high: float
    pairs: int
    found: float
    theory: float
    error: float
    datasketch: float | None = None


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Candidates verified at a threshold against the exact answer: pairs at or above it."""

    verification: str
    threshold: float
    precision: float
    recall: float
    theory: float
    error: float


@dataclass(frozen=True, kw_only=True)
class ClusterResult:
    """Documents removed from clusters of one size, each an edit of the cluster's first one."""

    size: int
    clusters: int
    to_remove: int
    removed: int
    # Of those, in the cluster of their partner, and of a cluster alike enough.
    rightly: int
    theory: float


def candidates(pairs: Pairs, settings: MinHashSettings) -> Flags:
    """Return which pairs agree in a band."""
    left, right = (signatures(side, settings) for side in (pairs.left, pairs.right))
    words = (left.num_shingles > 0) & (right.num_shingles > 0)
    return np.asarray((left.bands == right.bands).any(axis=1) & words)


def datasketch_candidates(pairs: Pairs, settings: MinHashSettings) -> Flags | None:
    """Return which pairs datasketch's MinHashLSH finds, None where it is not installed."""
    datasketch = library("datasketch")
    if datasketch is None:
        return None
    index = datasketch.MinHashLSH(
        num_perm=settings.num_rows, params=(settings.bands, settings.rows)
    )
    for number, text in enumerate(pairs.left.to_pylist()):
        index.insert(number, _sketch(datasketch, text, settings))
    return np.array(
        [
            number in index.query(_sketch(datasketch, text, settings))
            for number, text in enumerate(pairs.right.to_pylist())
        ]
    )


def _sketch(datasketch: Any, text: str, settings: MinHashSettings) -> Any:
    words, ngram = text.split(), settings.ngram
    last = max(1, len(words) - ngram + 1)
    sketch = datasketch.MinHash(num_perm=settings.num_rows)
    sketch.update_batch([" ".join(words[at : at + ngram]).encode() for at in range(last)])
    return sketch


def recall_by_similarity(
    pairs: Pairs, found: Flags, settings: MinHashSettings, edges: list[float], theirs: Flags | None
) -> list[Recall]:
    """Return the recall between each two neighbouring `edges`; the last includes similarity 1."""
    result = []
    for low, high in itertools.pairwise(edges):
        inside = (pairs.exact >= low) & ((pairs.exact < high) | (high >= 1.0))
        if not inside.any():
            continue
        theory, error = expected_recall(pairs.exact[inside], settings)
        result.append(
            Recall(
                low=low,
                high=high,
                pairs=int(inside.sum()),
                found=float(found[inside].mean()),
                theory=theory,
                error=error,
                datasketch=None if theirs is None else float(theirs[inside].mean()),
            )
        )
    return result


def expected_recall(
    exact: npt.NDArray[np.float64], settings: MinHashSettings
) -> tuple[float, float]:
    """Return the mean of the S-curve at these similarities, and its standard error."""
    chances = np.array([candidate_probability(similarity, settings) for similarity in exact])
    return float(chances.mean()), math.sqrt(float((chances * (1 - chances)).sum())) / len(exact)


def judge(pairs: Pairs, found: Flags, settings: MinHashSettings, threshold: float) -> list[Judged]:
    """Return precision and recall of each verification at a threshold."""
    alike = pairs.exact >= threshold
    theory, error = expected_recall(pairs.exact[alike], settings)
    left, right = (signatures(side, settings).sketch for side in (pairs.left, pairs.right))
    measured = {
        "none": np.ones(len(alike)),
        "sketch": estimated_jaccard(left, right),
        "jaccard": jaccard(pairs.left, pairs.right, settings.ngram),
    }
    result = []
    for verification in VERIFICATIONS:
        chosen = found & (measured[verification] >= threshold)
        right_ones = float((chosen & alike).sum())
        result.append(
            Judged(
                verification=verification,
                threshold=threshold,
                precision=right_ones / max(1, int(chosen.sum())),
                recall=right_ones / int(alike.sum()),
                theory=theory,
                error=error,
            )
        )
    return result


def measure_clusters(
    spark: SparkSession,
    sizes: dict[int, int],
    similarity: float,
    settings: NearDuplicateSettings,
    folder: str,
    unlike: int = 200,
) -> list[ClusterResult]:
    """Run near-duplicate dedup over clusters ({size: how many}) and compare with what was planted.

    Every member is its cluster's first document with edits that leave at least `similarity`. As
    many clusters of two as `unlike` are less alike than the threshold; they come back as size 1.
    """
    rng = np.random.default_rng(len(sizes))
    planted = [size for size, number in sizes.items() for _ in range(number)]
    clusters = [_cluster(size, similarity, similarity, rng) for size in planted]
    far = settings.threshold - 0.2
    clusters += [_cluster(2, far, 0.0, rng) for _ in range(unlike)]
    known_sizes = [*planted, *([1] * unlike)]
    documents, owners = [], []
    for number, (members, _) in enumerate(clusters):
        documents += members
        owners += [number] * len(members)
    partners = _partners(spark, as_texts(documents), settings, folder)
    result = []
    for size in [*sizes, 1]:
        chosen = {number for number, known in enumerate(known_sizes) if known == size}
        removed = [row for row in partners if owners[row] in chosen]
        rightly = sum(size > 1 and owners[row] == owners[partners[row]] for row in removed)
        similar = [s for n in chosen for s in clusters[n][1]] if size > 1 else []
        theory = expected_recall(np.array(similar), settings.signatures)[0] if similar else 0.0
        result.append(
            ClusterResult(
                size=size,
                clusters=len(chosen),
                to_remove=len(similar),
                removed=len(removed),
                rightly=rightly,
                theory=theory,
            )
        )
    return result


def _cluster(
    size: int, similarity: float, least: float, rng: np.random.Generator
) -> tuple[list[Any], list[float]]:
    """Return the documents of a cluster, and the similarity of each to the first one."""
    first = rng.integers(VOCABULARY_SIZE, size=_CLUSTER_WORDS)
    members, similarities = [first], []
    while len(members) < size:
        kind = EDITS[len(members) % len(EDITS)]
        # Rounding to whole edits would fall below; a truncation is the same text every time.
        wanted = rng.uniform(similarity, 1.0) if kind == "truncation" else similarity + 0.01
        member = edited(first, kind, wanted, rng)
        exact = exact_jaccard(first.tolist(), member.tolist())
        if exact >= least:
            members.append(member)
            similarities.append(exact)
    return members, similarities


def _partners(
    spark: SparkSession, texts: pa.Array, settings: NearDuplicateSettings, folder: str
) -> dict[int, int]:
    """Return, of every removed document, the one that stays in its place, both as row numbers."""
    # Names in no order, so that the first document of a cluster is not the least of its buckets.
    names = np.random.default_rng(7).permutation(len(texts)).tolist()
    rows = [
        (bytearray(name.to_bytes(16, "big")), "a", "w", row, text)
        for row, (name, text) in enumerate(zip(names, texts.to_pylist(), strict=True))
    ]
    frame = spark.createDataFrame(rows, _CLUSTER_TYPES)
    numbers = {name: row for row, name in enumerate(names)}
    working = Checkpoints(spark=spark, directory=folder, key="planted")
    found = near_duplicate_verdicts(frame, settings, working)

    def number(name: bytes) -> int:
        return numbers[int.from_bytes(name, "big")]

    pairs = found.select("doc_id", "partner").toLocalIterator()
    return {number(row["doc_id"]): number(row["partner"]) for row in pairs}
