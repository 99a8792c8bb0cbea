"""N-gram dedup in independent shards: a Bloom filter for each, sized from its counted n-grams."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
from pyspark.sql import functions as F

from dclm_spark.dedup.decisions import removal_by_share
from dclm_spark.dedup.method import DedupInput, DedupMethod, Removal, Remover
from dclm_spark.engine.tables import read_files
from udfs.dedup.ngrams import (
    NgramDedupSettings,
    ShardDeduplicator,
    count_ngrams,
    shard_memory_bytes,
)

_TEXTS = pa.schema([pa.field("doc_id", pa.binary()), pa.field("text", pa.string())])
_COUNTED = pa.schema([pa.field("shard", pa.int32()), pa.field("num_ngrams", pa.int64())])


@dataclass(frozen=True, kw_only=True)
class ShardedNgrams(NgramDedupSettings, DedupMethod):
    """Paragraphs, then documents, most of whose n-grams their shard had before (BFF old-both)."""

    memory_follows_shard: ClassVar[bool] = True

    def shard_facts(self, given: DedupInput) -> Mapping[int, int]:
        """Count the n-grams of each shard: one number per shard reaches the driver.

        Raises ValueError when a filter would take more than `max_memory_bytes`.
        """
        sharding = given.sharding

        def count(batch: pa.RecordBatch) -> pa.RecordBatch:
            shards = pa.array(sharding.shards_of(batch.column("doc_id")))
            counts = pa.array(count_ngrams(batch.column("text"), self))
            return pa.RecordBatch.from_arrays([shards, counts], schema=_COUNTED)

        frame = read_files(
            given.spark, given.files.uris, _TEXTS, transform=count, output_schema=_COUNTED
        )
        totals = frame.groupBy("shard").agg(F.sum("num_ngrams").alias("total")).collect()
        counts = {int(row["shard"]): int(row["total"]) for row in totals}
        for total in counts.values():
            shard_memory_bytes(total, self)
        return counts

    def remover(self, shard_fact: int, seed: int) -> Remover:
        """Return the old-both pass of a shard of `shard_fact` n-grams."""
        shard = ShardDeduplicator(shard_fact, self, seed)

        def remove(batch: pa.RecordBatch) -> Removal:
            return removal_by_share(shard.deduplicate(batch.column("text")), self.threshold)

        return remove

    def thresholds(self) -> dict[str, float]:
        """Return the share of seen n-grams above which a document goes."""
        return {"contained_ngrams": self.threshold}
