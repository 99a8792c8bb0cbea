"""Connected components by alternating large-star and small-star, as DataFrame shuffles.

Kiveris et al. 2014. Every step is one shuffle whose tasks stream sorted rows, so memory does not
depend on the size of a component; every round is written, so that a killed run goes on from it.
"""

import logging
from functools import partial
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from dclm_spark.dedup.owners import HotKeys, Occurrences, owners_of, with_owners
from dclm_spark.engine.checkpoints import Checkpoints, TableLayout
from dclm_spark.errors import StageError

LOGGER = logging.getLogger(__name__)

# Rounds grow with the logarithm of the diameter; more than this many means a defect.
MAX_ROUNDS = 100
# An edge as a row of Spark.
_EDGE_SIZE_BYTES = 64
# The least neighbour owns a node.
_NODES = Occurrences(key="u", place="v", row_size_bytes=_EDGE_SIZE_BYTES)


def connected_components(
    edges: DataFrame, working: Checkpoints, most_edges: int = 0
) -> tuple[DataFrame, int]:
    """Return (members, rounds): `doc_id` and `component`, the least doc_id it is connected to.

    `edges` has the columns (doc_id, partner), in any direction and number; a document without an
    edge is no member. The key of `working` names what the edges depend on; rounds written below
    its folder under the same key are used again. `most_edges` (an upper estimate) says into how
    many tasks the first round is cut.
    """
    pairs = edges.select(F.col("doc_id").alias("u"), F.col("partner").alias("v"))
    pairs = pairs.where(F.col("u") != F.col("v"))
    size = most_edges * _EDGE_SIZE_BYTES
    current, facts = working.table(
        "round-000", pairs.distinct, _layout(most_edges), size, _fingerprint
    )
    for number in range(1, MAX_ROUNDS + 1):
        previous, before = current, facts
        current, facts = working.table(
            f"round-{number:03d}",
            partial(_starred, previous, working.keyed(str(number)), before["edges"]),
            _layout(before["edges"]),
            2 * before["edges"] * _EDGE_SIZE_BYTES,
            _fingerprint,
        )
        LOGGER.info("clusters of copies: round %d, %d links", number, facts["edges"])
        if facts == before:
            return _members(current), number
    raise StageError(
        f"components did not settle within {MAX_ROUNDS} rounds below {working.directory}"
    )


def _layout(edges: int) -> TableLayout:
    return TableLayout(by=("u",), size_bytes=edges * _EDGE_SIZE_BYTES)


def _fingerprint(edges: DataFrame) -> dict[str, Any]:
    """Return numbers that two different sets of edges do not share."""
    total = F.sum(F.xxhash64("u", "v").cast("decimal(38,0)")).cast("string")
    row = edges.agg(F.count("*").alias("edges"), total.alias("hash")).collect()[0]
    return {"edges": row["edges"], "hash": row["hash"]}


def _starred(edges: DataFrame, working: Checkpoints, num_edges: int) -> DataFrame:
    """Return the edges after a large and a small star; a node of very many is spread over tasks."""
    both = edges.union(edges.select(F.col("v").alias("u"), F.col("u").alias("v")))
    # A small star's node has no more neighbours than it had before the large one.
    hot = HotKeys.of_rows(both, "v").keys(working, _NODES, 2 * num_edges * _EDGE_SIZE_BYTES)
    owners = None if hot is None else owners_of(hot, working.below("large"), _NODES, both)
    down = _large_star(with_owners(both, _NODES, owners))
    if hot is not None:
        owners = owners_of(hot, working.below("small"), _NODES, down)
    return _small_star(with_owners(down, _NODES, owners))


def _large_star(both: DataFrame) -> DataFrame:
    """Connect the larger neighbours of every node to the least of node and neighbours.

    `both` has each edge in both directions, and the least neighbour (`owner`) of `u`. Each edge of
    the result leads to the lesser node.
    """
    return both.where(F.col("v") > F.col("u")).select(
        F.col("v").alias("u"), F.least("u", "owner").alias("v")
    )


def _small_star(down: DataFrame) -> DataFrame:
    """Connect every node and its lesser neighbours to the least of those neighbours (`owner`)."""
    node = F.when(F.col("v") == F.col("owner"), F.col("u")).otherwise(F.col("v"))
    return down.select(node.alias("u"), F.col("owner").alias("v")).distinct()


def _members(stars: DataFrame) -> DataFrame:
    leaves = stars.select(F.col("u").alias("doc_id"), F.col("v").alias("component"))
    centres = stars.select(F.col("v").alias("doc_id"), F.col("v").alias("component"))
    return leaves.union(centres.distinct())
