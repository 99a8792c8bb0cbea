"""Who owns a key: its first occurrence in the corpus, found by a shuffle on the key.

The occurrences of a key are one task, which for most keys is a small part of a task. A key of so
many that they would fill tasks of their own (an n-gram of a notice that every page has, a text that
half of them are, the first of a cluster of millions) would make one task grow with the corpus: its
owner is found before, by a minimum that every task takes of its own rows, and its occurrences are
spread over all tasks.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from dclm_spark.engine import shuffles
from dclm_spark.engine.checkpoints import Checkpoints, TableLayout
from dclm_spark.engine.tables import FileTable

# Of the files, one in so many is looked into for hot keys; of very many files, so many.
SAMPLED_ONE_IN, SAMPLED_FILES = 16, 64


@dataclass(frozen=True, kw_only=True)
class Occurrences:
    """Columns of a table of occurrences, and the bytes of a row of it in a shuffle.

    The least `place`, and in it the least `number` where there is one, owns the `key`.
    """

    key: str
    place: str
    number: str | None = None
    row_size_bytes: int

    @property
    def order(self) -> tuple[str, ...]:
        """Return the columns whose least values own a key."""
        return (self.place,) if self.number is None else (self.place, self.number)


@dataclass(frozen=True, kw_only=True)
class HotKeys:
    """Where hot keys are looked for: `sample` makes the table of one in so many occurrences."""

    one_in: int
    sample: Callable[[], DataFrame]

    @classmethod
    def of_files(cls, files: FileTable, occurrences: Callable[[FileTable], DataFrame]) -> Self:
        """Return those of some of `files`, of which `occurrences` makes a table."""
        one_in = files_of_sample(len(files.uris))
        part = replace(files, uris=files.uris[::one_in])
        return cls(one_in=one_in, sample=lambda: occurrences(part))

    @classmethod
    def of_texts(cls, files: FileTable, occurrences: Callable[[DataFrame], DataFrame]) -> Self:
        """Return those of texts, for which `occurrences` makes the table of `position` and `text`.

        A position says nothing of how often a key occurs: all are 0.
        """
        nowhere = F.lit(0).cast("bigint").alias("position")
        return cls.of_files(
            files, lambda part: occurrences(part.select("text").select(nowhere, "text"))
        )

    @classmethod
    def of_rows(cls, rows: DataFrame, by: str) -> Self:
        """Return those of some of `rows`, chosen by the hash of the column `by`."""
        chosen = F.pmod(F.xxhash64(by), F.lit(SAMPLED_ONE_IN)) == 0
        return cls(one_in=SAMPLED_ONE_IN, sample=lambda: rows.where(chosen))

    def owners(
        self, working: Checkpoints, columns: Occurrences, rows: DataFrame, size_bytes: int
    ) -> DataFrame | None:
        """Return the owners of hot keys (`owners_of`) in `rows`, None where no key is hot.

        `size_bytes` is what a shuffle of `rows` has.
        """
        hot = self.keys(working, columns, size_bytes)
        return None if hot is None else owners_of(hot, working, columns, rows)

    def keys(self, working: Checkpoints, columns: Occurrences, size_bytes: int) -> DataFrame | None:
        """Return the hot keys, None for none, where a shuffle has `size_bytes`.

        Of less than two tasks nothing is looked into, and else of a sample: which keys are hot
        changes no result.
        """
        if size_bytes < 2 * shuffles.PARTITION_SIZE_BYTES:
            return None
        key = columns.key
        least = shuffles.PARTITION_SIZE_BYTES / columns.row_size_bytes / self.one_in
        hot, found = working.table(
            f"hot_{key}",
            lambda: (
                self.sample()
                .groupBy(key)
                .agg(F.count("*").alias("count"))
                .where(F.col("count") >= least)
                .select(key)
            ),
            TableLayout(by=(key,)),
            size_bytes // self.one_in,
        )
        return hot if found["rows"] else None


def owners_of(
    hot: DataFrame, working: Checkpoints, columns: Occurrences, rows: DataFrame
) -> DataFrame:
    """Return the key of each of `hot` in `rows`, and its owner's order by names with `hot_`."""
    key, first = columns.key, F.min(F.struct(*columns.order)).alias("first")
    owners, _ = working.table(
        f"hot_{key}_owners",
        lambda: (
            rows.join(F.broadcast(hot), key, "left_semi")
            .groupBy(key)
            .agg(first)
            .select(key, *(F.col("first")[name].alias(f"hot_{name}") for name in columns.order))
        ),
        TableLayout(by=(key,)),
    )
    return owners


def files_of_sample(count: int) -> int:
    """Return one in how many of `count` files is looked into for hot keys."""
    return max(1, min(count, max(SAMPLED_ONE_IN, count // SAMPLED_FILES)))


def with_owners(rows: DataFrame, columns: Occurrences, hot: DataFrame | None = None) -> DataFrame:
    """Return `rows` with the place, and the number, of who owns the key (`owner`, `owner_number`).

    `hot` are the owners of hot keys, which are the same whether they are given or not.
    """
    keys, order = [columns.key], list(columns.order)
    if hot is not None:
        is_hot = F.col(f"hot_{columns.place}").isNotNull()
        rows = rows.join(F.broadcast(hot), columns.key, "left").withColumn(
            "spread", F.when(is_hot, F.xxhash64(*order))
        )
        keys.append("spread")
    first = Window.partitionBy(*keys).orderBy(*order)
    for name, value in zip(("owner", "owner_number"), order, strict=False):
        owner = F.first(value).over(first)
        rows = rows.withColumn(name, owner if hot is None else F.coalesce(f"hot_{value}", owner))
    return rows


def copies(rows: DataFrame, columns: Occurrences, hot: DataFrame | None = None) -> DataFrame:
    """Return the rows of `with_owners` that do not own their key."""
    owned = with_owners(rows, columns, hot)
    other = F.col(columns.place) != F.col("owner")
    if columns.number is not None:
        other |= F.col(columns.number) != F.col("owner_number")
    return owned.where(other)
