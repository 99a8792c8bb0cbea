"""From one input file to judged documents: reading, extraction, families, in one pass."""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from udfs.documents.extract import ExtractionSettings, RecordCounts, SkipUrl, extract_documents
from udfs.documents.preextracted import InputSettings, read_documents
from udfs.documents.schema import FATE_FIELDS, KEPT, OWN_COLUMNS, SOURCE_FIELDS
from udfs.fasttext.language import LanguageIdentifier
from udfs.rules import families
from udfs.rules.batch import IdentifyLanguage, JudgedTexts
from udfs.rules.families import HeuristicSettings
from udfs.rules.url_lists import UrlLists, load_url_lists
from udfs.storage.cache import fetch
from udfs.storage.stream import without_secrets
from udfs.units.commit import UnitClock, commit
from udfs.units.fates import FateOutputs, with_fate

STAGE = "heuristics"

# The documents stage's table: where a document comes from, its cleaned text, signals and fate.
DOCUMENTS = pa.schema(
    [
        *SOURCE_FIELDS,
        pa.field("text", pa.string()),
        *families.SIGNALS,
        # 16 bytes: hash of the cleaned text of kept documents, for exact deduplication.
        pa.field("text_hash", pa.binary()),
        *FATE_FIELDS,
    ]
)


@dataclass(frozen=True, kw_only=True)
class InputUnit:
    """One input file of a crawl; `kind` is "warc" or "preextracted"."""

    crawl: str
    path: str
    uri: str
    kind: str


@dataclass(frozen=True, kw_only=True)
class CurationSettings:
    """What the documents stage needs: settings, and (URI, SHA-256) of the lists and the model."""

    extraction: ExtractionSettings
    heuristics: HeuristicSettings
    language_model: tuple[str, str | None]
    # Keyword arguments of `udfs.rules.url_lists.load_url_lists` as (name, URI, SHA-256).
    url_lists: tuple[tuple[str, str, str | None], ...]
    input: InputSettings = field(default_factory=InputSettings)


def documents_schema(columns: InputSettings) -> pa.Schema:
    """Return the schema of the documents stage: DOCUMENTS, with own columns where some are kept."""
    return DOCUMENTS.append(OWN_COLUMNS) if columns.columns else DOCUMENTS


def curate_file(
    source: InputUnit, settings: CurationSettings, *, unit: str, key: str, directory: str
) -> pa.RecordBatch:
    """Commit the documents of one input file, each with its fate, and return the row to report."""
    clock = UnitClock()
    counts = RecordCounts()
    outputs = FateOutputs(directory, unit, documents_schema(settings.input))
    for batch in curated(source, settings, counts):
        outputs.write(batch)
    files, facts = outputs.close()
    return commit(directory, unit, key, files, facts | input_facts(source, counts), clock)


def input_facts(source: InputUnit, counts: RecordCounts) -> dict[str, Any]:
    """Return what a manifest says of the file that was read."""
    uri = without_secrets(source.uri)
    return {"records": asdict(counts), "input": asdict(source) | {"uri": uri}}


def curated(
    source: InputUnit, settings: CurationSettings, counts: RecordCounts
) -> Iterator[pa.RecordBatch]:
    """Yield the documents of one input file with signals and fates (schema DOCUMENTS)."""
    lists = url_lists(settings)
    identify = language_identifier(settings)
    # Pages whose URL fails need no parsing, unless every signal is wanted.
    skip = None
    if settings.heuristics.annotate != "all" and source.kind == "warc":
        skip = partial(families.url_outcomes, settings=settings.heuristics, lists=lists)
    for batch in extracted(source, settings, counts, skip):
        yield judge(batch, settings.heuristics, lists, identify, passed_by_address=skip is not None)


