"""Running a stage: skip what is committed, run the rest, check the books, log one line."""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame, SparkSession

from dclm_spark.engine.books import STAGE_MANIFEST, check_balance, refuse
from dclm_spark.engine.manifests import (
    Unit,
    committed_names,
    file_of_unit,
    read_committed,
    remove_stale,
    uncommit,
)
from dclm_spark.engine.monitoring.progress import SEEN, UnitProgress, progress
from dclm_spark.engine.stage_output import StageOutput, UnitRows
from dclm_spark.engine.totals import stage_totals
from dclm_spark.engine.unit_tasks import JobError, run_tasks
from dclm_spark.errors import SettingError, StageError
from udfs import storage
from udfs.units.commit import FORMAT_VERSION, UnitClock, commit, failed_key
from udfs.units.statistics import documents_by_fate

LOGGER = logging.getLogger("dclm_spark")
TOP_RULES = 3
# How many units and failed inputs a message names.
NAMED_UNITS = 3
NAMED_FAILURES = 10
REMOVE, REFUSE, KEEP = "remove", "refuse", "keep"


@dataclass(frozen=True, kw_only=True)
class UnitRules:
    """What a stage allows its units to be; the defaults allow nothing unusual."""

    # A unit of which no task hears has no rows (a shard of few documents), and is committed empty.
    may_be_empty: bool = False
    # How many documents came in: for units by their names, or for all together.
    documents_in: Mapping[str, int] | int | None = None
    # Says of each unit that is not what it should be what is wrong.
    check: Callable[[StageOutput], Mapping[str, str]] | None = None
    # Committed units that this run does not have: "remove" (made from what has changed since),
    # "refuse" (made from other inputs: finished work) or "keep" (the stage is shared).
    others: str = REMOVE
    # Endings of the files of units, by which files of units that this run lacks are found.
    suffixes: tuple[str, ...] = (".parquet",)
    # Units are input files that may be unreadable: the others are committed first. So many may be
    # missing (`udfs.units.commit.failed`, or a task that died), and are committed by `stand_in`.
    max_failures: int = 0
    stand_in: Callable[[Unit, str], None] | None = None
    # Each unit has a task of its own, in the order in which `execute` got them.
    one_task_each: bool = True
    # The fates that it counts are its own, and not those of the stage before.
    judges: bool = True


_STRICT = UnitRules()


def run_units(
    spark: SparkSession,
    *,
    stage: str,
    directory: str,
    units: Sequence[Unit],
    execute: Callable[[list[Unit]], DataFrame],
    rules: UnitRules = _STRICT,
) -> StageOutput:
    """Commit all `units` of a stage below `directory` and return them.

    `execute` gets the units that are not committed yet and returns a DataFrame whose rows
    (`udfs.units.commit.COMMITTED`) appear as tasks commit them or report a failure. Raises
    StageError when a unit is missing in the end, BalanceError when the books of one do not balance,
    SettingError for units of other inputs (see UnitRules).
    """
    started = time.perf_counter()
    work = _Work(stage=stage, directory=directory, units=units, rules=rules)
    pending = work.pending()
    LOGGER.info(
        "%s: %d units to do, %d already committed", stage, len(pending), len(units) - len(pending)
    )
    work.note_progress()
    if pending:
        work.settle(pending, work.execute(spark, pending, execute))
    work.note_progress()
    output = work.rows.output(stage, directory)
    if rules.documents_in is not None:
        check_balance(stage, rules.documents_in, output)
    if rules.check is not None:
        refuse(output, rules.check(output))
    if rules.others != KEEP and (removed := remove_stale(directory, output, rules.suffixes)):
        LOGGER.warning("%s: removed %d units that are no part of this run", stage, removed)
    output = replace(output, totals=stage_totals(spark, output))
    _write_stage_manifest(output)
    _log_end(output, time.perf_counter() - started, rules.judges)
    return output


