"""What dedup removed, and whether it was right: sampled pairs, precision, clusters, losses."""

import json
import logging
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dclm_spark.dedup.duplicate_lines import FEW_SENTENCES
from dclm_spark.dedup.evidence.information import information_lost
from dclm_spark.dedup.evidence.removed_pairs import (
    RemovedPair,
    cluster_sizes,
    precision,
    sample_pairs,
)
from dclm_spark.dedup.method import VERDICTS
from dclm_spark.dedup.methods import DeduplicationSettings
from dclm_spark.engine.caching import cached, uncached
from dclm_spark.engine.code_version import code_version
from dclm_spark.engine.manifests import StageOutput, unit_key
from dclm_spark.engine.tables import read_files, rows_with_ids, spark_schema, work_frame
from udfs import storage

LOGGER = logging.getLogger("dclm_spark")
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
    LOGGER.info("evidence of deduplicate: sampling what was removed, counting what is lost")
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
        "lost": information_lost(spark, documents, deduplicated, settings),
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
