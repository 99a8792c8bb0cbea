"""The tokens of a source, and those of its first documents in the order of their draws."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dclm_spark.engine.manifests import StageOutput
from dclm_spark.engine.tables import read_files, spark_schema
from dclm_spark.stages.tokenize import FOLDER, has_column
from udfs.tokens.copies import REPEATS
from udfs.tokens.mixing import COUNTS, DRAW_BITS, LEVEL_BITS, Passes, counted

_READ = pa.schema([pa.field("doc_id", pa.binary()), pa.field("num_tokens", pa.int64())])


class Totals(NamedTuple):
    """Documents, the copies of them that their recipe asks for, and the tokens of all copies.

    Tokens include an end of text for each copy.
    """

    documents: int
    copies: int
    tokens: int

    def plus(self, other: "Totals", times: int = 1) -> "Totals":
        """Return the sum with so many times the others."""
        return Totals(*(one + times * more for one, more in zip(self, other, strict=True)))


# When a part of a source is full enough, and how much may be passed over to fill it.
_MISSING_SHARE, _MOST_PASSED_OVER = 0.01, 64

# From the first bits of draws, and how many times 16 these are, to what there is by the next 16.
Count = Callable[[int, int], dict[int, Totals]]


def count_tokenized(spark: SparkSession, tokenized: StageOutput, source: str) -> Count:
    """Return what counts the documents that a source's tokenize stage committed."""
    files = tokenized.files(f"{FOLDER}/")
    schema = pa.schema([*_READ, *([REPEATS] if has_column(files, REPEATS) else [])])

    def count(prefix: int, level: int) -> dict[int, Totals]:
        if not files:
            return {}
        rows = read_files(
            spark,
            [file["uri"] for file in files],
            schema,
            transform=partial(counted, source=source, prefix=prefix, level=level),
            output_schema=COUNTS,
        )
        return _collected(rows)

    return count


def count_decided(decided: DataFrame, source: str) -> Count:
    """Return what counts documents with `doc_id`, `num_tokens` and, of some recipes, `repeats`."""

    def count(prefix: int, level: int) -> dict[int, Totals]:
        def counts(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                yield counted(batch, source, prefix, level)

        return _collected(decided.mapInArrow(counts, spark_schema(COUNTS)))

    return count


def _collected(rows: DataFrame) -> dict[int, Totals]:
    sums = [F.sum(name).alias(name) for name in COUNTS.names[1:]]
    found = rows.groupBy("bucket").agg(*sums).collect()
    return {row["bucket"]: Totals(*(int(row[name]) for name in COUNTS.names[1:])) for row in found}


class SourceCounts:
    """Counts of one source, as exact as somebody asks."""

    def __init__(self, count: Count) -> None:
        self._count = count
        self._first = count(0, 0)
        self.totals = _added(self._first)

    def first(self, tokens: int) -> tuple[Passes, Totals]:
        """Return the pass that takes at most `tokens`, and what it takes.

        Documents are taken in the order of their draws. What does not fit is passed over, by 16
        bits of draws at a time, while more than a hundredth is missing and at most 64 times; then
        it ends the pass. 16 bits of the limit are found at a time, so that no more than 65,536
        numbers are held.
        """
        filled, without, over = _filled(self._first, Totals(0, 0, 0), tokens, _MOST_PASSED_OVER)
        counts, prefix, level = self._first, 0, 0
        while over is not None:
            prefix, level = (prefix << LEVEL_BITS) | over, level + 1
            if counts[over].documents == 1 or LEVEL_BITS * level == DRAW_BITS:
                break
            counts = self._count(prefix, level)
            filled, _, over = _filled(counts, filled, tokens, 0)
            assert over is not None
        limit = prefix << (DRAW_BITS - LEVEL_BITS * level) if level else 1 << DRAW_BITS
        return Passes(whole=0, limit=limit, without=tuple(without)), filled


def _filled(
    counts: dict[int, Totals], taken: Totals, tokens: int, most_passed_over: int
) -> tuple[Totals, list[int], int | None]:
    """Add counts in their order to what is `taken` while they fit into `tokens`.

    Returns the sum, the buckets that were passed over, and the one that ended it, None for none.
    """
    passed_over: list[int] = []
    for bucket in sorted(counts):
        if taken.tokens + counts[bucket].tokens <= tokens:
            taken = taken.plus(counts[bucket])
        elif len(passed_over) < most_passed_over and (
            tokens - taken.tokens > tokens * _MISSING_SHARE
        ):
            passed_over.append(bucket)
        else:
            return taken, passed_over, bucket
    return taken, passed_over, None


def _added(counts: dict[int, Totals]) -> Totals:
    total = Totals(0, 0, 0)
    for one in counts.values():
        total = total.plus(one)
    return total