class _Work:
    """The units of one run of a stage, on their way to being committed."""

    def __init__(
        self, *, stage: str, directory: str, units: Sequence[Unit], rules: UnitRules
    ) -> None:
        self.stage, self.directory, self.units, self.rules = stage, directory, units, rules
        self.rows = UnitRows()
        self._units = {unit.name: unit for unit in units}

    def pending(self) -> list[Unit]:
        """Read what is committed and return the units that are not.

        What other input, settings or code made of these is removed first, so that whatever is
        found later was committed meanwhile.
        """
        present = committed_names(self.directory)
        of_file = {file_of_unit(unit.name): unit for unit in self.units}
        others = [name for name in present if file_of_unit(name) not in of_file]
        if others and self.rules.others == REFUSE:
            raise SettingError(_other_inputs(self.directory, others))
        # A file of another size may have other parts: no unit has the key "".
        parts = {
            name: replace(of_file[file], name=name, key="")
            for name in present
            if self.rules.others != KEEP and (file := file_of_unit(name)) in of_file
        }
        expected = parts | self._units
        known = [name for name in present if name in expected]
        found = read_committed(self.directory, known, expected, self.rows)
        if redone := sum(name in self._units for name in found.made_otherwise):
            LOGGER.info("%s: %d units were made otherwise and are redone", self.stage, redone)
        if found.changed:
            LOGGER.warning("%s", _changed_files(self.stage, found.changed))
        uncommit(self.directory, [name for name in found.names if name in self._units])
        return [unit for unit in self.units if unit.name not in self.rows.names]

    def execute(
        self, spark: SparkSession, units: list[Unit], execute: Callable[[list[Unit]], DataFrame]
    ) -> dict[str, str]:
        """Run the tasks of `units`; return the errors of those that failed, by their names.

        Of inputs, one whose task dies again and again (for memory) does not stop the others.
        """
        died: dict[str, str] = {}
        with progress(spark, self.stage, self._progress):
            while True:
                try:
                    what = f"{len(units)} units"
                    return died | run_tasks(spark, self.stage, execute(units), what)
                except JobError as error:
                    present = set(committed_names(self.directory))
                    left = [unit for unit in units if unit.name not in present]
                    dead = units[error.task].name if error.task is not None else ""
                    alone = self.rules.stand_in is not None and self.rules.one_task_each and dead
                    if not alone or len(left) == len(units) or len(died) >= NAMED_FAILURES:
                        raise
                    LOGGER.warning("%s; going on with the other inputs", error)
                    died[dead] = f"{dead}: {error.reason}"
                    units = [unit for unit in left if unit.name not in died]
                if not units:
                    return died

    def _progress(self) -> UnitProgress:
        done = sum(name in self._units for name in committed_names(self.directory))
        return UnitProgress(done=done, total=len(self.units), before=len(self.rows.names))

    def note_progress(self) -> None:
        """Say how many units are known to be committed to who watches the run."""
        done = len(self.rows.names)
        SEEN[self.stage] = UnitProgress(done=done, total=len(self.units), before=done)

    def settle(self, pending: list[Unit], failures: dict[str, str]) -> None:
        """See to it that all of `pending` are committed, or raise StageError that says which."""
        missing = self._missing(pending)
        failed = [unit for unit in missing if unit.name in failures]
        if len(failed) > self.rules.max_failures:
            raise StageError(_failures(self.stage, self.directory, failed, failures, self.rules))
        for unit in failed:
            assert self.rules.stand_in is not None
            LOGGER.warning("%s: goes on without %s", self.stage, failures[unit.name])
            self.rules.stand_in(unit, failures[unit.name])
            self._units[unit.name] = replace(unit, key=failed_key(unit.key))
        silent = [unit for unit in missing if unit.name not in failures]
        if silent and not self.rules.may_be_empty:
            raise StageError(_missing_units(self.stage, silent, len(self.units)))
        for unit in silent:
            commit(self.directory, unit.name, unit.key, [], {}, UnitClock())
        if missing:
            self._missing(missing)

    def _missing(self, units: list[Unit]) -> list[Unit]:
        """Read the manifests of `units` and return those that have none."""
        present = set(committed_names(self.directory))
        names = [unit.name for unit in units if unit.name in present]
        foreign = read_committed(self.directory, names, self._units, self.rows).names
        if foreign:
            raise StageError(
                f"{self.stage}: {len(foreign)} units were committed by another run meanwhile, "
                f"first {foreign[0]!r}: a second driver, or a task that outlived its own, writes "
                f"to {self.directory}; stop it and run the same command again"
            )
        return [unit for unit in units if unit.name not in present]


