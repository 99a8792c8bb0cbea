"""What dedup removed, and whether it was right: sampled pairs, precision, clusters, domains."""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dclm_spark.dedup.duplicate_lines import FEW_SENTENCES
from dclm_spark.dedup.method import VERDICTS
from dclm_spark.dedup.methods import DeduplicationSettings
from dclm_spark.engine.caching import cached, uncached
from dclm_spark.engine.code_version import code_version
from dclm_spark.engine.manifests import StageOutput, unit_key
from dclm_spark.engine.tables import read_files, rows_with_ids, spark_schema, work_frame
from udfs import storage
from udfs.dedup.shingles import shingle_hashes


@dataclass(frozen=True, kw_only=True)
class RemovedPair:
    """A removed document beside the one that stays in its place.

    `jaccard` compares their shingle sets; `containment` is the share of the removed document's
    shingles that the partner has, which is what n-gram dedup claims.
    """

    doc_id: bytes
    partner: bytes
    rule: str
    value: float
    threshold: float
    jaccard: float
    containment: float
    url: str
    text: str
    partner_url: str
    partner_text: str


@dataclass(frozen=True, kw_only=True)
class Precision:
    """How many of the sampled removals were right, with a 95 % Wilson interval of the share."""

    sampled: int
    right: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """Return right / sampled, 1 for an empty sample."""
        return self.right / self.sampled if self.sampled else 1.0


def sample_pairs(
    verdicts: DataFrame,
    find: Callable[[list[bytes]], DataFrame],
    size: int,
    ngram: int = 5,
    seed: int = 0,
) -> list[RemovedPair]:
    """Return up to `size` removed documents per rule, with their partners and similarities.

    The sample is chosen by a hash of (seed, doc_id): the same for any partitioning. `find` returns
    (doc_id, url, text) of the few documents with the given ids; pairs whose partner it does not
    find, as those of earlier crawls, are left out.
    """
    keyed = verdicts.where(F.col("partner").isNotNull()).withColumn(
        "sample_key", F.xxhash64(F.lit(seed), "doc_id")
    )
    rules = [row["rule"] for row in keyed.select("rule").distinct().orderBy("rule").collect()]
    chosen = [
        row
        for rule in rules
        for row in keyed.where(F.col("rule") == rule)
        .orderBy("sample_key", "doc_id")
        .limit(size)
        .collect()
    ]
    ids = {bytes(row[name]) for row in chosen for name in ("doc_id", "partner")}
    found = {
        bytes(row["doc_id"]): (row["url"] or "", row["text"] or "")
        for row in (find(sorted(ids)).collect() if ids else ())
    }
    return _compared([row.asDict() for row in chosen], found, ngram)


def _compared(
    chosen: list[dict[str, Any]], pages: dict[bytes, tuple[str, str]], ngram: int = 5
) -> list[RemovedPair]:
    """Measure the pairs of `chosen` (verdicts) of which both pages (url, text) are there."""
    known = [row for row in chosen if {bytes(row["doc_id"]), bytes(row["partner"])} <= set(pages)]
    left = pa.array([pages[bytes(row["doc_id"])][1] for row in known], pa.string())
    right = pa.array([pages[bytes(row["partner"])][1] for row in known], pa.string())
    return [
        RemovedPair(
            doc_id=bytes(row["doc_id"]),
            partner=bytes(row["partner"]),
            rule=row["rule"],
            value=row["value"],
            threshold=row["threshold"],
            jaccard=jaccard,
            containment=containment,
            url=pages[bytes(row["doc_id"])][0],
            text=pages[bytes(row["doc_id"])][1],
            partner_url=pages[bytes(row["partner"])][0],
            partner_text=pages[bytes(row["partner"])][1],
        )
        for row, (jaccard, containment) in zip(
            known, _similarities(left, right, ngram), strict=True
        )
    ]


