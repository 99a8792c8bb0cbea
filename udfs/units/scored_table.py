"""The scored table: texts and signals of an input file, measured once and decided on many times.

It is Parquet files of the same documents in the same order: texts as they were extracted, and for
each way of measuring a file of signals (schema SIGNAL_TABLE). A recipe is a decision over these.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from udfs.documents.extract import ExtractionSettings, RecordCounts
from udfs.documents.formats import InputUnit, input_facts
from udfs.documents.schema import DROPPED, STAGE
from udfs.rules import families
from udfs.rules.batch import JudgedTexts
from udfs.rules.cleaning.redaction import RedactionSettings
from udfs.rules.url_lists import UrlLists
from udfs.rules.urls import AddressCounts
from udfs.storage.parquet import read_table
from udfs.units.curate import (
    CurationSettings,
    extracted,
    judged,
    language_identifier,
    url_lists,
    without_signals,
)
from udfs.units.documents import UNCHANGED
from udfs.units.fates import with_fate
from udfs.units.output import UnitOutput

SIGNAL_TABLE = pa.schema([pa.field("doc_id", pa.binary()), *families.SIGNALS, *families.STATISTICS])


def measuring(settings: CurationSettings) -> CurationSettings:
    """Return the settings that decide what the signals of a text are, the rest at its defaults."""
    # The lists of rules on addresses decide, and measure nothing.
    names = settings.heuristics.lists
    return replace(
        settings,
        extraction=ExtractionSettings(),
        heuristics=families.measuring(settings.heuristics),
        redaction=RedactionSettings(),
        max_failed_inputs=0,
        text_normalization=UNCHANGED,
        url_lists=tuple(one for one in settings.url_lists if one[0] in names),
    )


def extract_file(source: dict[str, Any], output: UnitOutput, settings: CurationSettings) -> None:
    """Write the documents of one input file (an InputUnit's fields) as extracted."""
    file, counts = InputUnit(**source), RecordCounts()
    settings = replace(settings, input=replace(settings.input, columns=()))
    for batch in extracted(file, settings, counts):
        nothing = pa.nulls(batch.num_rows)
        output.write(with_fate(batch, stage=STAGE, rule=nothing, value=nothing, threshold=nothing))
    output.facts |= input_facts(file, counts)


def sign_file(source: dict[str, Any], output: UnitOutput, settings: CurationSettings) -> None:
    """Write the signals of the documents of one file of texts, in its order."""
    lists, identify = url_lists(settings), language_identifier(settings)
    for batch in read_table(source["uri"], ["doc_id", "text"]):
        found = families.signals_of(batch.column("text"), settings.heuristics, lists, identify)
        columns = [batch.column("doc_id"), *(found[name] for name in SIGNAL_TABLE.names[1:])]
        output.write(pa.RecordBatch.from_arrays(columns, SIGNAL_TABLE.names))


@dataclass(frozen=True, kw_only=True)
class ScoredFile:
    """Where an input file's documents lie by the fate that extraction gave them, and the signals.

    What is None has no rows; `facts` say which file was read and how many records it had.
    """

    texts_uri: str | None
    closed_uris: tuple[str, ...]
    signals_uri: str | None
    facts: dict[str, Any]


def decide_file(source: dict[str, Any], output: UnitOutput, settings: CurationSettings) -> None:
    """Write an input file's documents (a ScoredFile's fields) with the fates of a recipe.

    Nothing is measured again.
    """
    file, addresses = ScoredFile(**source), AddressCounts()
    for batch in decided(file, settings, addresses):
        output.write(batch)
    output.facts |= file.facts | asdict(addresses)


def decided(
    source: ScoredFile, settings: CurationSettings, addresses: AddressCounts
) -> Iterator[pa.RecordBatch]:
    """Yield documents with signals and fates: those with a text first (`settings.schema`)."""
    names = settings.extraction.schema.names
    lists = url_lists(settings)
    signals = _signals(source)
    start = 0
    for batch in read_table(source.texts_uri, names) if source.texts_uri else ():
        stored = _aligned(batch, signals.slice(start, batch.num_rows), settings)
        yield _decide(batch, stored, settings, lists, addresses)
        start += batch.num_rows
    for uri in source.closed_uris:
        for batch in read_table(uri, names):
            judged_first = _by_address(batch, settings.heuristics, lists, addresses)
            yield without_signals(judged_first, settings).select(settings.schema.names)


def _signals(source: ScoredFile) -> pa.Table:
    if source.signals_uri is None:
        return SIGNAL_TABLE.empty_table()
    batches = read_table(source.signals_uri, SIGNAL_TABLE.names)
    return pa.Table.from_batches(batches, SIGNAL_TABLE).combine_chunks()


def _decide(
    batch: pa.RecordBatch,
    signals: pa.RecordBatch,
    settings: CurationSettings,
    lists: UrlLists,
    addresses: AddressCounts,
) -> pa.RecordBatch:
    given, urls = settings.heuristics, batch.column("url")
    rule, value, threshold = families.decide(signals, urls, given, lists, addresses)
    result = JudgedTexts(
        text=_cleaned(batch.column("text"), pc.is_null(rule), settings, lists),
        rule=rule,
        value=value,
        threshold=threshold,
        signals={name: signals.column(name) for name in signals.schema.names},
    )
    place = batch.schema.get_field_index("fate")
    unjudged = batch.set_column(place, "fate", pa.nulls(batch.num_rows, pa.string()))
    return judged(unjudged, result, settings).select(settings.schema.names)


def _aligned(batch: pa.RecordBatch, stored: pa.Table, settings: CurationSettings) -> pa.RecordBatch:
    """Return the signals of `batch`; null where the recipe asks for none."""
    if not settings.heuristics.enabled:
        nulls = [pa.nulls(batch.num_rows, field.type) for field in SIGNAL_TABLE]
        return pa.RecordBatch.from_arrays(nulls, schema=SIGNAL_TABLE)
    signals = stored.combine_chunks().to_batches()[0]
    assert signals.column("doc_id").equals(batch.column("doc_id")), "signals of other documents"
    return signals


def _cleaned(
    texts: pa.Array, kept: pa.BooleanArray, settings: CurationSettings, lists: UrlLists
) -> pa.LargeStringArray:
    """Return the texts of kept documents as the recipe leaves them, the others as they came."""
    texts = texts.cast(pa.large_string())
    left = families.clean(texts.filter(kept), settings.heuristics, lists)
    return pc.replace_with_mask(texts, kept, left)


def _by_address(
    batch: pa.RecordBatch,
    settings: families.HeuristicSettings,
    lists: UrlLists,
    addresses: AddressCounts,
) -> pa.RecordBatch:
    """Let rules on addresses go first, as where pages are not parsed that such a rule drops.

    They are asked about pages: of a broken record there is no size.
    """
    if settings.annotate == "all":
        return batch
    rule, value, threshold = families.url_outcomes(batch.column("url"), settings, lists, addresses)
    first = pc.and_(pc.is_valid(rule), pc.is_valid(batch.column("html_size_bytes")))
    new = {
        "fate": DROPPED,
        "stage": STAGE,
        "rule": rule.cast(pa.string()),
        "value": value.cast(pa.float64()),
        "threshold": threshold.cast(pa.float64()),
        "error": pa.scalar(None, pa.string()),
    }
    for name, values in new.items():
        column = pc.if_else(first, values, batch.column(name))
        batch = batch.set_column(batch.schema.get_field_index(name), name, column)
    return batch
