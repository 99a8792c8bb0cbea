"""A stage that makes one unit of each file: declared as a value, run by the engine.

`FileStage.run` is everything between the files of one stage and the committed output of the next:
units and their keys, one task per unit, commit, resume, and books that balance.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import DataFrame, SparkSession

from dclm_spark.engine.code_version import code_of
from dclm_spark.engine.manifests import StageOutput, Unit, unit_key
from dclm_spark.engine.stage import REMOVE, UnitRules, run_units
from dclm_spark.engine.unit_tasks import commit_each
from udfs.storage import StoredObject
from udfs.units.commit import UnreadableInputError, failed, failed_key, report_of
from udfs.units.json_lines_output import JsonLinesOutput
from udfs.units.output import Table, UnitOutput
from udfs.units.parquet_output import ParquetOutput

# The source of a unit and its output -> None; runs on an executor, where it reads the one and
# writes the other.
Process = Callable[[dict[str, Any], UnitOutput], None]
# The same of a source that cannot be read, with the error; runs on the driver.
StandIn = Callable[[dict[str, Any], str, UnitOutput], None]
# A task that fails to read so many sources one after another stops: nobody answers any more.
_FAILURES_IN_A_ROW = 10


@dataclass(frozen=True, kw_only=True)
class UnitSource:
    """What one unit is made from: a file, or files that belong together."""

    unit: str
    # What of the files the unit's key names: a checksum, or their place in a crawl.
    identity: Any
    # JSON values for the process, such as URIs; they are no part of the key.
    source: dict[str, Any]
    # Documents that come in; None where only reading tells.
    documents: int | None = None
    # What is known of the input file; see `dclm_spark.engine.manifests.Unit`.
    stored: StoredObject | None = None


def sources_of(stage: StageOutput, prefix: str = "kept/") -> list[UnitSource]:
    """Return a source `{"uri": ...}` for each file of `stage` below `prefix`."""
    return [
        UnitSource(
            unit=file["unit"],
            identity=file["sha256"],
            source={"uri": file["uri"]},
            documents=file["rows"],
        )
        for file in stage.files(prefix)
    ]


@dataclass(frozen=True, kw_only=True)
class FileStage:
    """The declaration of a stage that makes one unit of each source, without a shuffle."""

    # The name of the stage in fates, folders, messages and the report.
    name: str
    # Columns of what `process` writes.
    schema: pa.Schema
    process: Process
    # What the output depends on besides the source.
    key: tuple[Any, ...] = ()
    # Where a unit's one table lies below the stage; None: a table for each fate.
    folder: str | None = None
    # The format of that table.
    table: Table = ParquetOutput
    # Whether a unit of which no task reports is a unit without rows, and not a failure.
    may_be_empty: bool = False
    # Tasks at a time that share all units; None: a task for each unit.
    max_tasks: int | None = None
    # What to do with units of other sources (`dclm_spark.engine.stage.UnitRules`).
    others: str = REMOVE
    # Sources are input files, which may be unreadable (`UnreadableInputError`): the others are
    # committed first. So many may be missing, and get a unit that `stand_in` writes; the next run
    # tries them again.
    max_failures: int = 0
    stand_in: StandIn | None = None
    # The fates that it counts are its own, and not those of the stage before.
    judges: bool = True

    def run(
        self, spark: SparkSession, sources: Sequence[UnitSource], directory: str
    ) -> StageOutput:
        """Commit the unit of each source below `directory`, unless it is there with its key.

        Raises StageError when a unit does not commit, and BalanceError unless each unit accounts
        for every document that comes in.
        """
        by_name = {source.unit: source for source in sources}
        # Whatever the process is, `udfs.units.output` writes its rows.
        code = code_of(self.process, "udfs.units.output")
        units = [
            Unit(
                name=name,
                key=unit_key(self.name, source.identity, *self.key, code=code),
                stored=source.stored,
            )
            for name, source in by_name.items()
        ]

        def execute(pending: list[Unit]) -> DataFrame:
            rows = [
                {
                    "unit": unit.name,
                    "key": unit.key,
                    "source": json.dumps(by_name[unit.name].source),
                }
                for unit in pending
            ]
            return commit_each(spark, rows, _Committer(self, directory).commit, self.max_tasks)

        return run_units(
            spark,
            stage=self.name,
            directory=directory,
            units=units,
            execute=execute,
            rules=self._rules(by_name, directory),
        )

    def _rules(self, sources: Mapping[str, UnitSource], directory: str) -> UnitRules:
        def stand_in(unit: Unit, error: str) -> None:
            assert self.stand_in is not None
            with UnitOutput(directory, unit.name, self.schema, folder=self.folder) as output:
                self.stand_in(sources[unit.name].source, error, output)
                output.commit(failed_key(unit.key))

        return UnitRules(
            may_be_empty=self.may_be_empty,
            documents_in={
                name: source.documents
                for name, source in sources.items()
                if source.documents is not None
            },
            others=self.others,
            suffixes=(ParquetOutput.suffix, JsonLinesOutput.suffix),
            max_failures=self.max_failures,
            stand_in=stand_in if self.stand_in else None,
            one_task_each=self.max_tasks is None,
            judges=self.judges,
        )


class _Committer:
    """Commits the units of one task, and reports those whose source cannot be read."""

    def __init__(self, stage: FileStage, directory: str) -> None:
        self._stage, self._directory = stage, directory
        self._failures_in_a_row = 0

    def commit(self, row: dict[str, str]) -> pa.RecordBatch:
        """Commit the unit of a row and return what to report of it."""
        stage, unit, key = self._stage, row["unit"], row["key"]
        # A task of several units that failed at one has committed those before it.
        if stage.max_tasks and _retried():
            done = report_of(self._directory, unit, key)
            if done is not None:
                return done
        try:
            with UnitOutput(
                self._directory, unit, stage.schema, folder=stage.folder, table=stage.table
            ) as output:
                stage.process(json.loads(row["source"]), output)
                report = output.commit(key)
        except UnreadableInputError as error:
            self._failures_in_a_row += 1
            if stage.stand_in is None or self._failures_in_a_row >= _FAILURES_IN_A_ROW:
                raise
            return failed(unit, str(error))
        self._failures_in_a_row = 0
        return report


def _retried() -> bool:
    context = TaskContext.get()
    return context is not None and context.attemptNumber() > 0
