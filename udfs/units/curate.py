"""From one input file to judged documents: reading, extraction, families, in one pass."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from udfs.documents.extract import ExtractionSettings, RecordCounts, SkipUrl
from udfs.documents.formats import FORMATS, InputUnit, Reading, input_facts, read_unit
from udfs.documents.given import InputSettings
from udfs.documents.prescreen import Glance, other_language_scores, prescreen_counts
from udfs.documents.rows import DocumentRows
from udfs.documents.schema import FATE_FIELDS, OWN_COLUMNS, QUARANTINED, STAGE
from udfs.documents.views import counts_of_failures, text_columns
from udfs.fasttext.language import LanguageIdentifier
from udfs.languages.codes import is_code
from udfs.rules import families
from udfs.rules.batch import JudgedTexts
from udfs.rules.cleaning.redaction import RedactionSettings, redact
from udfs.rules.families import HeuristicSettings
from udfs.rules.family import Tools
from udfs.rules.url_lists import UrlLists, load_url_lists
from udfs.rules.urls import AddressCounts
from udfs.storage.cache import fetch
from udfs.storage.stream import StorageError, shown
from udfs.units.commit import UnreadableInputError
from udfs.units.documents import TEXT_HASH, UNCHANGED, text_hashes
from udfs.units.fates import with_fate
from udfs.units.output import UnitOutput
from udfs.units.view_choice import judge_views

# The fact of a unit that counts failures by "view: rule".
FAILED_VIEWS = "failed_views"
# The fact of a unit that counts what was dropped by a look at the language, and what was audited.
PRESCREEN = "language_prescreen"
# The rule of the one document that stands for a file which could not be read.
UNREADABLE = "unreadable_input"


@dataclass(frozen=True, kw_only=True)
class CurationSettings:
    """What the documents stage needs: settings, and (URI, SHA-256) of the lists and the model."""

    extraction: ExtractionSettings
    heuristics: HeuristicSettings
    language_model: tuple[str, str | None]
    # Keyword arguments of `udfs.rules.url_lists.load_url_lists` as (name, URI, SHA-256).
    url_lists: tuple[tuple[str, str, str | None], ...]
    input: InputSettings = field(default_factory=InputSettings)
    redaction: RedactionSettings = field(default_factory=RedactionSettings)
    # Input files that a run may lack; see `dclm_spark.limits.LimitSettings`.
    max_failed_inputs: int = 0
    # What texts are hashed as, for exact deduplication: UNCHANGED or COMPOSED.
    text_normalization: str = UNCHANGED

    @property
    def signals(self) -> list[pa.Field]:
        """Return the columns that judging adds: signals, then counts of what was replaced."""
        return [*families.SIGNALS, *self.redaction.columns]

    @property
    def schema(self) -> pa.Schema:
        """Return the schema of the documents: DOCUMENTS and the columns that settings ask for."""
        extracted = list(self.extraction.schema)
        before = len(extracted) - len(FATE_FIELDS)
        own = [OWN_COLUMNS] if self.input.columns else []
        return pa.schema([*extracted[:before], *self.signals, TEXT_HASH, *own, *FATE_FIELDS])


def curate_file(source: dict[str, Any], output: UnitOutput, settings: CurationSettings) -> None:
    """Write the documents of one input file (an InputUnit's fields), each with its fate."""
    file, counts, addresses = InputUnit(**source), RecordCounts(), AddressCounts()
    failed: Counter[str] = Counter()
    looks: Counter[str] = Counter()
    for batch in curated(file, settings, counts, addresses):
        output.write(batch)
        if settings.extraction.views:
            failed += counts_of_failures(batch.column("failed_views"))
        if settings.extraction.prescreen.enabled:
            looks.update(prescreen_counts(batch, settings.extraction.prescreen))
    output.facts |= input_facts(file, counts) | asdict(addresses)
    if failed:
        output.facts[FAILED_VIEWS] = dict(failed)
    if looks:
        output.facts[PRESCREEN] = dict(looks)


def curated(
    source: InputUnit,
    settings: CurationSettings,
    counts: RecordCounts,
    addresses: AddressCounts | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the documents of one input file with signals and fates (`settings.schema`)."""
    tools = Tools(url_lists(settings), language_identifier(settings))
    # Pages whose URL or language fails need no parsing, unless every signal is wanted.
    skip = glance = None
    if settings.heuristics.annotate != "all" and FORMATS[source.kind].has_pages:
        skip = partial(
            families.url_outcomes,
            settings=settings.heuristics,
            lists=tools.lists,
            counts=addresses,
        )
        if settings.extraction.prescreen.enabled:
            glance = partial(
                other_language_scores,
                settings=settings.extraction.prescreen,
                wanted=settings.heuristics.language,
                identify=tools.identify_language,
            )
    for batch in extracted(source, settings, counts, skip, glance):
        # No document is judged by its address twice.
        asked = batch.column("url") if skip is None else None
        yield judge(batch, asked, settings, tools, addresses)


def extracted(
    source: InputUnit,
    settings: CurationSettings,
    counts: RecordCounts,
    skip_url: SkipUrl | None = None,
    glance: Glance | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the documents of one input file, no fate where there is a text (schema EXTRACTED).

    Raises UnreadableInputError whatever goes wrong on the way.
    """
    reading = Reading(
        extraction=settings.extraction,
        columns=settings.input,
        skip_url=skip_url,
        glance=glance,
        counts=counts,
    )
    try:
        yield from read_unit(source, reading)
    except Exception as error:
        raise UnreadableInputError(_unreadable(source, counts, error)) from error


def _unreadable(source: InputUnit, counts: RecordCounts, error: Exception) -> str:
    uri, documents = shown(source.uri), counts.response + counts.broken
    cause = str(error) if isinstance(error, StorageError) else f"{type(error).__name__}: {error}"
    cause = cause.removeprefix(f"{uri}: ")
    return f"{uri} (crawl {source.crawl}, after {documents} documents): {cause}"


def quarantine_file(source: dict[str, Any], error: str, output: UnitOutput) -> None:
    """Write one quarantined document in place of a file that cannot be read."""
    file = InputUnit(**source)
    rows = DocumentRows(file.crawl, file.path)
    rows.add(0)
    rows.fate(QUARANTINED, STAGE, UNREADABLE, error=error)
    batch = rows.batch()
    for column in output.schema:
        if column.name not in batch.schema.names:
            batch = batch.append_column(column, pa.nulls(batch.num_rows, column.type))
    output.write(batch.select(output.schema.names))
    output.facts |= input_facts(file, RecordCounts(broken=1))


def judge(
    batch: pa.RecordBatch,
    urls: pa.Array | None,
    settings: CurationSettings,
    tools: Tools,
    addresses: AddressCounts | None = None,
) -> pa.RecordBatch:
    """Add signals, cleaned text and fate to extracted documents (`settings.schema`).

    Documents that reading or extraction gave a fate pass through without signals. Without `urls`
    no rule on addresses is asked: those without a fate have passed them.
    """
    names = settings.schema.names
    open_rows = pc.is_null(batch.column("fate"))
    if batch.num_rows and not settings.extraction.views and pc.all(open_rows).as_py():
        batch, result = _judged_texts(batch, urls, settings, tools, addresses)
        return judged(batch, result, settings).select(names)
    batch = batch.append_column("row", pa.array(range(batch.num_rows), pa.int64()))
    closed = without_signals(batch.filter(pc.invert(open_rows)), settings)
    parts = [closed.select([*names, "row"])]
    # A filter copies the texts.
    is_mixed = pc.any(pc.invert(open_rows)).as_py()
    candidates = batch.filter(open_rows) if is_mixed else batch
    if candidates.num_rows:
        if urls is not None and is_mixed:
            urls = urls.filter(open_rows)
        candidates, result = _judged_texts(candidates, urls, settings, tools, addresses)
        parts.append(judged(candidates, result, settings).select([*names, "row"]))
    table = pa.concat_tables([pa.Table.from_batches([part]) for part in parts])
    table = table.sort_by("row").select(names).combine_chunks()
    return table.to_batches()[0] if table.num_rows else closed.select(names)


def _judged_texts(
    batch: pa.RecordBatch,
    urls: pa.Array | None,
    settings: CurationSettings,
    tools: Tools,
    addresses: AddressCounts | None,
) -> tuple[pa.RecordBatch, JudgedTexts]:
    """Judge the one text of each document, or each of its views (texts by views are columns)."""
    heuristics, views = settings.heuristics, text_columns(settings.extraction.views)
    if not views or views[0] not in batch.schema.names:
        text = batch.column("text")
        return batch, families.apply(text, urls, heuristics, *tools, addresses)
    judge = partial(_apply, settings=heuristics, tools=tools)
    return judge_views(batch, urls, settings.extraction, judge)


def _apply(
    texts: pa.Array, urls: pa.Array | None, settings: HeuristicSettings, tools: Tools
) -> JudgedTexts:
    return families.apply(texts, urls, settings, *tools)


def without_signals(batch: pa.RecordBatch, settings: CurationSettings) -> pa.RecordBatch:
    """Give documents that no rule was asked about the columns that they lack."""
    for column in (*settings.signals, TEXT_HASH):
        batch = batch.append_column(column, pa.nulls(batch.num_rows, column.type))
    return _replaced(batch, "text", batch.column("text").cast(pa.large_string()))


def judged(
    batch: pa.RecordBatch, result: JudgedTexts, settings: CurationSettings
) -> pa.RecordBatch:
    """Give documents without a fate the signals, the text and the fate of `result`."""
    text, counts = _redacted(result, settings.redaction)
    for column in settings.signals:
        values = counts.get(column.name)
        if values is None:
            values = result.signals[column.name]
        batch = batch.append_column(column, values.cast(column.type))
    batch = _replaced(batch, "text", text.cast(pa.large_string()))
    batch = with_fate(
        batch, stage=STAGE, rule=result.rule, value=result.value, threshold=result.threshold
    )
    hashes = text_hashes(batch, settings.text_normalization)
    return batch.append_column(TEXT_HASH, hashes)


def _redacted(
    result: JudgedTexts, settings: RedactionSettings
) -> tuple[pa.LargeStringArray, dict[str, pa.Array]]:
    """Return texts, those of kept documents redacted, and the counts; null for the others."""
    if not settings.columns:
        return result.text, {}
    kept = pc.is_null(result.rule)
    texts, counts = redact(result.text.filter(kept), settings)
    nulls = pa.nulls(len(kept), pa.int32())
    return pc.replace_with_mask(result.text, kept, texts), {
        name: pc.replace_with_mask(nulls, kept, pa.array(values)) for name, values in counts.items()
    }


def _replaced(batch: pa.RecordBatch, name: str, column: pa.Array) -> pa.RecordBatch:
    return batch.set_column(batch.schema.get_field_index(name), name, column)


def url_lists(settings: CurationSettings) -> UrlLists:
    """Return the lists, fetched and read once per process."""
    return _url_lists(settings.url_lists)


@cache
def _url_lists(references: tuple[tuple[str, str, str | None], ...]) -> UrlLists:
    return load_url_lists(**{name: str(fetch(uri, digest)) for name, uri, digest in references})


def language_identifier(settings: CurationSettings) -> LanguageIdentifier:
    """Return the language model, fetched and loaded once per process.

    It names codes where the rules want a code.
    """
    heuristics = settings.heuristics
    codes = is_code(heuristics.language)
    return _language_identifier(settings.language_model, heuristics.language_quirks, codes)


@cache
def _language_identifier(
    model: tuple[str, str | None], quirks: str, codes: bool
) -> LanguageIdentifier:
    return LanguageIdentifier(fetch(*model), quirks, codes)
