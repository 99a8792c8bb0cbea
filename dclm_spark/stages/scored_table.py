"""One scored table, many recipes: texts are extracted and measured once, and decided on for each.

The table is a folder: `texts-<hash>` holds what one way of extracting gave, and each
`signals-<family>-<hash>` what one way of measuring says of these texts, row by row. What a recipe
needs and the table lacks is added; limits (`udfs.rules.families.measuring`) are no part of it.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from dclm_spark.crawl.listing import InputFile, list_inputs
from dclm_spark.engine.manifests import StageOutput, Unit, unit_key
from dclm_spark.engine.stage import check_balance, commit_each, run_units
from dclm_spark.settings import settings_hash
from dclm_spark.stages.documents import STAGE, key_settings, read_inputs
from udfs import storage
from udfs.units.curate import CurationSettings
from udfs.units.scored_table import ScoredFile, decide_file, extract_file, measuring, sign_file
from udfs.units.statistics import documents_by_fate, merge

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
    for name, settings in recipes.items():
        texts, signals = add_to_table(spark, files, settings, storage.absolute(table))
        parts = [texts.directory, *([signals.directory] if signals else [])]
        lines.append(f"{name}: {', '.join(parts)}")
    return lines


def add_to_table(
    spark: SparkSession, inputs: Sequence[InputFile], settings: CurationSettings, table: str
) -> tuple[StageOutput, StageOutput | None]:
    """Extract and measure what `settings` need and `table` lacks; return texts and signals.

    Settings whose rules are off need no signals.
    """
    extraction = key_settings(settings)["extraction"]
    name = f"{TEXTS}-{settings_hash(extraction)[:12]}"
    texts = read_inputs(
        spark, inputs, settings, storage.join(table, name), TEXTS, extraction, extract_file
    )
    if not settings.heuristics.enabled:
        return texts, None
    measured = measuring(settings)
    family, chain = settings.heuristics.rules, [extraction, measured]
    name = f"{SIGNALS}-{family}-{settings_hash(chain)[:12]}"
    return texts, _measure(spark, texts, measured, storage.join(table, name))


def _measure(
    spark: SparkSession, texts: StageOutput, settings: CurationSettings, directory: str
) -> StageOutput:
    files = {file["unit"]: file for file in texts.files("kept/")}
    units = [
        Unit(name=name, key=unit_key(SIGNALS, file["sha256"], settings))
        for name, file in files.items()
    ]

    def execute(pending: list[Unit]) -> DataFrame:
        uris = {unit.name: str(files[unit.name]["uri"]) for unit in pending}
        rows = [{"unit": u.name, "key": u.key, "texts_uri": uris[u.name]} for u in pending]
        return commit_each(
            spark, rows, lambda row: sign_file(settings=settings, directory=directory, **row)
        )

    return run_units(spark, stage=SIGNALS, directory=directory, units=units, execute=execute)


def decide(
    spark: SparkSession,
    inputs: Sequence[InputFile],
    settings: CurationSettings,
    directory: str,
    table: str,
) -> StageOutput:
    """Give every document of `inputs` the fate that `settings` give it, from the scored table.

    The kept documents are those of `dclm_spark.stages.documents.curate`, byte for byte; the ledger
    of the others has all their signals. Raises BalanceError unless each document has one fate.
    """
    texts, signals = add_to_table(spark, inputs, settings, table)
    sources = _scored_files(texts, signals)
    digests = _digests(texts, signals)
    units = [
        Unit(name=name, key=unit_key(STAGE, digests[name], key_settings(settings)))
        for name in sources
    ]

    def execute(pending: list[Unit]) -> DataFrame:
        rows = [
            {"unit": unit.name, "key": unit.key, "source": json.dumps(asdict(sources[unit.name]))}
            for unit in pending
        ]

        def commit_row(row: dict[str, str]) -> pa.RecordBatch:
            scored = ScoredFile(**json.loads(row.pop("source")))
            return decide_file(scored, settings, directory=directory, **row)

        return commit_each(spark, rows, commit_row)

    output = run_units(spark, stage=STAGE, directory=directory, units=units, execute=execute)
    check_balance(STAGE, sum(documents_by_fate(merge(texts.facts())).values()), output)
    return output


def _scored_files(texts: StageOutput, signals: StageOutput | None) -> dict[str, ScoredFile]:
    kept = {file["unit"]: str(file["uri"]) for file in texts.files("kept/")}
    signed = {file["unit"]: str(file["uri"]) for file in (signals.files("") if signals else [])}
    closed: dict[str, list[str]] = defaultdict(list)
    for file in (*texts.files("dropped/"), *texts.files("quarantined/")):
        closed[file["unit"]].append(str(file["uri"]))
    return {
        unit["unit"]: ScoredFile(
            texts_uri=kept.get(unit["unit"]),
            closed_uris=tuple(closed[unit["unit"]]),
            signals_uri=signed.get(unit["unit"]),
            facts={name: unit["facts"][name] for name in ("records", "input")},
        )
        for unit in texts.manifests
    }


def _digests(texts: StageOutput, signals: StageOutput | None) -> dict[str, list[str]]:
    """Return the checksums of the files that each unit is decided from."""
    found: dict[str, list[str]] = {unit["unit"]: [] for unit in texts.manifests}
    for stage in (texts, signals):
        for file in stage.files("") if stage else []:
            found[file["unit"]].append(file["sha256"])
    return found
