"""The documents stage: one unit and one task per input file, text never crosses into the JVM."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from pyspark.sql import SparkSession

from dclm_spark.crawl.listing import InputFile
from dclm_spark.engine.file_stage import FileStage, UnitSource
from dclm_spark.engine.manifests import StageOutput
from dclm_spark.errors import BalanceError, SettingError
from dclm_spark.settings import to_dict
from udfs.storage.stream import ReadSettings
from udfs.units.curate import CurationSettings, curate_file
from udfs.units.documents import DOCUMENTS
from udfs.units.statistics import documents_by_fate

STAGE = "documents"
# Common Crawl's web server, unlike its bucket, is not made for hundreds of connections.
HTTP_READERS = 10


def curate(
    spark: SparkSession, inputs: Sequence[InputFile], settings: CurationSettings, directory: str
) -> StageOutput:
    """Read, extract and judge every document of `inputs`; commit one unit per input file.

    Raises BalanceError when a file's rows differ from the response records that were read.
    """
    stage = FileStage(
        name=STAGE,
        schema=DOCUMENTS,
        process=partial(curate_file, settings=read_by(inputs, settings)),
        key=(key_settings(settings),),
        max_tasks=max_readers(inputs, settings.extraction.reading),
    )
    return read_inputs(spark, stage, inputs, directory)


def read_inputs(
    spark: SparkSession, stage: FileStage, inputs: Sequence[InputFile], directory: str
) -> StageOutput:
    """Commit one unit of `stage` per input file, whose source is that of `source_of`.

    Raises BalanceError when a file's rows differ from the response records that were read.
    """
    output = stage.run(spark, [source_of(file) for file in inputs], directory)
    for manifest in output.manifests:
        _check_records(stage.name, manifest)
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


def read_by(inputs: Sequence[InputFile], settings: CurationSettings) -> CurationSettings:
    """Return the settings that tell each reader of `inputs` its share of the limits."""
    readers = max_readers(inputs, settings.extraction.reading) or 0
    reading = replace(settings.extraction.reading, max_concurrent_reads=readers)
    return replace(settings, extraction=replace(settings.extraction, reading=reading))


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


def source_of(file: InputFile) -> UnitSource:
    """Return the unit of an input file; its address is no part of what it is."""
    return UnitSource(
        unit=unit_name(file),
        identity=(file.crawl, file.path, file.kind),
        source={"crawl": file.crawl, "path": file.path, "uri": file.uri, "kind": file.kind},
    )


def _check_records(stage: str, manifest: dict[str, Any]) -> None:
    facts = manifest["facts"]
    read = facts["records"]["response"] + facts["records"]["broken"]
    rows = sum(documents_by_fate(facts).values())
    if read != rows:
        raise BalanceError(
            f"{stage}: {facts['input']['uri']} gave {read} documents, but {rows} have a fate"
        )
