"""Columns of a recipe beside the documents: each signal a stage of its own, a table per file."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa
from pyspark.sql import SparkSession

from dclm_spark.engine.file_stage import FileStage, sources_of
from dclm_spark.engine.manifests import StageOutput
from dclm_spark.errors import SettingError
from dclm_spark.signals.external_table import external_fields, join_external
from udfs.signals.buckets import Ranks, ranks
from udfs.signals.functions import find_function, probe
from udfs.signals.measures import (
    FamilyMeasure,
    FunctionMeasure,
    Measure,
    TokensMeasure,
    model_measure,
)
from udfs.signals.signal_settings import SignalSettings
from udfs.signals.signed_files import DOC_ID, sign_file
from udfs.tokens.tokenizer import TokenizerSettings
from udfs.units.curate import CurationSettings
from udfs.units.scored_table import measuring

FOLDER = "signals"
# A column that every recipe may ask for: the tokens of each document, without an end of text.
NUM_TOKENS = "num_tokens"
RANK = "_rank"


def stage_name(signal: str) -> str:
    """Return the name, and so the folder, of the stage that makes a signal's columns."""
    return f"signal-{signal}"


@dataclass(frozen=True, kw_only=True)
class SignalTable:
    """Committed columns beside the kept documents of a stage: a file each, in their order."""

    output: StageOutput
    fields: tuple[pa.Field, ...]
    # Where the files lie below the stage.
    folder: str = FOLDER

    @property
    def schema(self) -> pa.Schema:
        """The columns, the document's id first."""
        return pa.schema([DOC_ID, *self.fields])

    def ranks(self, column: str) -> Ranks:
        """Return the ranks of all documents by a column of numbers."""
        totals = self.output.totals
        if totals.get("score_buckets"):
            return ranks(totals["score_buckets"])
        return ranks(totals["columns"].get(column, {"buckets": []})["buckets"])


def with_ranks(fields: tuple[pa.Field, ...]) -> dict[str, pa.DataType]:
    """Return the types of columns by name, with NAME_rank for each of numbers."""
    types = {one.name: one.type for one in fields}
    numbers = [name for name, kind in types.items() if is_number(kind)]
    return types | {f"{name}{RANK}": pa.float64() for name in numbers}


def is_number(kind: pa.DataType) -> bool:
    """Say whether a column is of numbers."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def signal_fields(
    signals: Mapping[str, SignalSettings], curation: CurationSettings
) -> dict[str, tuple[pa.Field, ...]]:
    """Return the columns of each signal; SettingError for one that cannot be had."""
    found = {}
    for name, settings in signals.items():
        if not name.isidentifier():
            raise SettingError(f"signals: {name!r} cannot name a column; use letters, digits and _")
        if name == NUM_TOKENS:
            raise SettingError(f"signals: {name!r} is there already; give the signal another name")
        if settings.table is not None:
            found[name] = external_fields(name, settings)
        else:
            found[name] = tuple(measure_of(name, settings, curation).fields)
    return found


def measure_of(name: str, settings: SignalSettings, curation: CurationSettings) -> Measure:
    """Return what measures a signal on the executors; SettingError where it cannot."""
    try:
        if settings.model is not None:
            model = settings.model
            return model_measure(name, model.uri, model.sha256, settings.labels)
        if settings.function is not None:
            function = find_function(settings.function)
            return FunctionMeasure(name=name, function=function, kind=probe(function))
    except ValueError as error:
        key = "model" if settings.model is not None else "function"
        where = "" if str(error).startswith("labels:") else f"{key}: "
        raise SettingError(f"signals.{name}.{where}{error}") from error
    assert settings.family is not None
    heuristics = replace(curation.heuristics, rules=settings.family, enabled=True)
    return FamilyMeasure(name=name, settings=measuring(replace(curation, heuristics=heuristics)))


def write_signal(
    spark: SparkSession,
    documents: StageOutput,
    named: tuple[str, SignalSettings],
    curation: CurationSettings,
    directory: str,
) -> SignalTable:
    """Write the columns of a signal (its name and settings) for the kept documents of a stage."""
    name, settings = named
    if settings.table is not None:
        output = join_external(spark, documents, named, stage_name(name), directory)
        return SignalTable(output=output, fields=external_fields(name, settings))
    return measured(spark, documents, measure_of(name, settings, curation), name, directory)


def count_tokens(
    spark: SparkSession, documents: StageOutput, tokenizer: TokenizerSettings, directory: str
) -> SignalTable:
    """Write the number of tokens of each kept document of a stage, as the column NUM_TOKENS."""
    measure = TokensMeasure(name=NUM_TOKENS, tokenizer=tokenizer)
    return measured(spark, documents, measure, NUM_TOKENS, directory)


def measured(
    spark: SparkSession, documents: StageOutput, measure: Measure, name: str, directory: str
) -> SignalTable:
    """Write the columns of a measure for the kept documents of a stage."""
    fields = tuple(measure.fields)
    stage = FileStage(
        name=stage_name(name),
        schema=pa.schema([DOC_ID, *fields]),
        process=partial(sign_file, measure=measure),
        key=(type(measure).__name__, measure),
        folder=FOLDER,
    )
    return SignalTable(output=stage.run(spark, sources_of(documents), directory), fields=fields)
