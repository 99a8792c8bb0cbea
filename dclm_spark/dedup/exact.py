"""Exact duplicates: documents with the same text, or the same normalised URL."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from dclm_spark.dedup.method import ORDER, DedupInput, DedupMethod
from dclm_spark.dedup.owners import HotKeys, Occurrences, copies
from dclm_spark.engine.tables import FileTable, read_files
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
# Key, place and document as a row of Spark, where the path of a WARC has 140 bytes.
_ROW_SIZE_BYTES = 320
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
    """Return the verdicts of one key: of the documents that have it, all but the first go."""
    rows, occurrences = given.files.extent.num_rows, partial(_occurrences, key=key, steps=steps)
    documents = occurrences(given.files)
    columns = Occurrences(key=key, place="place", number="document", row_size_bytes=_ROW_SIZE_BYTES)
    hot = HotKeys.of_files(given.files, occurrences)
    owners = hot.owners(given.working, columns, documents, rows * _ROW_SIZE_BYTES)
    rules = [f"duplicate_{key}"]
    rules += [f"duplicate_{key}_{step}" for step in STEPS[key] if step in steps]
    names = F.array(*map(F.lit, rules))
    # The first of the keys that both share.
    same = F.zip_with("document.keys", "owner_number.keys", lambda one, other: one == other)
    return copies(documents, columns, owners).select(
        "document.doc_id",
        F.element_at(names, F.array_position(same, True).cast("int")).alias("rule"),
        F.lit(1.0).alias("value"),
        F.lit(1.0).alias("threshold"),
        F.col("owner_number.doc_id").alias("partner"),
    )


def _occurrences(files: FileTable, key: str, steps: tuple[str, ...]) -> DataFrame:
    """Return for each document that has the key its last form, named `key`, place and document."""
    keyed = _keyed(files, key, steps).where(F.col("keys").isNotNull())
    return keyed.select(
        F.element_at("keys", -1).alias(key),
        F.struct(*ORDER).alias("place"),
        F.struct("doc_id", "keys").alias("document"),
    )


def _keyed(files: FileTable, key: str, steps: tuple[str, ...]) -> DataFrame:
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
    return read_files(files.spark, files.uris, read, transform=with_keys, output_schema=_KEYED)
