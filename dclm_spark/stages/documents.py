"""The documents stage: one unit and one task per input file, text never crosses into the JVM."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import DataFrame, SparkSession

from dclm_spark.crawl.listing import InputFile
from dclm_spark.engine.manifests import StageOutput, Unit, unit_key
from dclm_spark.engine.stage import commit_each, run_units
from dclm_spark.errors import BalanceError, SettingError
from dclm_spark.settings import to_dict
from udfs.storage.stream import ReadSettings
from udfs.units.commit import report_of
from udfs.units.curate import CurationSettings, InputUnit, curate_file
from udfs.units.statistics import documents_by_fate

LOGGER = logging.getLogger("dclm_spark")
STAGE = "documents"
# Common Crawl's web server, unlike its bucket, is not made for hundreds of connections.
HTTP_READERS = 10
# An input file, settings; unit, key and directory by name -> the row that reports the unit.
CommitFile = Callable[..., pa.RecordBatch]


def curate(
    spark: SparkSession, inputs: Sequence[InputFile], settings: CurationSettings, directory: str
) -> StageOutput:
    """Read, extract and judge every document of `inputs`; commit one unit per input file.

    Raises BalanceError when a file's rows differ from the response records that were read.
    """
    keyed = key_settings(settings)
    return read_inputs(spark, inputs, settings, directory, STAGE, keyed, curate_file)


def missed_domains(documents: StageOutput) -> int:
    """Return how many pages the banned domains are meant to ban and the reference lets through."""
    return sum(unit.get("missed_domains", 0) for unit in documents.facts())


def warn_of_missed_domains(documents: StageOutput) -> None:
    """Log `missed_domains`, where there are any."""
    if count := missed_domains(documents):
        LOGGER.warning(
            "url_lists.domains: %s more pages would be banned by hosts with www, ports, subdomains "
            "and paths; quirks=dclm-2024 compares whole locations as the reference does, "
            "quirks=none bans them",
            f"{count:,}",
        )


def read_inputs(
    spark: SparkSession,
    inputs: Sequence[InputFile],
    settings: CurationSettings,
    directory: str,
    stage: str,
    keyed: dict[str, Any],
    commit_file: CommitFile,
) -> StageOutput:
    """Commit one unit of `stage` per input file by `commit_file`, as many at a time as may be read.

    `keyed` are the settings that a unit's content depends on. Raises BalanceError when a file's
    rows differ from the response records that were read.
    """
    sources = {unit_name(file): file for file in inputs}
    units = [
        Unit(name=name, key=unit_key(stage, file.crawl, file.path, file.kind, keyed))
        for name, file in sources.items()
    ]
    readers = max_readers(inputs, settings.extraction.reading)
    settings = _read_by(settings, readers)

    def execute(pending: list[Unit]) -> DataFrame:
        rows = [_work_row(unit, sources[unit.name]) for unit in pending]

        def commit_row(row: dict[str, str]) -> pa.RecordBatch:
            unit, key = row.pop("unit"), row.pop("key")
            # A task of several files that failed at one has committed those before it.
            done = report_of(directory, unit, key) if readers and _retried() else None
            return done or commit_file(
                InputUnit(**row), settings, unit=unit, key=key, directory=directory
            )

        return commit_each(spark, rows, commit_row, max_tasks=readers)

    output = run_units(spark, stage=stage, directory=directory, units=units, execute=execute)
    for manifest in output.manifests:
        _check_records(stage, manifest)
    return output


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


def _check_records(stage: str, manifest: dict[str, Any]) -> None:
    facts = manifest["facts"]
    read = facts["records"]["response"] + facts["records"]["broken"]
    rows = sum(documents_by_fate(facts).values())
    if read != rows:
        raise BalanceError(
            f"{stage}: {facts['input']['uri']} gave {read} documents, but {rows} have a fate"
        )
