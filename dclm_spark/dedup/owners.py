"""Who owns a key: its first occurrence in the corpus, found by a shuffle on the key.

The occurrences of a key are one task, which for most keys is a small part of a task. A key of so
many that they would fill tasks of their own (an n-gram of a notice that every page has) would make
one task grow with the corpus: its owner is found before, by a minimum that every task takes of
its own rows, and its occurrences are spread over all tasks.
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

    The least `place`, and in it the least `number`, owns the `key`.
    """

    key: str
    place: str
    number: str
    row_size_bytes: int


@dataclass(frozen=True, kw_only=True)
class HotKeys:
    """Where hot keys are looked for: `occurrences` makes the table of a part of `files`."""

    files: FileTable
    occurrences: Callable[[FileTable], DataFrame]

    @classmethod
    def of_texts(cls, files: FileTable, occurrences: Callable[[DataFrame], DataFrame]) -> Self:
        """Return those of texts, for which `occurrences` makes the table of `position` and `text`.

        A position says nothing of how often a key occurs: all are 0.
        """
        nowhere = F.lit(0).cast("bigint").alias("position")
        return cls(
            files=files,
            occurrences=lambda part: occurrences(part.select("text").select(nowhere, "text")),
        )

    def owners(
        self, working: Checkpoints, columns: Occurrences, rows: DataFrame, size_bytes: int
    ) -> DataFrame | None:
        """Return key, `hot_place` and `hot_number` of hot keys' owners in `rows`; None for none.

        `size_bytes` is what a shuffle of `rows` has. Of less than two tasks nothing is looked into,
        and else of some files: which keys are hot changes no result.
        """
        if size_bytes < 2 * shuffles.PARTITION_SIZE_BYTES:
            return None
        key, step = columns.key, self._one_in()
        sample = replace(self.files, uris=self.files.uris[::step])
        least = shuffles.PARTITION_SIZE_BYTES / columns.row_size_bytes / step
        hot, found = working.table(
            f"hot_{key}",
            lambda: (
                self.occurrences(sample)
                .groupBy(key)
                .agg(F.count("*").alias("count"))
                .where(F.col("count") >= least)
                .select(key)
            ),
            TableLayout(by=(key,)),
            size_bytes // step,
        )
        if not found["rows"]:
            return None
        first = F.min(F.struct(columns.place, columns.number)).alias("first")
        owners, _ = working.table(
            f"hot_{key}_owners",
            lambda: (
                rows.join(F.broadcast(hot), key, "left_semi")
                .groupBy(key)
                .agg(first)
                .select(
                    key,
                    F.col("first")[columns.place].alias("hot_place"),
                    F.col("first")[columns.number].alias("hot_number"),
                )
            ),
            TableLayout(by=(key,)),
        )
        return owners

    def _one_in(self) -> int:
        files = len(self.files.uris)
        return max(1, min(files, max(SAMPLED_ONE_IN, files // SAMPLED_FILES)))


def copies(rows: DataFrame, columns: Occurrences, hot: DataFrame | None = None) -> DataFrame:
    """Return the rows of `rows` that do not own their key, with the place of who does (`owner`).

    `hot` are the owners of hot keys, which are the same whether they are given or not.
    """
    keys, place, number = [columns.key], F.col(columns.place), F.col(columns.number)
    if hot is not None:
        rows = rows.join(F.broadcast(hot), columns.key, "left").withColumn(
            "spread", F.when(F.col("hot_place").isNotNull(), F.xxhash64(place, number))
        )
        keys.append("spread")
    first = Window.partitionBy(*keys).orderBy(place, number)
    owner, owner_number = F.first(place).over(first), F.first(number).over(first)
    if hot is not None:
        owner = F.coalesce("hot_place", owner)
        owner_number = F.coalesce("hot_number", owner_number)
    owned = rows.withColumn("owner", owner).withColumn("owner_number", owner_number)
    return owned.where((place != F.col("owner")) | (number != F.col("owner_number")))
