"""Entries of a list of removals that name no document of the corpus, such as a misspelt domain."""

import logging
from collections.abc import Sequence

import pyarrow as pa
from pyspark.sql import SparkSession

from dclm_spark.removal.tombstones import entries_met
from udfs.units.removals import GIVEN, compared_addresses

LOGGER = logging.getLogger("dclm_spark")

# Entries of each kind that the log names.
_NAMED = 20


def unmatched_entries(
    spark: SparkSession, shards: str, number: int, entries: Sequence[tuple[str, str]]
) -> dict[str, int]:
    """Return how many entries of each kind name no document that removal `number` met.

    `entries` are (kind, value) pairs as given, of which a warning names the first of each kind.
    """
    given = {kind: list(dict.fromkeys(v for k, v in entries if k == kind)) for kind in GIVEN}
    if not any(given.values()):
        return dict.fromkeys(GIVEN, 0)
    met = entries_met(spark, shards, number)
    counts = {}
    for kind, values in given.items():
        compared = values
        if kind == "url":
            compared = compared_addresses(pa.array(values, pa.string())).to_pylist()
        pairs = zip(values, compared, strict=True)
        missing = [value for value, one in pairs if (kind, one) not in met]
        counts[kind] = len(missing)
        if missing:
            LOGGER.warning("%s", _sentence(kind, missing, len(values)))
    return counts


def _sentence(kind: str, missing: Sequence[str], given: int) -> str:
    more = len(missing) - _NAMED
    named = ", ".join(missing[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")
    return f"{len(missing):,} of {given:,} entries of --{kind}s match no document: {named}"
