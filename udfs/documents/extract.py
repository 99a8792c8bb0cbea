"""From a WARC file to documents: reading, charset, main text; every response record gets a row."""

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa

from udfs.documents.extraction_settings import DEFAULT_SETTINGS, ExtractionSettings
from udfs.documents.prescreen import OTHER_LANGUAGE_SCORE, Glance
from udfs.documents.prescreen import RULE as PRESCREEN_RULE
from udfs.documents.rows import DocumentRows
from udfs.documents.schema import DROPPED, QUARANTINED, STAGE
from udfs.documents.views import failures, text_columns
from udfs.html.charset import STRICT_UTF_8, Decoded, decode, strict
from udfs.html.extractor import without_counts
from udfs.html.extractors import EXTRACTORS, label_of
from udfs.html.page_policy import RULES as POLICY_RULES
from udfs.html.page_policy import read_policy
from udfs.html.parser import NOT_UTF8, Parsed, SupervisedParser, kept_parser
from udfs.storage.files import open_stream
from udfs.warc.body_kinds import is_binary
from udfs.warc.reader import RecordCounts, WarcRecord, groups, read_records
from udfs.warc.scanner import BrokenRecord
from udfs.warc.selection import selected_offsets

__all__ = ["ExtractionSettings", "RecordCounts", "SkipUrl", "extract_documents", "extract_pages"]


# Read and parsed at a time; a batch of documents has more, which the kernels behind are made for.
_PAGES_AT_A_TIME = 200