def extracted(
    source: InputUnit,
    settings: CurationSettings,
    counts: RecordCounts,
    skip_url: SkipUrl | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the documents of one input file, no fate where there is a text (schema EXTRACTED).

    Own columns, where some are kept, are null for pages of a WARC.
    """
    crawl, uri, path, extraction = source.crawl, source.uri, source.path, settings.extraction
    if source.kind != "warc":
        yield from read_documents(uri, crawl, path, extraction, counts, settings.input)
        return
    for batch in extract_documents(crawl, uri, path, extraction, skip_url, counts):
        if settings.input.columns:
            batch = batch.append_column(OWN_COLUMNS, pa.nulls(batch.num_rows, OWN_COLUMNS.type))
        yield batch


def judge(
    batch: pa.RecordBatch,
    settings: HeuristicSettings,
    lists: UrlLists,
    identify: IdentifyLanguage,
    passed_by_address: bool = False,
) -> pa.RecordBatch:
    """Add signals, cleaned text and fate to extracted documents (schema DOCUMENTS).

    Documents that reading or extraction gave a fate pass through without signals. Rules on
    addresses are not asked again where documents without a fate have passed them.
    """
    batch = batch.append_column("row", pa.array(range(batch.num_rows), pa.int64()))
    open_rows = pc.is_null(batch.column("fate"))
    parts = [_closed(batch.filter(pc.invert(open_rows)))]
    # A filter copies the texts.
    candidates = batch.filter(open_rows) if pc.any(pc.invert(open_rows)).as_py() else batch
    if candidates.num_rows:
        texts = candidates.column("text")
        urls = None if passed_by_address else candidates.column("url")
        result = families.apply(texts, urls, settings, lists, identify)
        parts.append(_in_order(judged(candidates, result)))
    table = pa.concat_tables([pa.Table.from_batches([part]) for part in parts])
    names = _names(batch)
    table = table.sort_by("row").select(names).combine_chunks()
    return table.to_batches()[0] if table.num_rows else _closed(batch).select(names)


def without_signals(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Give documents that no rule was asked about the columns of DOCUMENTS that they lack."""
    for one in (*families.SIGNALS, DOCUMENTS.field("text_hash")):
        batch = batch.append_column(one, pa.nulls(batch.num_rows, one.type))
    return _replaced(batch, "text", batch.column("text").cast(pa.large_string()))


def judged(batch: pa.RecordBatch, result: JudgedTexts) -> pa.RecordBatch:
    """Give documents without a fate the signals, the text and the fate of `result`."""
    for one in families.SIGNALS:
        batch = batch.append_column(one, result.signals[one.name].cast(one.type))
    batch = _replaced(batch, "text", result.text.cast(pa.large_string()))
    batch = with_fate(
        batch, stage=STAGE, rule=result.rule, value=result.value, threshold=result.threshold
    )
    return batch.append_column(DOCUMENTS.field("text_hash"), _text_hashes(batch))


def _closed(batch: pa.RecordBatch) -> pa.RecordBatch:
    return _in_order(without_signals(batch))


def _text_hashes(batch: pa.RecordBatch) -> pa.Array:
    kept = pc.equal(batch.column("fate"), KEPT)
    texts = pc.if_else(kept, batch.column("text"), None).cast(pa.large_binary()).to_pylist()
    hashes = [
        None if text is None else hashlib.blake2b(text, digest_size=16).digest() for text in texts
    ]
    return pa.array(hashes, pa.binary())


def _replaced(batch: pa.RecordBatch, name: str, column: pa.Array) -> pa.RecordBatch:
    return batch.set_column(batch.schema.get_field_index(name), name, column)


def _in_order(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.select([*_names(batch), "row"])


def _names(batch: pa.RecordBatch) -> list[str]:
    own = [OWN_COLUMNS.name] if OWN_COLUMNS.name in batch.schema.names else []
    return [*DOCUMENTS.names, *own]


def url_lists(settings: CurationSettings) -> UrlLists:
    """Return the lists, fetched and read once per process."""
    return _url_lists(settings.url_lists)


@cache
def _url_lists(references: tuple[tuple[str, str, str | None], ...]) -> UrlLists:
    return load_url_lists(**{name: str(fetch(uri, digest)) for name, uri, digest in references})


def language_identifier(settings: CurationSettings) -> LanguageIdentifier:
    """Return the language model, fetched and loaded once per process."""
    return _language_identifier(settings.language_model, settings.heuristics.language_quirks)


@cache
def _language_identifier(model: tuple[str, str | None], quirks: str) -> LanguageIdentifier:
    return LanguageIdentifier(fetch(*model), quirks)
