"""A limit on what dedup may take of one source, domain or language, and what happens beyond it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dclm_spark.engine.tables import read_files
from dclm_spark.errors import LimitError
from udfs.checks import FRACTION, at_least, check, one_of
from udfs.rules.urls import hosts

LOGGER = logging.getLogger("dclm_spark")
ACTIONS = ("stop", "warn")
GROUPS = ("source", "domain", "language")
_NAMED_GROUPS, _NAMED_CLUSTERS = 10, 5
_READ = pa.schema(
    [
        pa.field("doc_id", pa.binary()),
        pa.field("crawl", pa.string()),
        pa.field("url", pa.string()),
        pa.field("language", pa.string()),
    ]
)


@dataclass(frozen=True, kw_only=True)
class GuardSettings:
    """The most that may go of each source (crawl), domain or language; None: anything may.

    "stop" ends the run: before anything is removed where whole documents are judged (exact keys,
    minhash), before a later stage reads what is left by the other methods. "warn" says so,
    as "stop" does in mode "annotate", where nothing is removed.
    """

    # The most that may go, as a share of the documents of a group; None: anything may.
    max_removed_share: float | None = None
    # What makes a group.
    by: tuple[str, ...] = GROUPS
    # Smaller groups are let be.
    min_documents: int = 100
    # What is done beyond the limit.
    action: str = "stop"

    def __post_init__(self) -> None:
        """Check every value."""
        check(self, max_removed_share=FRACTION, action=one_of(ACTIONS), min_documents=at_least(1))
        if not self.by or not set(self.by) <= set(GROUPS):
            raise ValueError(f"by = {list(self.by)}: expected any of {', '.join(GROUPS)}")


def check_removals(
    spark: SparkSession, uris: Sequence[str], columns: Sequence[str], removed: DataFrame,
    guard: GuardSettings,
) -> None:  # fmt: skip
    """Compare what `removed` (doc_id, partner) takes of each group with the guard.

    `uris` are the files of all documents, with these `columns`; texts are not read. Raises
    LimitError that names the groups and the largest clusters of the worst one.
    """
    if guard.max_removed_share is None:
        return
    gone = removed.select("doc_id", "partner", F.lit(1).alias("is_removed"))
    marked = _documents(spark, uris, columns).join(gone.hint("merge"), "doc_id", "left")
    groups = F.array(
        *(F.struct(F.lit(name).alias("kind"), F.col(name).alias("name")) for name in guard.by)
    )
    counted = (
        marked.select(F.explode(groups).alias("group"), "is_removed")
        .where(F.col("group.name").isNotNull())
        .groupBy("group.kind", "group.name")
        .agg(F.count("*").alias("documents"), F.count("is_removed").alias("removed"))
        .where(F.col("documents") >= guard.min_documents)
        .withColumn("share", F.col("removed") / F.col("documents"))
        .where(F.col("share") > guard.max_removed_share)
    )
    found = counted.orderBy(F.desc("share"), F.desc("documents"), "kind", "name")
    worst = [row.asDict() for row in found.limit(_NAMED_GROUPS).collect()]
    if worst:
        _act(guard, worst, _clusters(marked, worst[0]))


def _documents(spark: SparkSession, uris: Sequence[str], columns: Sequence[str]) -> DataFrame:
    """Return (doc_id, url, source, domain, language) of all documents."""
    read = pa.schema([one for one in _READ if one.name in columns])
    result = pa.schema([*_READ, pa.field("domain", pa.string())])

    def with_groups(batch: pa.RecordBatch) -> pa.RecordBatch:
        if "language" not in batch.schema.names:
            batch = batch.append_column("language", pa.nulls(batch.num_rows, pa.string()))
        return batch.append_column("domain", hosts(batch.column("url")).cast(pa.string()))

    rows = read_files(spark, uris, read, transform=with_groups, output_schema=result)
    return rows.withColumnRenamed("crawl", "source")


def _clusters(marked: DataFrame, group: dict[str, Any]) -> list[tuple[int, str]]:
    """Return how many documents of a group the largest clusters took, and who stays for them."""
    taken = marked.where((F.col(group["kind"]) == group["name"]) & (F.col("is_removed") == 1))
    sizes = taken.groupBy("partner").agg(F.count("*").alias("documents"))
    largest = sizes.orderBy(F.desc("documents"), "partner").limit(_NAMED_CLUSTERS)
    stay = marked.select(F.col("doc_id").alias("partner"), "url")
    rows = largest.join(stay.hint("merge"), "partner", "left").collect()
    rows.sort(key=lambda row: (-row["documents"], row["url"] or ""))
    return [(row["documents"], row["url"] or "others (no single document)") for row in rows]


def _act(
    guard: GuardSettings, worst: list[dict[str, Any]], clusters: list[tuple[int, str]]
) -> None:
    groups = "; ".join(
        f"{row['kind']} {row['name']}: {row['removed']:,} of {row['documents']:,}" for row in worst
    )
    largest = ", ".join(f"{count:,} for {url}" for count, url in clusters)
    message = (
        f"more are duplicates than guard.max_removed_share = {guard.max_removed_share:g} allows: "
        f"{groups}. Largest clusters of the first: {largest}"
    )
    if guard.action == "warn":
        LOGGER.warning("%s", message)
        return
    raise LimitError(
        f"{message}. Look at these pages, then choose another method or threshold, "
        "deduplication.minhash.verify=containment, a larger "
        "deduplication.guard.max_removed_share, or deduplication.guard.action=warn"
    )
