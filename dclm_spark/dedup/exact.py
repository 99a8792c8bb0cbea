"""Exact duplicates: documents with the same text, or the same normalised URL."""

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from dclm_spark.dedup.method import VERDICTS
from dclm_spark.engine.tables import read_files, spark_schema
from dclm_spark.errors import SettingError
from udfs.rules.urls import normalized_urls

EXACT_KEYS = ("text", "url")
ORDER = ("crawl", "warc_path", "warc_offset")

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


def exact_verdicts(spark: SparkSession, uris: list[str], keys: tuple[str, ...]) -> DataFrame:
    """Return a verdict for each document whose text or URL occurs earlier in the declared order.

    The first in order of (crawl, WARC path, offset) stays. One shuffle of ids and keys per key;
    text does not move. A document that is a copy by several keys gets the verdict of the first
    key in `keys`.
    """
    unknown = [key for key in keys if key not in EXACT_KEYS]
    if unknown:
        raise SettingError(
            f"deduplication.exact = {unknown[0]!r}: allowed are {', '.join(EXACT_KEYS)}"
        )
    documents = read_files(spark, uris, _READ, transform=_with_url_key, output_schema=_KEYED)
    verdicts = spark.createDataFrame([], spark_schema(VERDICTS))
    for key in keys:
        found = _copies(documents, "text_hash" if key == "text" else "url_key", f"duplicate_{key}")
        known = verdicts.select("doc_id")
        verdicts = verdicts.unionByName(found.join(known, "doc_id", "left_anti"))
    return verdicts


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
