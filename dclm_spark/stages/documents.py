"""The documents stage: one unit and one task per input file, text never crosses into the JVM."""

import hashlib
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from pyspark.sql import SparkSession

from dclm_spark.crawl.file_sizes import with_sizes
from dclm_spark.crawl.listing import InputFile
from dclm_spark.engine.file_stage import FileStage, UnitSource
from dclm_spark.engine.manifests import StageOutput, part_unit
from dclm_spark.engine.stage import REFUSE, REMOVE
from dclm_spark.errors import SettingError
from dclm_spark.settings import to_dict
from udfs.documents.formats import FORMATS
from udfs.documents.parts import WHOLE, FilePart, parts_of
from udfs.documents.schema import STAGE
from udfs.html.extractors import label_of
from udfs.languages.segmenters import segmenter_version
from udfs.storage.stream import ReadSettings
from udfs.units.curate import (
    FAILED_VIEWS,
    PRESCREEN,
    CurationSettings,
    curate_file,
    quarantine_file,
)

LOGGER = logging.getLogger("dclm_spark")
# Common Crawl's web server, unlike its bucket, is not made for hundreds of connections.
HTTP_READERS = 10


def missed_domains(documents: StageOutput) -> int:
    """Return how many pages the banned domains are meant to ban and the reference lets through."""
    return sum(facts.get("missed_domains", 0) for _, facts in documents.facts())


def warn_of_missed_domains(documents: StageOutput) -> None:
    """Log `missed_domains`, where there are any."""
    if count := missed_domains(documents):
        LOGGER.warning(
            "url_lists.domains: %s more pages would be banned by hosts with www, ports, subdomains "
            "and paths; quirks=dclm-2024 compares whole locations as the reference does, "
            "quirks=none bans them",
            f"{count:,}",
        )


def failed_views(documents: StageOutput) -> dict[str, int]:
    """Return how many pages a view gave no text of, by "view: rule", the most frequent first."""
    counts: Counter[str] = Counter()
    for _, facts in documents.facts():
        counts.update(facts.get(FAILED_VIEWS, {}))
    return dict(counts.most_common())


def prescreened(documents: StageOutput) -> Counter[str]:
    """Return how many pages a look at their language dropped, how many it spoke against were
    audited, and how many of these the rules kept: "dropped", "audited", "audited_kept".
    """
    counts: Counter[str] = Counter()
    for _, facts in documents.facts():
        counts.update(facts.get(PRESCREEN, {}))
    return counts


def write_documents(
    spark: SparkSession,
    inputs: Sequence[InputFile],
    settings: CurationSettings,
    directory: str,
    overwrite: bool = False,
) -> StageOutput:
    """Read, extract and judge every document of `inputs`; commit one unit per input file.

    Files that cannot be read are reported once all others are committed: as StageError, or where
    `settings.max_failed_inputs` allows for them, as one quarantined document each. Units of files
    that `inputs` lack are removed with `overwrite`, and a SettingError without.
    """
    stage = FileStage(
        name=STAGE,
        schema=settings.schema,
        process=partial(curate_file, settings=read_by(inputs, settings)),
        key=(key_settings(settings),),
        max_tasks=max_readers(inputs, settings.extraction.reading),
        others=REMOVE if overwrite else REFUSE,
        max_failures=settings.max_failed_inputs,
        stand_in=quarantine_file,
    )
    return read_inputs(spark, stage, inputs, directory, settings.input.part_size_bytes)


def read_inputs(
    spark: SparkSession,
    stage: FileStage,
    inputs: Sequence[InputFile],
    directory: str,
    part_size_bytes: int = 0,
) -> StageOutput:
    """Commit one unit of `stage` per input file, or per part of a large one (`sources_of`)."""
    return stage.run(spark, sources_of(inputs, part_size_bytes), directory)


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
    """Return what a unit's content depends on: the settings, but how patiently it is read.

    The versions of extractors and of segmenters count too, as this interpreter has them.
    """
    values = to_dict(settings)
    values["extraction"]["versions"] = [label_of(name) for name in settings.extraction.extractors]
    if settings.heuristics.family.segments_words:
        values["segmenter"] = segmenter_version(settings.heuristics.language)
    del values["extraction"]["reading"]
    del values["max_failed_inputs"]
    return values


def unit_name(file: InputFile) -> str:
    """Return the name of an input file's unit: readable, and unique for (crawl, path).

    A part of the file has this name, "-part-" and the number of the part, from 0.
    """
    stem = file.path.rsplit("/", 1)[-1].split(".", 1)[0][:80]
    digest = hashlib.sha256(f"{file.crawl}\0{file.path}".encode()).hexdigest()[:10]
    safe = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in stem)
    return f"{safe}-{digest}"


def sources_of(inputs: Sequence[InputFile], part_size_bytes: int) -> list[UnitSource]:
    """Return the units of input files: one each, or one for each part of a file that is divided.

    Files of at least two parts of `part_size_bytes` are, where their format can be; 0: none.
    """
    divisible = {file for file in inputs if part_size_bytes and _is_divisible(file)}
    sources = []
    for file in with_sizes(inputs, divisible):
        size = file.stored.size_bytes if file.stored else 0
        parts = parts_of(size, part_size_bytes) if file in divisible else [WHOLE]
        whole = source_of(file)
        sources += [whole] if parts == [WHOLE] else _part_sources(whole, parts)
    return sources


def _part_sources(whole: UnitSource, parts: Sequence[FilePart]) -> list[UnitSource]:
    return [
        replace(
            whole,
            unit=part_unit(whole.unit, number),
            identity=(*whole.identity, part.start, part.end),
            source=whole.source | {"start": part.start, "end": part.end},
        )
        for number, part in enumerate(parts)
    ]


def _is_divisible(file: InputFile) -> bool:
    return FORMATS[file.kind].is_divisible(file.path)


def source_of(file: InputFile) -> UnitSource:
    """Return the unit of an input file; its address is no part of what it is."""
    return UnitSource(
        unit=unit_name(file),
        identity=(file.crawl, file.path, file.kind),
        source={
            "crawl": file.crawl, "path": file.path, "uri": file.uri, "kind": file.kind,
            **(file.stored._asdict() if file.stored else {}),
        },
        stored=file.stored,
    )  # fmt: skip
