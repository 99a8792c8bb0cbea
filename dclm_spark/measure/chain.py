"""The whole chain without Spark: WARC bytes to signals, deduplicated texts, scores and tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from dclm_spark.crawl.listing import InputFile
from dclm_spark.measure.clock import seconds_of
from dclm_spark.measure.inputs import Models
from udfs.dedup.ngrams import NgramDedupSettings, ShardDeduplicator, count_ngrams
from udfs.documents.extract import RecordCounts
from udfs.documents.formats import InputUnit
from udfs.documents.schema import KEPT
from udfs.html.charset import Decoded, decode
from udfs.html.parser import main_text
from udfs.storage.files import open_stream
from udfs.tokens.tokenizer import encode
from udfs.units.curate import curated
from udfs.warc.reader import WarcRecord, read_records

# 9.9 bits an n-gram: a filter of 1 GB, far larger than any cache.
FILTER_NGRAMS = 800_000_000


@dataclass(kw_only=True)
class ChainCounts:
    """What came through; `tokens` are those of documents kept after deduplication."""

    documents: int = 0
    kept: int = 0
    deduplicated: int = 0
    tokens: int = 0


def read_pages(files: Sequence[InputFile]) -> list[WarcRecord]:
    """Floor, first step: return every response record that can be read."""
    records: list[WarcRecord] = []
    for file in files:
        with open_stream(file.uri) as stream:
            records += [record for record in read_records(stream) if isinstance(record, WarcRecord)]
    return records


def decode_pages(records: Sequence[WarcRecord], policy: str) -> list[tuple[str, bytes]]:
    """Floor, second step: return (URL, UTF-8) of the pages that the charset policy lets pass."""
    pages: list[tuple[str, bytes]] = []
    for record in records:
        page: Decoded | None = decode(
            record.payload,
            http_content_type=record.http_content_type,
            detected_charset=record.detected_charset,
            policy=policy,
        )
        if page is not None:
            pages.append((record.url or "", page.utf8))
    return pages


def extract_pages(pages: Sequence[tuple[str, bytes]]) -> list[str]:
    """Floor, third step: return the main text of each page, parsed in this very process."""
    return [main_text(html.decode()) for _, html in pages]


def new_filter(seed: int, ngrams: int | None = None) -> ShardDeduplicator:
    """Return an empty filter of 1 GB, its memory touched: a long run does that only once."""
    deduplicator = ShardDeduplicator(ngrams or FILTER_NGRAMS, NgramDedupSettings(), seed)
    deduplicator._filter.words.fill(0)
    return deduplicator


def curate_pages(
    files: Sequence[InputFile], models: Models, counts: ChainCounts
) -> list[pa.LargeStringArray]:
    """Chain, first half: read, extract and judge pages; return the kept texts, batch by batch."""
    kept: list[pa.LargeStringArray] = []
    for file in files:
        source = InputUnit(crawl=file.crawl, path=file.path, uri=file.uri, kind=file.kind)
        for batch in curated(source, models.curation, RecordCounts()):
            texts = batch.filter(pc.equal(batch.column("fate"), KEPT)).column("text")
            kept.append(texts)
            counts.documents += batch.num_rows
            counts.kept += len(texts)
    return kept


def refine_texts(
    batches: Sequence[pa.LargeStringArray],
    models: Models,
    deduplicator: ShardDeduplicator,
    counts: ChainCounts,
) -> None:
    """Chain, second half: deduplicate, score and tokenize, with the models that there are.

    Every document that is left is tokenized, whatever its score.
    """
    for texts in batches:
        # A shard's filter is sized by a first look at its n-grams.
        count_ngrams(texts, NgramDedupSettings())
        result = deduplicator.deduplicate(texts)
        left = result.text.filter(pa.array(~result.dropped))
        counts.deduplicated += len(left)
        if models.quality is not None:
            models.quality.score(left)
        if models.encoder is not None:
            ids, _ = encode(left, models.encoder)
            counts.tokens += len(ids)


def time_chain(
    files: Sequence[InputFile], models: Models, ngrams: int | None = None
) -> tuple[ChainCounts, float, float]:
    """Return the counts and the CPU seconds of the two halves.

    The filter is made between the halves, as in a run, where they are different tasks: a process
    that forks its parser while it holds a filter of 1 GB pays for every page that it then writes.
    """
    counts = ChainCounts()
    kept: list[pa.LargeStringArray] = []
    curating = seconds_of(lambda: kept.extend(curate_pages(files, models, counts)))
    deduplicator = new_filter(0, ngrams)
    refining = seconds_of(lambda: refine_texts(kept, models, deduplicator, counts))
    return counts, curating, refining
