"""Running a stage: skip what is committed, run the rest, check the books, log one line."""

import gc
import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import pyarrow as pa
from pyspark.errors import PythonException
from pyspark.sql import DataFrame, SparkSession
from tqdm import tqdm

from dclm_spark.engine.manifests import (
    StageOutput,
    Unit,
    pending_units,
    read_manifests,
    remove_stale,
)
from dclm_spark.engine.tables import spark_schema, work_frame
from dclm_spark.errors import BalanceError, StageError
from udfs import storage
from udfs.documents.schema import FATES
from udfs.units.commit import COMMITTED, UnitClock, commit
from udfs.units.statistics import documents_by_fate, merge


def commit_each(
    spark: SparkSession,
    rows: Sequence[dict[str, str]],
    commit_row: Callable[[dict[str, str]], pa.RecordBatch],
    max_tasks: int | None = None,
) -> DataFrame:
    """Return what `commit_row` reports (schema COMMITTED) of each of `rows`, all with equal keys.

    Each row is a task of its own; with `max_tasks`, no more tasks than that share them evenly.
    """
    schema = pa.schema([(name, pa.string()) for name in rows[0]])

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for row in batch.to_pylist():
                yield commit_row(row)
                _exempt_from_collection()

    frame = work_frame(spark, rows, schema, max_tasks)
    return frame.mapInArrow(run, spark_schema(COMMITTED))


@cache
def _exempt_from_collection() -> None:
    """Let the garbage collector pass over what this worker's first unit loaded, for good.

    A worker of Spark collects after each task, which takes 0.12 s with kernels and models loaded.
    """
    gc.collect()
    gc.freeze()


LOGGER = logging.getLogger("dclm_spark")
PROGRESS_SECONDS = 0.5
TOP_RULES = 3


def run_units(
    spark: SparkSession,
    *,
    stage: str,
    directory: str,
    units: Sequence[Unit],
    execute: Callable[[list[Unit]], DataFrame],
    may_be_empty: bool = False,
) -> StageOutput:
    """Commit all `units` of a stage below `directory` and return their manifests.

    `execute` gets the units that are not committed yet and returns a DataFrame whose rows
    (`udfs.units.commit.COMMITTED`) appear as tasks commit them. With `may_be_empty`, units without
    any rows, of which no task hears, are committed here as empty. Raises StageError when a unit is
    missing in the end.
    """
    started = time.perf_counter()
    pending, done = pending_units(directory, units)
    LOGGER.info(
        "%s: %d units to do, %d already committed", stage, len(pending), len(units) - len(pending)
    )
    if pending:
        _execute(spark, stage, execute(pending))
        left, committed = pending_units(directory, pending)
        done |= committed
        if left and may_be_empty:
            _commit_empty(directory, left)
            done |= read_manifests(directory, [unit.name for unit in left])
    missing = [unit.name for unit in units if unit.name not in done]
    if missing:
        raise StageError(
            f"{stage}: {len(missing)} of {len(units)} units did not commit, first {missing[0]!r}; "
            "run the same command again to resume"
        )
    output = StageOutput(
        stage=stage,
        directory=directory,
        manifests=tuple(done[unit.name] for unit in sorted(units, key=lambda unit: unit.name)),
    )
    remove_stale(directory, units, output)
    _write_stage_manifest(output)
    _log_end(output, time.perf_counter() - started)
    return output


def _commit_empty(directory: str, units: list[Unit]) -> None:
    for unit in units:
        commit(directory, unit.name, unit.key, [], {}, UnitClock())


def check_balance(stage: str, documents_in: int, output: StageOutput) -> None:
    """Raise BalanceError unless every document that came in has exactly one fate."""
    fates = documents_by_fate(merge(output.facts()))
    if documents_in != sum(fates.values()):
        parts = " + ".join(f"{fates.get(fate, 0)} {fate}" for fate in FATES)
        raise BalanceError(
            f"{stage}: {documents_in} documents came in, but {parts} = {sum(fates.values())}; "
            f"the units' manifests below {output.directory} say which unit is off"
        )


def _execute(spark: SparkSession, stage: str, rows: DataFrame) -> None:
    """Run the job that commits units; its rows are small facts about units, not data."""
    finished = threading.Event()
    bar = threading.Thread(target=_show_progress, args=(spark, stage, finished), daemon=True)
    bar.start()
    try:
        rows.groupBy().sum("rows").collect()
    except PythonException as error:
        raise StageError(_last_line(stage, error)) from error
    finally:
        finished.set()
        bar.join()


def _last_line(stage: str, error: PythonException) -> str:
    """Return the message of the exception that a task raised, without the frames of Spark."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    messages = [line for line in lines if line[:1].isalpha() and "Error: " in line]
    return f"{stage}: {(messages or lines)[-1].strip()} (a re-run resumes after what is committed)"


def _show_progress(spark: SparkSession, stage: str, finished: threading.Event) -> None:
    """Draw a bar of finished tasks on a terminal until `finished` is set."""
    if not sys.stderr.isatty() or not hasattr(spark, "sparkContext"):
        return
    tracker = spark.sparkContext.statusTracker()
    done_before, seen = 0, {}
    with tqdm(desc=stage, unit=" task", leave=False) as bar:
        while not finished.wait(PROGRESS_SECONDS):
            for stage_id in tracker.getActiveStageIds():
                info = tracker.getStageInfo(stage_id)
                if info is not None:
                    seen[stage_id] = (info.numCompletedTasks, info.numTasks)
            bar.total = sum(tasks for _, tasks in seen.values())
            done = sum(completed for completed, _ in seen.values())
            bar.update(done - done_before)
            done_before = done


def _write_stage_manifest(output: StageOutput) -> None:
    """Write the stage's summary last: its presence says that the whole stage is committed."""
    facts = merge(output.facts())
    summary = {
        "stage": output.stage,
        "fingerprint": output.fingerprint,
        "units": [unit["unit"] for unit in output.manifests],
        "counts": facts["counts"],
    }
    text = json.dumps(summary, indent=1, sort_keys=True)
    storage.write_bytes(storage.join(output.directory, "stage.json"), text.encode())


def _log_end(output: StageOutput, seconds: float) -> None:
    facts = merge(output.facts())
    if not facts["counts"]:
        LOGGER.info("%s: %d units, %.1f s", output.stage, len(output.manifests), seconds)
        return
    fates = documents_by_fate(facts)
    rules = sorted(
        (entry for entry in facts["counts"] if entry["rule"]),
        key=lambda entry: -entry["documents"],
    )[:TOP_RULES]
    LOGGER.info(
        "%s: %d in, %d kept%s, %.1f s",
        output.stage,
        sum(fates.values()),
        fates.get("kept", 0),
        "".join(f", {entry['rule']} {entry['documents']}" for entry in rules),
        seconds,
    )
