"""From a WARC file to documents: reading, charset, main text; every response record gets a row."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from udfs.checks import above, at_least, check, one_of
from udfs.documents.rows import DocumentRows
from udfs.documents.schema import (
    DROPPED,
    EXTRACTED,
    EXTRACTED_WITH_POLICY,
    QUARANTINED,
    STAGE,
)
from udfs.html.charset import DECLARED, POLICIES, STRICT_UTF_8, Decoded, decode, strict
from udfs.html.page_policy import RULES as POLICY_RULES
from udfs.html.page_policy import PagePolicySettings, read_policy
from udfs.html.parser import (
    DEFAULT_MAX_MEMORY_BYTES,
    NOT_UTF8,
    Parsed,
    SupervisedParser,
    extractor_version,
    kept_parser,
)
from udfs.quirks import QUIRKS, follows_reference
from udfs.storage.files import ReadSettings, open_stream
from udfs.warc.reader import RecordCounts, WarcRecord, groups, read_records
from udfs.warc.scanner import IN_MEMBER_OFFSET, BrokenRecord, WarcSettings
from udfs.warc.selection import selected_offsets

__all__ = ["ExtractionSettings", "RecordCounts", "SkipUrl", "extract_documents", "extract_one"]


# Read and parsed at a time; a batch of documents has more, which the kernels behind are made for.
_PAGES_AT_A_TIME = 200

# Given URLs, returns per URL (rule or null, value, threshold).
SkipUrl = Callable[[pa.Array], tuple[pa.Array, pa.Array, pa.Array]]


@dataclass(frozen=True, kw_only=True)
class ExtractionSettings:
    """How records become text; the defaults are the reference's (spec 1.1, 1.2)."""

    quirks: str = "dclm-2024"
    # "strict-utf-8", "declared", or "" for what `quirks` implies: strict for dclm-2024.
    charset_policy: str = ""
    # Allowed media types ("text/html"), from the crawler's detection or else the HTTP header;
    # empty: all, as the reference.
    mime_types: tuple[str, ...] = ()
    # Allowed HTTP statuses; empty: all, as the reference.
    http_statuses: tuple[int, ...] = ()
    # The Parquet file of `jobs/plan_crawl.py --offsets`: records that it does not name are dropped
    # unparsed. A new selection wants a new name. Empty: all records.
    selected_records: str = ""
    max_html_size_bytes: int = 16 * 1024 * 1024
    # The longest that the parser may take for one page; a large page takes about a second.
    timeout_seconds: float = 30.0
    # What the parser may allocate for one page. Measured: 16 MiB of nothing but <a> or <p> fits in
    # 2 GiB and not in 1; 16 MiB of unclosed <b>, which each <p> opens anew, does not fit.
    max_parser_memory_bytes: int = DEFAULT_MAX_MEMORY_BYTES
    # A batch of documents: of their texts and addresses, and of pages read at a time.
    batch_size_bytes: int = 8 * 1024 * 1024
    batch_rows: int = 2000
    # Robots directives, reservation of text mining and licence links of pages.
    page_policy: PagePolicySettings = field(default_factory=PagePolicySettings)
    warc: WarcSettings = field(default_factory=WarcSettings)
    reading: ReadSettings = field(default_factory=ReadSettings)

    def __post_init__(self) -> None:
        implied = one_of(("", *POLICIES)).but("'' takes what quirks implies")
        check(self, quirks=one_of(QUIRKS), charset_policy=implied)
        check(self, max_html_size_bytes=at_least(1), max_parser_memory_bytes=at_least(1))
        check(
            self, timeout_seconds=above(0.0), batch_size_bytes=at_least(1), batch_rows=at_least(1)
        )
        for status in self.http_statuses:
            if not 100 <= status <= 599:
                raise ValueError(f"http_statuses: {status} is none; expected numbers 100 to 599")
        for kind in self.mime_types:
            if "/" not in kind:
                raise ValueError(f"mime_types: {kind!r} is none; write for example text/html")

    @property
    def effective_charset_policy(self) -> str:
        """Return the charset policy, resolved from `quirks` where it is not given."""
        implied = STRICT_UTF_8 if follows_reference(self.quirks) else DECLARED
        return self.charset_policy or implied

    @property
    def schema(self) -> pa.Schema:
        """Return the schema of extracted documents."""
        return EXTRACTED_WITH_POLICY if self.page_policy.is_read else EXTRACTED


