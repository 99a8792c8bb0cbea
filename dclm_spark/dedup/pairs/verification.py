"""Verification of candidate pairs: the real Jaccard of their texts, or what sketches estimate."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from dclm_spark.engine.tables import Documents
from udfs.dedup.minhash import estimated_jaccard
from udfs.dedup.shingles import jaccard


def exact_similarities(pairs: DataFrame, documents: Documents, ngram: int) -> DataFrame:
    """Return (doc_id, partner, similarity) by real Jaccard of the texts' shingle sets."""
    joined = _with_both(pairs, documents.select("doc_id", "text"), "text")

    def compare(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            found = jaccard(batch.column("left_text"), batch.column("right_text"), ngram)
            yield _compared(batch, found)

    return joined.mapInArrow(compare, _pair_types(pairs))


def estimated_similarities(pairs: DataFrame, signed: DataFrame) -> DataFrame:
    """Return (doc_id, partner, similarity) as told by the sketches of signature tables."""
    joined = _with_both(pairs, signed.select("doc_id", "sketch"), "sketch")

    def compare(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            left, right = (_sketches(batch.column(f"{side}_sketch")) for side in ("left", "right"))
            yield _compared(batch, estimated_jaccard(left, right))

    return joined.mapInArrow(compare, _pair_types(pairs))


def _with_both(pairs: DataFrame, table: DataFrame, column: str) -> DataFrame:
    """Join `column` of both documents of a pair as left_ and right_ `column`.

    Both joins shuffle the whole table by its id: renamed behind the joins, it is shuffled once.
    """
    left = pairs.join(table.hint("merge"), "doc_id").withColumnRenamed(column, f"left_{column}")
    left, right = left.alias("left"), table.hint("merge").alias("right")
    return left.join(right, F.col("left.partner") == F.col("right.doc_id")).select(
        F.col("left.doc_id").alias("doc_id"),
        "partner",
        f"left_{column}",
        F.col(f"right.{column}").alias(f"right_{column}"),
    )


def _pair_types(pairs: DataFrame) -> str:
    kind = pairs.schema["doc_id"].dataType.simpleString()
    return f"doc_id {kind}, partner {kind}, similarity double"


def _compared(batch: pa.RecordBatch, similarities: npt.NDArray[np.float64]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {
            "doc_id": batch.column("doc_id"),
            "partner": batch.column("partner"),
            "similarity": pa.array(similarities),
        }
    )


def _sketches(column: pa.Array) -> npt.NDArray[np.uint8]:
    joined = np.frombuffer(b"".join(column.to_pylist()), np.uint8)
    return joined.reshape(len(column), -1) if len(column) else np.zeros((0, 1), np.uint8)
