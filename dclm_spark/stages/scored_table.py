"""One scored table, many recipes: texts are extracted and measured once, and decided on for each.

The table is a folder: `texts-<hash>` holds what one way of extracting gave, and each
`signals-<family>-<hash>` what one way of measuring says of these texts, row by row. What a recipe
needs and the table lacks is added; limits (`udfs.rules.families.measuring`) are no part of it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial

from pyspark.sql import SparkSession

from dclm_spark.crawl.listing import InputFile, list_inputs
from dclm_spark.engine.file_stage import FileStage, UnitSource, sources_of
from dclm_spark.engine.lease import only_driver
from dclm_spark.engine.manifests import StageOutput
from dclm_spark.engine.stage import KEEP, REFUSE, REMOVE
from dclm_spark.errors import SettingError
from dclm_spark.settings import settings_hash
from dclm_spark.stages.documents import key_settings, max_readers, read_by, read_inputs
from udfs import storage
from udfs.documents.schema import STAGE
from udfs.units.curate import CurationSettings, quarantine_file
from udfs.units.scored_table import (
    SIGNAL_TABLE,
    ScoredFile,
    decide_file,
    extract_file,
    measuring,
    sign_file,
)

TEXTS, SIGNALS = "texts", "signals"


def build_table(
    spark: SparkSession,
    recipes: Mapping[str, CurationSettings],
    *,
    inputs: str,
    base: str | None,
    table: str,
) -> list[str]:
    """Fill `table` with what recipes (by name) need; return a line for each: where it lies.

    Raises InputError for inputs that name no file.
    """
    files = list_inputs(inputs, base)
    lines = []
    with only_driver(table):
        for name, settings in recipes.items():
            texts, signals = add_to_table(spark, files, settings, storage.absolute(table))
            parts = [texts.directory, *([signals.directory] if signals else [])]
            lines.append(f"{name}: {', '.join(parts)}")
    return lines


def add_to_table(
    spark: SparkSession, inputs: Sequence[InputFile], settings: CurationSettings, table: str
) -> tuple[StageOutput, StageOutput | None]:
    """Extract and measure what `settings` need and `table` lacks; return texts and signals.

    Settings whose rules are off need no signals. Raises SettingError for `extraction.views`.
    """
    if settings.extraction.views:
        raise SettingError(
            f"extraction.views = {list(settings.extraction.views)}: a scored table has one text "
            "for each page; set extraction.views=[] and extraction.extractor, or run without it"
        )
    extraction = key_settings(settings)["extraction"]
    name = f"{TEXTS}-{settings_hash(extraction)[:12]}"
    stage = FileStage(
        name=TEXTS,
        schema=settings.extraction.schema,
        process=partial(extract_file, settings=read_by(inputs, settings)),
        key=(extraction,),
        max_tasks=max_readers(inputs, settings.extraction.reading),
        others=KEEP,
        max_failures=settings.max_failed_inputs,
        stand_in=quarantine_file,
    )
    parts = settings.input.part_size_bytes
    texts = read_inputs(spark, stage, inputs, storage.join(table, name), parts)
    if not settings.heuristics.enabled:
        return texts, None
    measured = measuring(settings)
    family, chain = settings.heuristics.rules, [extraction, measured]
    name = f"{SIGNALS}-{family}-{settings_hash(chain)[:12]}"
    stage = FileStage(
        name=SIGNALS,
        schema=SIGNAL_TABLE,
        process=partial(sign_file, settings=measured),
        key=(measured,),
        folder=SIGNALS,
        others=KEEP,
    )
    return texts, stage.run(spark, sources_of(texts), storage.join(table, name))


def decide(
    spark: SparkSession,
    inputs: Sequence[InputFile],
    settings: CurationSettings,
    directory: str,
    table: str,
    overwrite: bool = False,
) -> StageOutput:
    """Give every document of `inputs` the fate that `settings` give it, from the scored table.

    Units of other inputs in `directory` are removed with `overwrite`, and a SettingError without;
    the table keeps what it has. The kept documents are those of `write_documents`, byte for byte;
    the ledger of the others has all their signals. Raises BalanceError unless each document has one
    fate.
    """
    texts, signals = add_to_table(spark, inputs, settings, table)
    stage = FileStage(
        name=STAGE,
        schema=settings.schema,
        process=partial(decide_file, settings=settings),
        key=(key_settings(settings),),
        others=REMOVE if overwrite else REFUSE,
    )
    return stage.run(spark, _sources(texts, signals), directory)


def _sources(texts: StageOutput, signals: StageOutput | None) -> list[UnitSource]:
    files, digests = _scored_files(texts, signals), _digests(texts, signals)
    return [
        UnitSource(
            unit=unit, identity=digests[unit], source=asdict(files[unit]), documents=documents
        )
        for unit, documents in texts.documents_by_unit().items()
    ]


def _scored_files(texts: StageOutput, signals: StageOutput | None) -> dict[str, ScoredFile]:
    kept = {file["unit"]: str(file["uri"]) for file in texts.files("kept/")}
    signed = {file["unit"]: str(file["uri"]) for file in (signals.files("") if signals else [])}
    closed: dict[str, list[str]] = defaultdict(list)
    for file in (*texts.files("dropped/"), *texts.files("quarantined/")):
        closed[file["unit"]].append(str(file["uri"]))
    return {
        unit: ScoredFile(
            texts_uri=kept.get(unit),
            closed_uris=tuple(closed[unit]),
            signals_uri=signed.get(unit),
            facts={name: facts[name] for name in ("records", "input")},
        )
        for unit, facts in texts.facts()
    }


def _digests(texts: StageOutput, signals: StageOutput | None) -> dict[str, list[str]]:
    """Return the checksums of the files that each unit is decided from."""
    found: dict[str, list[str]] = {unit: [] for unit in texts.unit_names}
    for stage in (texts, signals):
        for file in stage.files("") if stage else []:
            found[file["unit"]].append(file["sha256"])
    return found
