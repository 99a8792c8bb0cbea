"""From one input file to judged documents: reading, extraction, families, in one pass."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache, partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from udfs.documents.extract import ExtractionSettings, RecordCounts, SkipUrl, extract_documents
from udfs.documents.preextracted import read_documents
from udfs.documents.rows import DocumentRows
from udfs.documents.schema import KEPT, QUARANTINED, STAGE
from udfs.fasttext.language import LanguageIdentifier
from udfs.rules import families
from udfs.rules.batch import JudgedTexts
from udfs.rules.families import HeuristicSettings
from udfs.rules.url_lists import UrlLists, load_url_lists
from udfs.storage.cache import fetch
from udfs.storage.stream import StorageError, shown, without_secrets
from udfs.units.commit import UnreadableInputError
from udfs.units.documents import DOCUMENTS
from udfs.units.fates import with_fate
from udfs.units.output import UnitOutput

# The rule of the one document that stands for a file which could not be read.
UNREADABLE = "unreadable_input"


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
    # Input files that a run may lack; see `dclm_spark.stages.documents.InputLimits`.
    max_failed_inputs: int = 0


def curate_file(source: dict[str, Any], output: UnitOutput, settings: CurationSettings) -> None:
    """Write the documents of one input file (an InputUnit's fields), each with its fate."""
    file, counts = InputUnit(**source), RecordCounts()
    for batch in curated(file, settings, counts):
        output.write(batch)
    output.facts |= input_facts(file, counts)


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
    every_signal = settings.heuristics.annotate == "all"
    rules = partial(_url_rules, settings=settings.heuristics, lists=lists)
    for batch in extracted(source, settings.extraction, counts, None if every_signal else rules):
        yield judge(batch, settings.heuristics, lists, identify)


def extracted(
    source: InputUnit,
    settings: ExtractionSettings,
    counts: RecordCounts,
    skip_url: SkipUrl | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the documents of one input file, no fate where there is a text (schema EXTRACTED).

    Raises UnreadableInputError whatever goes wrong on the way.
    """
    try:
        if source.kind == "warc":
            yield from extract_documents(
                source.crawl, source.uri, source.path, settings, skip_url, counts
            )
        else:
            yield from read_documents(source.uri, source.crawl, source.path, settings, counts)
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
    output.write(without_signals(rows.batch()).select(output.schema.names))
    output.facts |= input_facts(file, RecordCounts(broken=1))


def judge(
    batch: pa.RecordBatch,
    settings: HeuristicSettings,
    lists: UrlLists,
    identify: Callable[[pa.Array], Any],
) -> pa.RecordBatch:
    """Add signals, cleaned text and fate to extracted documents (schema DOCUMENTS).

    Documents that reading or extraction gave a fate pass through without signals.
    """
    batch = batch.append_column("row", pa.array(range(batch.num_rows), pa.int64()))
    open_rows = pc.is_null(batch.column("fate"))
    parts = [_closed(batch.filter(pc.invert(open_rows)))]
    # A filter copies the texts.
    candidates = batch.filter(open_rows) if pc.any(pc.invert(open_rows)).as_py() else batch
    if candidates.num_rows:
        texts, urls = candidates.column("text"), candidates.column("url")
        result = families.apply(texts, urls, settings, lists, identify)
        parts.append(_in_order(judged(candidates, result)))
    table = pa.concat_tables([pa.Table.from_batches([part]) for part in parts])
    table = table.sort_by("row").select(DOCUMENTS.names).combine_chunks()
    return table.to_batches()[0] if table.num_rows else _closed(batch).select(DOCUMENTS.names)


def without_signals(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Give documents that no rule was asked about the columns of DOCUMENTS that they lack."""
    for field in (*families.SIGNALS, DOCUMENTS.field("text_hash")):
        batch = batch.append_column(field, pa.nulls(batch.num_rows, field.type))
    return _replaced(batch, "text", batch.column("text").cast(pa.large_string()))


def judged(batch: pa.RecordBatch, result: JudgedTexts) -> pa.RecordBatch:
    """Give documents without a fate the signals, the text and the fate of `result`."""
    for field in families.SIGNALS:
        batch = batch.append_column(field, result.signals[field.name].cast(field.type))
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
    return batch.select([*DOCUMENTS.names, "row"])


def _url_rules(urls: pa.Array, *, settings: HeuristicSettings, lists: UrlLists) -> Any:
    return families.url_outcomes(urls, settings, lists)


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
