"""Exact duplicates: documents with the same text, or the same normalised URL."""

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from dclm_spark.dedup.method import ORDER, DedupInput, DedupMethod
from dclm_spark.engine.tables import read_files
from dclm_spark.errors import SettingError
from udfs.rules.urls import normalized_urls

EXACT_KEYS = ("text", "url")

_READ = pa.schema(
    [
        pa.field("doc_id", pa.binary()),
        pa.field("crawl", pa.string()),
        pa.field("warc_path", pa.string()),
        pa.field("warc_offset", pa.int64()),
        pa.field("url", pa.string()),
        pa.field("text_hash", pa.binary()),
    ]
)
_KEYED = _READ.append(pa.field("url_key", pa.string()))


@dataclass(frozen=True, kw_only=True)
class ExactOnly(DedupMethod):
    """Nothing more than the exact keys."""

    compares: ClassVar[bool] = False


def exact_verdicts(given: DedupInput, keys: tuple[str, ...]) -> DataFrame | None:
    """Return a verdict for each document whose text or URL occurs earlier in the declared order.

    The first in order of (crawl, WARC path, offset) stays. One shuffle of ids and keys per key;
    texts are not read. A document that is a copy by several keys gets the verdict of the first
    key in `keys`; without keys the result is None.
    """
    unknown = [key for key in keys if key not in EXACT_KEYS]
    if unknown:
        raise SettingError(
            f"deduplication.exact = {unknown[0]!r}: allowed are {', '.join(EXACT_KEYS)}"
        )
    documents = read_files(
        given.spark, given.files.uris, _READ, transform=_with_url_key, output_schema=_KEYED
    )
    verdicts: DataFrame | None = None
    for key in keys:
        found = _copies(documents, "text_hash" if key == "text" else "url_key", f"duplicate_{key}")
        verdicts = found if verdicts is None else joined_verdicts(verdicts, found)
    return verdicts


def joined_verdicts(first: DataFrame, second: DataFrame) -> DataFrame:
    """Return the verdicts of both; a document in both has that of `first`."""
    known = first.select("doc_id").hint("merge")
    return first.unionByName(second.join(known, "doc_id", "left_anti"))


def _copies(documents: DataFrame, key: str, rule: str) -> DataFrame:
    first = Window.partitionBy(key).orderBy(*ORDER)
    return (
        documents.where(F.col(key).isNotNull())
        .withColumn("partner", F.first("doc_id").over(first))
        .where(F.col("partner") != F.col("doc_id"))
        .select(
            "doc_id",
            F.lit(rule).alias("rule"),
            F.lit(1.0).alias("value"),
            F.lit(1.0).alias("threshold"),
            "partner",
        )
    )


def _with_url_key(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.append_column("url_key", normalized_urls(batch.column("url")).cast(pa.string()))
