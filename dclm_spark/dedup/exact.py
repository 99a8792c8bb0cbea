"""Exact duplicates: documents with the same text, or the same normalised URL."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from dclm_spark.dedup.method import ORDER, DedupInput, DedupMethod
from dclm_spark.engine.tables import read_files
from dclm_spark.errors import SettingError
from udfs.dedup.exact_keys import STEPS, keys_by_step
from udfs.rules.urls import normalized_urls

EXACT_KEYS = ("text", "url")

_PLACED = (
    pa.field("doc_id", pa.binary()),
    pa.field("crawl", pa.string()),
    pa.field("warc_path", pa.string()),
    pa.field("warc_offset", pa.int64()),
)
# What is read for a key: the hash that documents have of their text, unless it is changed first.
_SOURCES = {"text": pa.field("text", pa.large_string()), "url": pa.field("url", pa.string())}
_TEXT_HASH = pa.field("text_hash", pa.binary())
_KEYED = pa.schema([*_PLACED, pa.field("keys", pa.list_(pa.binary()))])


@dataclass(frozen=True, kw_only=True)
class ExactOnly(DedupMethod):
    """Nothing more than the exact keys."""

    compares: ClassVar[bool] = False


def exact_verdicts(
    given: DedupInput,
    keys: tuple[str, ...],
    steps: Mapping[str, tuple[str, ...]] | None = None,
) -> DataFrame | None:
    """Return a verdict for each document whose text or URL occurs earlier in the declared order.

    The first in order of (crawl, WARC path, offset) stays. One shuffle of ids and keys per key;
    texts are read only where they have `steps` (`udfs.dedup.exact_keys`), and not shuffled. The
    rule names the step that made the two the same. A document that is a copy by several keys gets
    the verdict of the first key in `keys`; without keys the result is None.
    """
    unknown = [key for key in keys if key not in EXACT_KEYS]
    if unknown:
        raise SettingError(
            f"deduplication.exact = {unknown[0]!r}: allowed are {', '.join(EXACT_KEYS)}"
        )
    verdicts: DataFrame | None = None
    for key in keys:
        found = _copies(given, key, (steps or {}).get(key, ()))
        verdicts = found if verdicts is None else joined_verdicts(verdicts, found)
    return verdicts


def joined_verdicts(first: DataFrame, second: DataFrame) -> DataFrame:
    """Return the verdicts of both; a document in both has that of `first`."""
    known = first.select("doc_id").hint("merge")
    return first.unionByName(second.join(known, "doc_id", "left_anti"))


def _copies(given: DedupInput, key: str, steps: tuple[str, ...]) -> DataFrame:
    first = Window.partitionBy(F.element_at("keys", -1)).orderBy(*ORDER)
    documents = _keyed(given, key, steps).where(F.col("keys").isNotNull())
    rules = [f"duplicate_{key}"]
    rules += [f"duplicate_{key}_{step}" for step in STEPS[key] if step in steps]
    names = F.array(*map(F.lit, rules))
    owned = documents.withColumn("partner", F.first("doc_id").over(first)).withColumn(
        "owner_keys", F.first("keys").over(first)
    )
    # The first of the keys that both share.
    same = F.transform(F.arrays_zip("keys", "owner_keys"), lambda both: _alike(both))
    return owned.where(F.col("partner") != F.col("doc_id")).select(
        "doc_id",
        F.element_at(names, F.array_position(same, True).cast("int")).alias("rule"),
        F.lit(1.0).alias("value"),
        F.lit(1.0).alias("threshold"),
        "partner",
    )


def _alike(both: Column) -> Column:
    return both["keys"] == both["owner_keys"]


def _keyed(given: DedupInput, key: str, steps: tuple[str, ...]) -> DataFrame:
    """Return the place of each document with its keys, the one that is compared last."""
    source = _TEXT_HASH if key == "text" and not steps else _SOURCES[key]

    def with_keys(batch: pa.RecordBatch) -> pa.RecordBatch:
        values = batch.column(source.name)
        if steps:
            return batch.append_column("keys", keys_by_step(key, values, steps))
        found = (normalized_urls(values) if key == "url" else values).cast(pa.binary())
        lists = [None if one is None else [one] for one in found.to_pylist()]
        return batch.append_column("keys", pa.array(lists, pa.list_(pa.binary())))

    read = pa.schema([*_PLACED, source])
    return read_files(
        given.spark, given.files.uris, read, transform=with_keys, output_schema=_KEYED
    )
