"""A stage that makes one unit of each file: declared as a value, run by the engine.

`FileStage.run` is everything between the files of one stage and the committed output of the next:
units and their keys, one task per unit, commit, resume, and books that balance.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import DataFrame, SparkSession

from dclm_spark.engine.code_version import code_of
from dclm_spark.engine.manifests import StageOutput, Unit, unit_key
from dclm_spark.engine.stage import check_balance, commit_each, run_units
from udfs.units.commit import report_of
from udfs.units.output import UnitOutput

# The source of a unit and its output -> None; runs on an executor, where it reads the one and
# writes the other.
Process = Callable[[dict[str, Any], UnitOutput], None]


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
    # Whether a unit of which no task reports is a unit without rows, and not a failure.
    may_be_empty: bool = False
    # Tasks at a time that share all units; None: a task for each unit.
    max_tasks: int | None = None

    def run(
        self, spark: SparkSession, sources: Sequence[UnitSource], directory: str
    ) -> StageOutput:
        """Commit the unit of each source below `directory`, unless it is there with its key.

        Raises StageError when a unit does not commit, and BalanceError unless every document that
        comes in has exactly one fate.
        """
        by_name = {source.unit: source for source in sources}
        # Whatever the process is, `udfs.units.output` writes its rows.
        code = code_of(self.process, "udfs.units.output")
        units = [
            Unit(name=name, key=unit_key(self.name, source.identity, *self.key, code=code))
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
            return commit_each(spark, rows, self._committer(directory), self.max_tasks)

        output = run_units(
            spark,
            stage=self.name,
            directory=directory,
            units=units,
            execute=execute,
            may_be_empty=self.may_be_empty,
        )
        documents = [source.documents for source in by_name.values()]
        known = [count for count in documents if count is not None]
        if self.folder is None and len(known) == len(documents):
            check_balance(self.name, sum(known), output)
        return output

    def _committer(self, directory: str) -> Callable[[dict[str, str]], pa.RecordBatch]:
        def commit_row(row: dict[str, str]) -> pa.RecordBatch:
            # A task of several units that failed at one has committed those before it.
            if self.max_tasks and _retried():
                done = report_of(directory, row["unit"], row["key"])
                if done is not None:
                    return done
            output = UnitOutput(directory, row["unit"], self.schema, folder=self.folder)
            try:
                self.process(json.loads(row["source"]), output)
                return output.commit(row["key"])
            except BaseException:
                output.abandon()
                raise

        return commit_row


def _retried() -> bool:
    context = TaskContext.get()
    return context is not None and context.attemptNumber() > 0
