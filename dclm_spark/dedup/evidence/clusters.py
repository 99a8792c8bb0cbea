"""Clusters as columns of the documents: who stays for a document, and for how many it stays."""

from functools import partial
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from dclm_spark.engine.checkpoints import Checkpoints, TableLayout
from dclm_spark.errors import StageError

# A chain of exact keys and near duplicates is halved each time: longer ones do not occur.
_MAX_TURNS = 40
_LINK_SIZE_BYTES = 64


def with_clusters(
    verdicts: DataFrame, working: Checkpoints, num_documents: int, chained: bool
) -> DataFrame:
    """Return `verdicts` with `cluster_id` and `cluster_size`, and a row for each who stays.

    The cluster of a removed document is named after the document that stays for it. That one has a
    row too, without a rule, whose `cluster_size` counts itself and all that it stays for. With
    `chained` the partner of a verdict may go by another verdict itself.
    """
    linked = verdicts.where(F.col("partner").isNotNull())
    links = linked.select("doc_id", F.col("partner").alias("cluster_id"))
    if chained:
        links = _followed(links, working, num_documents)
    removed = verdicts.join(links.hint("merge"), "doc_id", "left").withColumn(
        "cluster_size", F.lit(None).cast("bigint")
    )
    sizes = links.where(F.col("doc_id") != F.col("cluster_id")).groupBy("cluster_id")
    stay = sizes.agg((F.count("*") + 1).alias("cluster_size")).select(
        F.col("cluster_id").alias("doc_id"),
        *(F.lit(None).cast("string").alias(name) for name in ("rule",)),
        *(F.lit(None).cast("double").alias(name) for name in ("value", "threshold")),
        F.lit(None).cast(verdicts.schema["partner"].dataType).alias("partner"),
        "cluster_id",
        "cluster_size",
    )
    # An earlier crawl's very document is its own partner, and has a verdict.
    own = linked.where(F.col("doc_id") == F.col("partner")).select("doc_id")
    return removed.unionByName(stay.join(own.hint("merge"), "doc_id", "left_anti"))


def _followed(links: DataFrame, working: Checkpoints, num_documents: int) -> DataFrame:
    """Return links whose end stays: each turn follows them twice as far."""
    layout = TableLayout(by=("doc_id",), size_bytes=num_documents * _LINK_SIZE_BYTES)
    current = links
    for turn in range(_MAX_TURNS):
        current, facts = working.table(
            f"clusters-{turn}",
            partial(_doubled, current),
            layout,
            num_documents * _LINK_SIZE_BYTES,
            _open_links,
        )
        if facts["open"] == 0:
            return current
    raise StageError(f"clusters did not settle below {working.directory}")


def _doubled(links: DataFrame) -> DataFrame:
    further = links.select(F.col("doc_id").alias("cluster_id"), F.col("cluster_id").alias("next"))
    joined = links.join(further.hint("merge"), "cluster_id", "left")
    return joined.select("doc_id", F.coalesce("next", "cluster_id").alias("cluster_id"))


def _open_links(links: DataFrame) -> dict[str, Any]:
    """Count the links whose end goes to another one."""
    moving = links.where(F.col("doc_id") != F.col("cluster_id"))
    ends = moving.select(F.col("doc_id").alias("cluster_id"))
    return {"open": moving.join(ends.hint("merge"), "cluster_id", "left_semi").count()}
