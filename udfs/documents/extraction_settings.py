"""How records become text: the settings of extraction."""

from dataclasses import dataclass, field

import pyarrow as pa

from udfs.checks import above, at_least, check, one_of
from udfs.documents.prescreen import OTHER_LANGUAGE_SCORE, PrescreenSettings
from udfs.documents.schema import FATE_FIELDS, SOURCE_FIELDS, TEXT
from udfs.documents.views import VIEW_CHOICES, VIEW_FIELDS, text_columns
from udfs.html.charset import DECLARED, POLICIES, STRICT_UTF_8
from udfs.html.extractors import DEFAULT, EXTRACTORS, counts_of
from udfs.html.page_policy import COLUMNS as POLICY_FIELDS
from udfs.html.page_policy import PagePolicySettings
from udfs.html.parser import DEFAULT_MAX_MEMORY_BYTES
from udfs.quirks import QUIRKS, follows_reference
from udfs.storage.files import ReadSettings
from udfs.warc.scanner import WarcSettings


@dataclass(frozen=True, kw_only=True)
class ExtractionSettings:
    """How records become text; the defaults are the reference's (spec 1.1, 1.2)."""

    # The recipe's `quirks`; set that one alone.
    quirks: str = "dclm-2024"
    # A name in udfs.html.extractors.EXTRACTORS; docs/extraction.md compares them.
    extractor: str = DEFAULT
    # Several of them instead: the rules judge each text of a page, and `view_choice` takes, of
    # those that pass, the "longest", the "first" in this order, or the "union" of paragraphs.
    views: tuple[str, ...] = ()
    # Which text of a page with several `views` stays: "longest", "first" or "union".
    view_choice: str = VIEW_CHOICES[0]
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
    # A larger page is not parsed: its record is quarantined.
    max_html_size_bytes: int = 16 * 1024 * 1024
    # The longest that the parser may take for one page; a large page takes about a second.
    timeout_seconds: float = 30.0
    # What the parser may allocate for one page. Measured: 16 MiB of nothing but <a> or <p> fits in
    # 2 GiB and not in 1; 16 MiB of unclosed <b>, which each <p> opens anew, does not fit.
    max_parser_memory_bytes: int = DEFAULT_MAX_MEMORY_BYTES
    # A batch of documents: of their texts and addresses, and of pages read at a time.
    batch_size_bytes: int = 8 * 1024 * 1024
    # The most documents of such a batch.
    batch_rows: int = 2000
    # Robots directives, reservation of text mining and licence links of pages.
    page_policy: PagePolicySettings = field(default_factory=PagePolicySettings)
    # Pages in other languages dropped before they are parsed.
    prescreen: PrescreenSettings = field(default_factory=PrescreenSettings)
    warc: WarcSettings = field(default_factory=WarcSettings)
    reading: ReadSettings = field(default_factory=ReadSettings)

    def __post_init__(self) -> None:
        implied = one_of(("", *POLICIES)).but("'' takes what quirks implies")
        check(self, quirks=one_of(QUIRKS), charset_policy=implied)
        check(self, extractor=one_of(tuple(EXTRACTORS)), view_choice=one_of(VIEW_CHOICES))
        if unknown := [name for name in self.views if name not in EXTRACTORS]:
            raise ValueError(f"views: {unknown[0]!r}: expected names of {', '.join(EXTRACTORS)}")
        if len(set(self.views)) < len(self.views):
            raise ValueError(f"views = {list(self.views)}: expected each name once")
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
    def extractors(self) -> tuple[str, ...]:
        """Return the names of the extractors that each page goes through."""
        return self.views or (self.extractor,)

    @property
    def schema(self) -> pa.Schema:
        """Return the schema of extracted documents, EXTRACTED and what settings ask for."""
        policy = POLICY_FIELDS if self.page_policy.is_read else ()
        looks = (OTHER_LANGUAGE_SCORE,) if self.prescreen.enabled else ()
        views = VIEW_FIELDS if self.views else ()
        counts = [pa.field(name, pa.int32()) for name in counts_of(self.extractors)]
        return pa.schema([*SOURCE_FIELDS, *policy, *looks, *views, *counts, TEXT, *FATE_FIELDS])

    @property
    def rows_schema(self) -> pa.Schema:
        """Return `schema` with a column for the text of each view, whose `text` is null."""
        texts = [pa.field(name, TEXT.type) for name in text_columns(self.views)]
        return pa.schema([*self.schema, *texts])


DEFAULT_SETTINGS = ExtractionSettings()