def _similarities(left: pa.Array, right: pa.Array, ngram: int) -> list[tuple[float, float]]:
    (a, a_offsets), (b, b_offsets) = shingle_hashes(left, ngram), shingle_hashes(right, ngram)
    result = []
    for row in range(len(left)):
        # Texts without a word have no shingles, but equal ones are copies.
        if left[row].equals(right[row]):
            result.append((1.0, 1.0))
            continue
        mine = np.unique(a[a_offsets[row] : a_offsets[row + 1]])
        theirs = np.unique(b[b_offsets[row] : b_offsets[row + 1]])
        both = len(np.intersect1d(mine, theirs, assume_unique=True))
        either = len(mine) + len(theirs) - both
        jaccard = both / either if either else 0.0
        result.append((jaccard, both / len(mine) if len(mine) else 0.0))
    return result


def precision(similarities: list[float], threshold: float) -> Precision:
    """Return the share of measured similarities that reach `threshold`."""
    right = sum(similarity >= threshold for similarity in similarities)
    low, high = _wilson(right, len(similarities))
    return Precision(sampled=len(similarities), right=right, low=low, high=high)


def _wilson(right: int, sampled: int, deviations: float = 1.96) -> tuple[float, float]:
    if sampled == 0:
        return 0.0, 1.0
    share, square = right / sampled, deviations**2
    middle = (share + square / (2 * sampled)) / (1 + square / sampled)
    spread = share * (1 - share) / sampled + square / (4 * sampled**2)
    half = deviations * math.sqrt(spread) / (1 + square / sampled)
    return max(0.0, middle - half), min(1.0, middle + half)


def cluster_sizes(verdicts: DataFrame) -> DataFrame:
    """Return (rule, documents, clusters): how many clusters have that many documents or more.

    A cluster is a survivor and all that it stands for, so its size is at least 2. `documents` is
    rounded down to a power of two, so that there are few rows.
    """
    found = verdicts.where(F.col("partner").isNotNull())
    sizes = found.groupBy("rule", "partner").agg((F.count("*") + 1).alias("documents"))
    power = F.expr("shiftleft(1L, length(bin(documents)) - 1) AS documents")
    return sizes.groupBy("rule", power).agg(F.count("*").alias("clusters"))


PAIRS_PER_RULE = 50
SHOWN_PAIRS_PER_RULE = 5
SHOWN_CHARACTERS = 2000
# Of a URL's copies the text may differ; what they share is told at the paper's threshold.
_URL_SIMILARITY = 0.8
_DOCUMENTS = pa.schema([("doc_id", pa.binary()), ("url", pa.string()), ("text", pa.large_string())])
_ROWS = pa.schema(
    [
        *VERDICTS,
        pa.field("duplicate_rule", pa.string()),
        pa.field("duplicate_value", pa.float64()),
        pa.field("removed_windows", pa.int64()),
        pa.field("removed_size_bytes", pa.int64()),
    ]
)


def dedup_evidence(
    spark: SparkSession,
    documents: StageOutput,
    deduplicated: StageOutput,
    settings: DeduplicationSettings,
) -> dict[str, Any]:
    """Return pairs, precision by rule, cluster sizes and removed bytes of a dedup stage.

    Only bounded samples and counts reach the driver. The result is written beside the stage and
    read again while both stages hold the same data.
    """
    uri = f"{deduplicated.directory}-evidence.json"
    key = unit_key(
        "evidence",
        documents.fingerprint,
        deduplicated.fingerprint,
        settings,
        code=code_version(__name__),
    )
    if storage.exists(uri):
        stored: dict[str, Any] = json.loads(storage.read_bytes(uri))
        if stored["key"] == key:
            return stored
    rows = cached(_rows(spark, deduplicated, settings))
    # A page of too few sentences lost lines to many pages and is a copy of none.
    verdicts = rows.where(F.col("rule") != FEW_SENTENCES)
    pairs = sample_pairs(verdicts, lambda ids: _pages(spark, documents, ids), PAIRS_PER_RULE)
    clusters = cluster_sizes(verdicts).orderBy("rule", "documents").collect()
    found = {
        "key": key,
        "pairs": [_shown(pair) for pair in _first_of_rules(pairs)],
        "precision": _precision(pairs),
        "clusters": [[row["rule"], row["documents"], row["clusters"]] for row in clusters],
        "paragraphs": _paragraphs(rows),
    }
    uncached(rows)
    storage.write_bytes(uri, json.dumps(found, sort_keys=True).encode())
    return found


