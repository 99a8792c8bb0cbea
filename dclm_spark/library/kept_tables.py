"""Tables between the steps of a search, in Spark's own memory and disks."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from dclm_spark.engine.checkpoints import Checkpoints, Facts, TableLayout
from dclm_spark.engine.tables import Extent

_NOT_ASKED = Extent(key="", num_rows=0, text_size_bytes=0)
Kept = dict[tuple[str, str, str], tuple[DataFrame, dict[str, Any]]]


@dataclass(frozen=True, kw_only=True)
class KeptTables(Checkpoints):
    """Tables of one call: they go when nobody holds the frames that are made of them.

    Nothing is written to a folder, so nothing is found again by another call.
    """

    directory: str = ""
    key: str = ""
    tables: Kept = field(default_factory=dict)

    def table(
        self,
        name: str,
        build: Callable[[], DataFrame],
        layout: TableLayout,
        shuffled_size_bytes: int = 0,
        facts: Facts = lambda _: {},
    ) -> tuple[DataFrame, dict[str, Any]]:
        """Return the table `name` and its facts, building it where this call has not.

        How it is cut is left to the user's session.
        """
        place = (self.directory, self.key, name)
        if place not in self.tables:
            rows = build().localCheckpoint(eager=True)
            self.tables[place] = rows, {"rows": rows.count(), **facts(rows)}
        return self.tables[place]


@dataclass(frozen=True)
class FrameDocuments:
    """The rows of a frame, whose extent is not asked for: `KeptTables` need none."""

    frame: DataFrame
    extent: Extent = _NOT_ASKED

    @property
    def columns(self) -> list[str]:
        """Return the names of the columns."""
        return list(self.frame.columns)

    def select(self, *names: str) -> DataFrame:
        """Return these columns of all rows."""
        return self.frame.select(*names)


def kept_tables(frame: DataFrame) -> KeptTables:
    """Return an empty set of tables in the session of a frame."""
    spark: SparkSession = frame.sparkSession
    return KeptTables(spark=spark)