def _other_inputs(directory: str, others: Sequence[str]) -> str:
    named = ", ".join(others[:NAMED_UNITS])
    return (
        f"{directory} holds {len(others)} finished units that this run's input does not have "
        f"({named}{', ...' if len(others) > NAMED_UNITS else ''}): give their files too, another "
        "--output, or --overwrite to remove them"
    )


def _changed_files(stage: str, changed: Mapping[str, str]) -> str:
    # The parts of a file say the same.
    files = list(dict.fromkeys(changed.values()))
    named = "; ".join(files[:NAMED_FAILURES])
    more = f"; and {len(files) - NAMED_FAILURES} more" if len(files) > NAMED_FAILURES else ""
    return f"{stage}: input files that changed since they were read are redone: {named}{more}"


def _missing_units(stage: str, missing: Sequence[Unit], total: int) -> str:
    named = ", ".join(unit.name for unit in missing[:NAMED_UNITS])
    return (
        f"{stage}: {len(missing)} of {total} units did not commit ({named}"
        f"{', ...' if len(missing) > NAMED_UNITS else ''}); run the same command again to resume"
    )


def _failures(
    stage: str, directory: str, failed: Sequence[Unit], why: Mapping[str, str], rules: UnitRules
) -> str:
    lines = [why[unit.name] for unit in failed[:NAMED_FAILURES]]
    rest = len(failed) - len(lines)
    allowed = (
        ""
        if rules.stand_in is None
        else (f", or with --max-failed-inputs {len(failed)} to go on without")
    )
    return "\n  ".join(
        [
            f"{stage}: {len(failed)} inputs could not be read; all others are committed below "
            f"{directory}. Run the same command again to try these once more{allowed}:",
            *lines,
            *([f"... and {rest} more"] if rest else []),
        ]
    )


def _write_stage_manifest(output: StageOutput) -> None:
    """Write the stage's summary last: its presence says that the whole stage is committed."""
    summary = {
        "format_version": FORMAT_VERSION,
        "stage": output.stage,
        "fingerprint": output.fingerprint,
        "num_units": output.units.num_rows,
        "counts": output.totals["counts"],
    }
    text = json.dumps(summary, indent=1, sort_keys=True)
    storage.write_bytes(storage.join(output.directory, STAGE_MANIFEST), text.encode())


def _log_end(output: StageOutput, seconds: float, judges: bool) -> None:
    counts = output.totals["counts"]
    if not counts or not judges:
        LOGGER.info("%s: %d units, %.1f s", output.stage, output.units.num_rows, seconds)
        return
    fates = documents_by_fate(output.totals)
    rules = sorted((entry for entry in counts if entry["rule"]), key=lambda one: -one["documents"])
    told = [f", {entry['rule']} {entry['documents']}" for entry in rules[:TOP_RULES]]
    if others := sum(entry["documents"] for entry in rules[TOP_RULES:]):
        told.append(f", other rules {others}")
    LOGGER.info(
        "%s: %d in, %d kept%s, %.1f s",
        output.stage,
        sum(fates.values()),
        fates.get("kept", 0),
        "".join(told),
        seconds,
    )