def extract_documents(
    crawl: str,
    uri: str,
    path: str,
    settings: ExtractionSettings = ExtractionSettings(),
    skip_url: SkipUrl | None = None,
    counts: RecordCounts | None = None,
    parser: SupervisedParser | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the response records of a WARC as documents (`settings.schema`), in file order.

    `fate` is null where text was extracted (it may be empty) and says what happened elsewhere.
    Pages whose URL `skip_url` names a rule for are not parsed. `counts` receives the numbers of
    records of all types, complete once the iterator is exhausted.
    """
    counts = RecordCounts() if counts is None else counts
    parser = parser or kept_parser(settings.timeout_seconds, settings.max_parser_memory_bytes)
    with open_stream(uri, settings=settings.reading) as stream:
        extractor = _Extractor(crawl, path, settings, skip_url, parser)
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


def extract_one(uri: str, offset: int, settings: ExtractionSettings) -> str:
    """Return the main text of the page whose record begins at `offset` of a WARC, "" for none.

    A record inside of a gzip member that holds several cannot be sought and gives "".
    """
    if offset >= IN_MEMBER_OFFSET:
        return ""
    with open_stream(uri, offset, settings.reading) as stream:
        record = next(read_records(stream, settings.warc), None)
    if not isinstance(record, WarcRecord):
        return ""
    page = decode(
        record.payload,
        http_content_type=record.http_content_type,
        detected_charset=record.detected_charset,
        policy=settings.effective_charset_policy,
    )
    limit = settings.max_parser_memory_bytes
    with SupervisedParser(settings.timeout_seconds, max_memory_bytes=limit) as parser:
        text = parser.parse(page.utf8).text if page is not None else None
    return (text or b"").decode()


class _Extractor:
    def __init__(
        self,
        crawl: str,
        path: str,
        settings: ExtractionSettings,
        skip_url: SkipUrl | None,
        parser: SupervisedParser,
    ):
        self._crawl, self._path, self._settings = crawl, path, settings
        self._skip_url, self._parser = skip_url, parser
        self._rows = DocumentRows(crawl, path, settings.schema)
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
        self._rows = DocumentRows(self._crawl, self._path, self._settings.schema)
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
        self._parse(pages)

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
        return decode(
            record.payload,
            http_content_type=record.http_content_type,
            detected_charset=record.detected_charset,
            policy=self._policy,
        )

    def _parse(self, pages: list[tuple[int, Decoded]]) -> None:
        results = self._parser.parse_all([page.utf8 for _, page in pages])
        for (row, page), parsed in zip(pages, results, strict=True):
            if parsed.rule == NOT_UTF8:
                self._rows.fate(DROPPED, STAGE, NOT_UTF8, row=row)
                continue
            self._rows.set("charset", page.charset, row)
            self._rows.set("charset_source", page.source, row)
            if page.num_wrong:
                self._rows.add_damage(f"{page.num_wrong} times no {page.charset}", row)
            self._set_parsed(row, parsed)

    def _set_parsed(self, row: int, parsed: Parsed) -> None:
        if parsed.rule is not None:
            self._rows.fate(QUARANTINED, STAGE, parsed.rule, error=parsed.error, row=row)
            return
        self._rows.set("extractor", extractor_version(), row)
        self._rows.set("text", parsed.text, row)


def _mime_type(record: WarcRecord) -> str:
    declared = record.identified_type or record.http_content_type or ""
    return declared.partition(";")[0].strip().lower()