# What gzip members and Zstandard frames begin with.
_COMPRESSED = (b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd")
# Charsets whose text is full of the bytes that data is full of.
_WIDE = ("utf-16", "utf-32")

# Given URLs, returns per URL (rule or null, value, threshold).
SkipUrl = Callable[[pa.Array], tuple[pa.Array, pa.Array, pa.Array]]


def extract_documents(
    crawl: str,
    uri: str,
    path: str,
    settings: ExtractionSettings = DEFAULT_SETTINGS,
    skip_url: SkipUrl | None = None,
    counts: RecordCounts | None = None,
    parser: SupervisedParser | None = None,
    glance: Glance | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the response records of a WARC as documents (`settings.rows_schema`), in file order.

    `fate` is null where text was extracted (it may be empty) and says what happened elsewhere.
    Pages whose URL `skip_url` names a rule for are not parsed, nor those that `glance` speaks
    against. `counts` receives the numbers of records of all types, complete once the iterator is
    exhausted.
    """
    counts = RecordCounts() if counts is None else counts
    limits = settings.timeout_seconds, settings.max_parser_memory_bytes
    parser = parser or kept_parser(*limits, settings.extractors)
    with open_stream(uri, settings=settings.reading) as stream:
        extractor = _Extractor(crawl, path, settings, skip_url, parser, glance)
        most = min(settings.batch_rows, _PAGES_AT_A_TIME)
        found = read_records(stream, settings.warc, counts)
        for records in groups(found, settings.batch_size_bytes, most):
            extractor.add(records)
            # The judge of a batch needs the memory that its pages take.
            records.clear()
            if extractor.is_full:
                yield extractor.batch()
        if extractor.has_rows:
            yield extractor.batch()


def extract_pages(pages: Sequence[WarcRecord], settings: ExtractionSettings) -> pa.RecordBatch:
    """Return what `extract_documents` makes of pages that somebody else has read, in their order.

    Their identity is made of nothing but their offsets.
    """
    limits = settings.timeout_seconds, settings.max_parser_memory_bytes
    extractor = _Extractor("", "", settings, None, kept_parser(*limits, settings.extractors))
    for start in range(0, len(pages), _PAGES_AT_A_TIME):
        extractor.add(list(pages[start : start + _PAGES_AT_A_TIME]))
    return extractor.batch()


class _Extractor:
    def __init__(
        self,
        crawl: str,
        path: str,
        settings: ExtractionSettings,
        skip_url: SkipUrl | None,
        parser: SupervisedParser,
        glance: Glance | None = None,
    ):
        self._crawl, self._path, self._settings = crawl, path, settings
        self._skip_url, self._parser, self._glance = skip_url, parser, glance
        self._label = label_of(settings.extractor)
        self._gives_counts = any(EXTRACTORS[name].counts for name in settings.extractors)
        self._rows = DocumentRows(crawl, path, settings.rows_schema)
        self._policy = settings.effective_charset_policy
        self._selected = None
        if settings.selected_records:
            self._selected = selected_offsets(settings.selected_records, path, settings.reading)

    @property
    def has_rows(self) -> bool:
        return len(self._rows) > 0

    @property
    def is_full(self) -> bool:
        settings, rows = self._settings, self._rows
        return len(rows) >= settings.batch_rows or rows.size_bytes >= settings.batch_size_bytes

    def batch(self) -> pa.RecordBatch:
        """Return what was added since the last call."""
        rows = self._rows
        self._rows = DocumentRows(self._crawl, self._path, self._settings.rows_schema)
        return rows.batch()

    def add(self, records: list[WarcRecord | BrokenRecord]) -> None:
        skipped = self._skipped(records)
        pages: list[tuple[int, Decoded]] = []
        for index, record in enumerate(records):
            if isinstance(record, BrokenRecord):
                self._rows.add(record.offset, url=record.url)
                self._rows.fate(QUARANTINED, STAGE, record.rule, error=record.reason)
                continue
            self._add_row(record)
            if index in skipped:
                rule, value, threshold = skipped[index]
                self._rows.fate(DROPPED, STAGE, rule, value, threshold)
            elif not self._refused(record) and (page := self._decoded(record)):
                pages.append((len(self._rows) - 1, page))
        self._parse(pages if self._glance is None else self._screened(pages, self._glance))

    def _screened(
        self, pages: list[tuple[int, Decoded]], glance: Glance
    ) -> list[tuple[int, Decoded]]:
        """Drop the pages that a look at their bytes speaks against; return the others."""
        settings, kept = self._settings.prescreen, []
        scores = glance([page.utf8 for _, page in pages]).tolist() if pages else []
        for (row, page), score in zip(pages, scores, strict=True):
            self._rows.set(OTHER_LANGUAGE_SCORE.name, score, row)
            if settings.drops(self._rows.doc_id(row), score):
                limit = settings.min_other_language_score
                self._rows.fate(DROPPED, STAGE, PRESCREEN_RULE, score, limit, row=row)
            else:
                kept.append((row, page))
        return kept

    def _add_row(self, record: WarcRecord) -> None:
        self._rows.add(
            record.offset,
            url=record.url,
            fetch_time=record.fetch_time,
            http_status=record.http_status,
            content_type=record.http_content_type,
            html_size_bytes=len(record.payload),
            damage=record.damage,
        )

    def _skipped(
        self, records: list[WarcRecord | BrokenRecord]
    ) -> dict[int, tuple[str, float | None, float | None]]:
        if self._skip_url is None:
            return {}
        urls = pa.array([record.url or "" for record in records], pa.string())
        rules, values, thresholds = (column.to_pylist() for column in self._skip_url(urls))
        outcomes = zip(rules, values, thresholds, strict=True)
        return {index: outcome for index, outcome in enumerate(outcomes) if outcome[0]}

    def _refused(self, record: WarcRecord) -> bool:
        """Apply the selection, and the status, media type and size policies."""
        settings, rows, size = self._settings, self._rows, len(record.payload)
        if self._selected is not None and record.offset not in self._selected:
            rows.fate(DROPPED, STAGE, "not_selected")
        elif settings.http_statuses and record.http_status not in settings.http_statuses:
            rows.fate(DROPPED, STAGE, "http_status", record.http_status)
        elif settings.mime_types and _mime_type(record) not in settings.mime_types:
            rows.fate(DROPPED, STAGE, "mime_type", error=_mime_type(record) or "no media type")
        elif size > settings.max_html_size_bytes:
            rows.fate(QUARANTINED, STAGE, "html_too_large", size, settings.max_html_size_bytes)
        elif self._policy != STRICT_UTF_8 and record.payload.startswith(_COMPRESSED):
            # No charset makes text of it; strict UTF-8 does not take it for text anyway.
            reason = "the body is compressed, and no header says so"
            rows.fate(QUARANTINED, STAGE, "could_not_decode", error=reason)
        else:
            return settings.page_policy.is_read and self._is_reserved(record)
        return True

    def _is_reserved(self, record: WarcRecord) -> bool:
        """Store what the page says of its use; drop it where that is a rule of the recipe."""
        policy = read_policy(record.payload, record.x_robots_tag, record.tdm_reservation)
        for name, value in policy.columns().items():
            self._rows.set(name, value)
        wanted = self._settings.page_policy.drop
        rules = [rule for rule in POLICY_RULES if rule in wanted and rule in policy.reserved]
        if rules:
            self._rows.fate(DROPPED, STAGE, rules[0])
        return bool(rules)

    def _decoded(self, record: WarcRecord) -> Decoded | None:
        if self._policy == STRICT_UTF_8:
            # The parser decodes every page, and tells which ones are not UTF-8.
            return strict(record.payload)
        page = decode(
            record.payload,
            http_content_type=record.http_content_type,
            detected_charset=record.detected_charset,
            policy=self._policy,
        )
        if page and not page.charset.startswith(_WIDE) and is_binary(record.payload):
            reason = "the body is no text: data of a medium, or coded in a way that no header names"
            self._rows.fate(QUARANTINED, STAGE, "could_not_decode", error=reason)
            return None
        return page

    def _parse(self, pages: list[tuple[int, Decoded]]) -> None:
        results = self._parser.parse_all([page.utf8 for _, page in pages])
        views = len(self._settings.extractors)
        for place, (row, page) in enumerate(pages):
            parsed = results[place * views : (place + 1) * views]
            if parsed[0].rule == NOT_UTF8:
                self._rows.fate(DROPPED, STAGE, NOT_UTF8, row=row)
                continue
            self._rows.set("charset", page.charset, row)
            self._rows.set("charset_source", page.source, row)
            if page.num_wrong:
                self._rows.add_damage(f"{page.num_wrong} times no {page.charset}", row)
            self._set_parsed(row, parsed)

    def _set_parsed(self, row: int, parsed: list[Parsed]) -> None:
        """Store the texts of a page; without any, its fate is that of the first view."""
        views = self._settings.views
        if self._gives_counts:
            parsed = [
                self._counted(row, name, one)
                for name, one in zip(self._settings.extractors, parsed, strict=True)
            ]
        if views:
            self._rows.set("failed_views", failures(views, parsed), row)
        if all(one.rule is not None for one in parsed):
            first = parsed[0]
            self._rows.fate(QUARANTINED, STAGE, str(first.rule), error=first.error, row=row)
        elif views:
            for column, one in zip(text_columns(views), parsed, strict=True):
                self._rows.set(column, one.text, row)
        else:
            self._rows.set("extractor", self._label, row)
            self._rows.set("text", parsed[0].text, row)

    def _counted(self, row: int, name: str, parsed: Parsed) -> Parsed:
        """Store the numbers that an extractor gives with a text; return the text without them."""
        columns = EXTRACTORS[name].counts
        if not columns or parsed.text is None:
            return parsed
        text, counts = without_counts(parsed.text)
        for column, count in zip(columns, counts, strict=True):
            self._rows.set(column, count, row)
        return Parsed(text)


def _mime_type(record: WarcRecord) -> str:
    declared = record.identified_type or record.http_content_type or ""
    return declared.partition(";")[0].strip().lower()