def _rows(
    spark: SparkSession, deduplicated: StageOutput, settings: DeduplicationSettings
) -> DataFrame:
    """Return the verdicts that were carried out or, in annotate mode, noted; rule null if none."""
    uris = [file["uri"] for fate in ("kept/", "dropped/") for file in deduplicated.files(fate)]
    noted = F.col("duplicate_rule")
    limit = F.lit(1.0)
    for rule, threshold in settings.method.thresholds().items():
        limit = F.when(noted == rule, threshold).otherwise(limit)
    return read_files(spark, uris, _ROWS).select(
        "doc_id",
        F.coalesce("rule", noted).alias("rule"),
        F.coalesce("value", "duplicate_value").alias("value"),
        F.coalesce("threshold", limit).alias("threshold"),
        "partner",
        "removed_windows",
        "removed_size_bytes",
    )


def _pages(spark: SparkSession, documents: StageOutput, ids: list[bytes]) -> DataFrame:
    """Return the pages with the given ids; texts are read of the row groups that hold one."""
    wanted = pa.array(ids, pa.binary())
    rows = [{"uri": file["uri"]} for file in documents.files("kept/")]

    def find(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for uri in batch.column("uri").to_pylist():
                yield from rows_with_ids(uri, "doc_id", wanted, _DOCUMENTS)

    files = work_frame(spark, rows, pa.schema([("uri", pa.string())]))
    return files.mapInArrow(find, spark_schema(_DOCUMENTS))


def _paragraphs(rows: DataFrame) -> dict[str, int]:
    """Count the documents that stay but lost paragraphs, those paragraphs and their bytes."""
    lost = rows.where(F.col("rule").isNull() & (F.col("removed_windows") > 0))
    row = lost.agg(
        F.count("*").alias("documents"),
        F.coalesce(F.sum("removed_windows"), F.lit(0)).alias("paragraphs"),
        F.coalesce(F.sum("removed_size_bytes"), F.lit(0)).alias("text_bytes"),
    ).collect()[0]
    return {name: int(row[name]) for name in ("documents", "paragraphs", "text_bytes")}


def _first_of_rules(pairs: list[RemovedPair]) -> list[RemovedPair]:
    by_rule: dict[str, list[RemovedPair]] = defaultdict(list)
    for pair in pairs:
        by_rule[pair.rule].append(pair)
    return [pair for known in by_rule.values() for pair in known[:SHOWN_PAIRS_PER_RULE]]


def _shown(pair: RemovedPair) -> dict[str, Any]:
    values = asdict(pair) | {"doc_id": pair.doc_id.hex(), "partner": pair.partner.hex()}
    for name in ("text", "partner_text"):
        values[name] = values[name][:SHOWN_CHARACTERS]
    return values


def _precision(pairs: list[RemovedPair]) -> list[dict[str, Any]]:
    """Return by rule how many sampled pairs are as alike as the rule says, by their texts.

    N-gram dedup claims that the removed document is contained; the others that both are alike.
    Its partner is one owner of possibly many, so its figure is a lower bound.
    """
    measured: dict[str, list[RemovedPair]] = defaultdict(list)
    for pair in pairs:
        measured[pair.rule].append(pair)
    result = []
    for rule, known in sorted(measured.items()):
        contained = rule == "contained_ngrams"
        limit = _URL_SIMILARITY if rule == "duplicate_url" else known[0].threshold
        found = precision([p.containment if contained else p.jaccard for p in known], limit)
        measure = "containment" if contained else "Jaccard"
        result.append({"rule": rule, "measure": measure, "threshold": limit} | asdict(found))
    return result
