"""The documents stage: one unit and one task per input file, text never crosses into the JVM."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import DataFrame, SparkSession

from dclm_spark.crawl.listing import InputFile
from dclm_spark.engine.manifests import StageOutput, Unit, unit_key
from dclm_spark.engine.stage import REFUSE, REMOVE, UnitRules, run_units
from dclm_spark.engine.tasks import commit_each
from dclm_spark.errors import SettingError
from dclm_spark.settings import to_dict
from udfs.storage.stream import ReadSettings
from udfs.units.commit import failed, failed_key, report_of
from udfs.units.curate import (
    DOCUMENTS,
    CurationSettings,
    InputUnit,
    UnreadableInputError,
    curate_file,
    quarantine_file,
)

STAGE = "documents"
# Common Crawl's web server, unlike its bucket, is not made for hundreds of connections.
HTTP_READERS = 10
# A reader that fails to read so many files one after another stops: nobody answers any more.
_FAILURES_IN_A_ROW = 10
# An input file, settings; unit, key and directory by name -> the row that reports the unit.
CommitFile = Callable[..., pa.RecordBatch]


@dataclass(frozen=True, kw_only=True)
class InputLimits:
    """What a run puts up with before it fails; no part of what a recipe is."""

    # Input files that cannot be read: a run goes on without so many, with each of them in the books
    # as one quarantined document, and tries them again when it is run again.
    max_failed_inputs: int = 0

    def __post_init__(self) -> None:
        if self.max_failed_inputs < 0:
            raise SettingError(
                f"limits.max_failed_inputs = {self.max_failed_inputs}: expected 0 or more"
            )


@dataclass(frozen=True, kw_only=True)
class InputStage:
    """A stage of one unit for each input file."""

    name: str
    # The settings that a unit's content depends on.
    keyed: dict[str, Any]
    commit_file: CommitFile
    schema: pa.Schema
    # What to do with units of other inputs (`dclm_spark.engine.stage.UnitRules`).
    others: str


def curate(
    spark: SparkSession,
    inputs: Sequence[InputFile],
    settings: CurationSettings,
    directory: str,
    overwrite: bool = False,
) -> StageOutput:
    """Read, extract and judge every document of `inputs`; commit one unit per input file.

    Units of files that `inputs` lack are removed with `overwrite`, and a SettingError without.
    """
    stage = InputStage(
        name=STAGE,
        keyed=key_settings(settings),
        commit_file=curate_file,
        schema=DOCUMENTS,
        others=REMOVE if overwrite else REFUSE,
    )
    return read_inputs(spark, inputs, settings, directory, stage)


def read_inputs(
    spark: SparkSession,
    inputs: Sequence[InputFile],
    settings: CurationSettings,
    directory: str,
    stage: InputStage,
) -> StageOutput:
    """Commit one unit of `stage` per input file, as many at a time as may be read.

    Files that cannot be read are reported once all others are committed: as StageError, or where
    `settings.max_failed_inputs` allows for them, as one quarantined document each.
    """
    sources = {unit_name(file): file for file in inputs}
    units = [
        Unit(name=name, key=unit_key(stage.name, file.crawl, file.path, file.kind, stage.keyed))
        for name, file in sources.items()
    ]
    readers = max_readers(inputs, settings.extraction.reading)
    settings = _read_by(settings, readers)

    def execute(pending: list[Unit]) -> DataFrame:
        rows = [_work_row(unit, sources[unit.name]) for unit in pending]
        reader = _InputReader(stage, settings, directory, shared=readers is not None)
        return commit_each(spark, rows, reader.commit, max_tasks=readers)

    def stand_in(unit: Unit, error: str) -> None:
        file = sources[unit.name]
        source = InputUnit(crawl=file.crawl, path=file.path, uri=file.uri, kind=file.kind)
        names = {"unit": unit.name, "key": failed_key(unit.key), "directory": directory}
        quarantine_file(source, error, stage.schema, **names)

    rules = UnitRules(
        others=stage.others,
        max_failures=settings.max_failed_inputs,
        stand_in=stand_in,
        one_task_each=readers is None,
    )
    return run_units(
        spark, stage=stage.name, directory=directory, units=units, execute=execute, rules=rules
    )


class _InputReader:
    """Commits the input files of one task, and reports those that cannot be read."""

    def __init__(
        self, stage: InputStage, settings: CurationSettings, directory: str, *, shared: bool
    ) -> None:
        self._commit_file, self._settings, self._directory = stage.commit_file, settings, directory
        # A task has several files.
        self._shared = shared
        self._failures_in_a_row = 0

    def commit(self, row: dict[str, str]) -> pa.RecordBatch:
        """Commit the file of a row and return what to report of it."""
        unit, key = row.pop("unit"), row.pop("key")
        # A task of several files that failed at one has committed those before it.
        done = report_of(self._directory, unit, key) if self._shared and _retried() else None
        if done is not None:
            return done
        names = {"unit": unit, "key": key, "directory": self._directory}
        try:
            report = self._commit_file(InputUnit(**row), self._settings, **names)
        except UnreadableInputError as error:
            self._failures_in_a_row += 1
            if self._failures_in_a_row >= _FAILURES_IN_A_ROW:
                raise
            return failed(unit, str(error))
        self._failures_in_a_row = 0
        return report


def max_readers(inputs: Sequence[InputFile], reading: ReadSettings) -> int | None:
    """Return how many input files may be read at a time, None where only tasks limit it.

    Raises SettingError for a limit on requests that no number of readers can share.
    """
    by_http = any(file.uri.startswith(("http://", "https://")) for file in inputs)
    readers = reading.max_concurrent_reads or (HTTP_READERS if by_http else None)
    if readers is None and reading.max_requests_per_second:
        raise SettingError(
            f"extraction.reading.max_requests_per_second = {reading.max_requests_per_second}: set "
            "extraction.reading.max_concurrent_reads too, so that each reader knows its share"
        )
    return readers


def _read_by(settings: CurationSettings, readers: int | None) -> CurationSettings:
    reading = replace(settings.extraction.reading, max_concurrent_reads=readers or 0)
    return replace(settings, extraction=replace(settings.extraction, reading=reading))


def _retried() -> bool:
    context = TaskContext.get()
    return context is not None and context.attemptNumber() > 0


def key_settings(settings: CurationSettings) -> dict[str, Any]:
    """Return the settings that a unit's content depends on: all but how patiently it is read."""
    values = to_dict(settings)
    del values["extraction"]["reading"]
    del values["max_failed_inputs"]
    return values


def unit_name(file: InputFile) -> str:
    """Return the name of an input file's unit: readable, and unique for (crawl, path)."""
    stem = file.path.rsplit("/", 1)[-1].split(".", 1)[0][:80]
    digest = hashlib.sha256(f"{file.crawl}\0{file.path}".encode()).hexdigest()[:10]
    safe = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in stem)
    return f"{safe}-{digest}"


def _work_row(unit: Unit, file: InputFile) -> dict[str, Any]:
    return {
        "unit": unit.name,
        "key": unit.key,
        "crawl": file.crawl,
        "path": file.path,
        "uri": file.uri,
        "kind": file.kind,
    }
