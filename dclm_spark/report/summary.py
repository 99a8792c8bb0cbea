"""What the report of a run is written from: plain values read off committed manifests."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dclm_spark.html_pages.charts import Histogram, Limit
from dclm_spark.stages.language_texts import LanguageCorpus


@dataclass(frozen=True, kw_only=True)
class StageSummary:
    """What one stage did with the documents that reached it.

    `documents_in` must equal kept + dropped + quarantined. `rules` counts the documents that each
    rule (of drops) or error kind (of quarantines) took. `seconds` is wall time on the driver, of
    all drivers that worked on the run (None where not measured); `task_seconds` and `cpu_seconds`
    are summed over the tasks that wrote the stage's files; `bytes_in` are the bytes of text that
    the stage read.
    """

    name: str
    documents_in: int
    kept: int
    dropped: int
    quarantined: int
    text_bytes_kept: int
    seconds: float | None = None
    task_seconds: float | None = None
    cpu_seconds: float | None = None
    bytes_in: int | None = None
    rules: Mapping[str, int] = field(default_factory=dict)

    @property
    def balanced(self) -> bool:
        """Whether every document that came in has exactly one fate."""
        return self.documents_in == self.kept + self.dropped + self.quarantined


@dataclass(frozen=True, kw_only=True)
class FunnelStep:
    """What is left after one step: documents, bytes of text and (where counted) tokens.

    `description` says what the rule or stage of this step looks at.
    """

    label: str
    documents: int
    text_bytes: int | None = None
    tokens: int | None = None
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class RuleCount:
    """How many documents one rule of one stage removed.

    `threshold` is the value in the tables, `limits` are what the recipe compares with. `fate` is
    dropped or quarantined. `description` says what the rule looks at, `advice` what a person does
    about a quarantined record.
    """

    stage: str
    rule: str
    documents: int
    threshold: float | None = None
    fate: str = "dropped"
    description: str = ""
    limits: tuple[Limit, ...] = ()
    advice: str = ""


@dataclass(frozen=True, kw_only=True)
class LanguageCount:
    """Documents with this top language among those identified, and how many the corpus has."""

    language: str
    documents: int
    kept: int


@dataclass(frozen=True, kw_only=True)
class DomainCount:
    """Documents read from one host, how many the corpus has, and the bytes of their text.

    `kept` is None where the host is none of the largest whose documents were counted to the end.
    """

    domain: str
    documents: int
    kept: int | None
    text_bytes_kept: int | None = None


@dataclass(frozen=True, kw_only=True)
class ValueCounts:
    """The most frequent values of a column of texts, with their documents, and how many differ."""

    name: str
    values: tuple[tuple[str, int], ...]
    distinct: int
    nulls: int


@dataclass(frozen=True, kw_only=True)
class SamplePage:
    """A page that a rule removed (or, with rule "kept", one that stayed), for a person to judge.

    `limit_side` says which limit `threshold` is: "minimum", "maximum", "below", or "" for none.
    `charset_source` says where `charset` is declared; `fate` is that of the page.
    """

    rule: str
    url: str
    doc_id: str = ""
    warc_path: str = ""
    warc_offset: int | None = None
    language: str = ""
    charset: str = ""
    charset_source: str = ""
    fate: str = "dropped"
    limit_side: str = ""
    value: float | None = None
    threshold: float | None = None
    text: str = ""
    error: str = ""
    stage: str = ""


@dataclass(frozen=True, kw_only=True)
class DuplicatePair:
    """A removed document beside the one that made it a duplicate; similarity from 0 to 1."""

    kind: str
    similarity: float
    left_url: str
    left_text: str
    right_url: str
    right_text: str


@dataclass(frozen=True, kw_only=True)
class DedupPrecision:
    """Of `sampled` removals by a rule, how many were as alike as it says; 95 % interval low..high.

    `measure` names the similarity of the texts that was compared with `threshold`.
    """

    rule: str
    measure: str
    threshold: float
    sampled: int
    right: int
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class InformationLoss:
    """Of `total` sampled distinct n-grams (`measure`), the `lost` that no kept document has.

    Those of the whole corpus, or of one source, domain, language, or rule that removed documents
    (`group`, `name`). `low` and `high` bound the share with 95 %; `by_component` is what removing
    all but the first of each cluster would lose, None where it is not known.
    """

    measure: str
    group: str
    name: str
    total: int
    lost: int
    share: float
    low: float
    high: float
    by_component: float | None = None


@dataclass(frozen=True, kw_only=True)
class BandSummary:
    """What the bands of a signature find: (similarity, chance that such a pair meets) points.

    `recall` is the chance at `threshold`.
    """

    bands: int
    rows: int
    threshold: float
    recall: float
    curve: tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class DedupSummary:
    """What deduplication removed and how sure that is.

    `clusters` has (rule, documents, clusters): clusters of that many documents up to twice as
    many. `domains` counts the documents that came in and stayed. `tokens_removed` is estimated
    from the text removed; `tokens_new` is what the run adds to the corpora named by `earlier`.
    """

    method: str
    mode: str
    documents_removed: int
    documents_shortened: int
    paragraphs_removed: int
    text_bytes_removed: int
    tokens_removed: int
    tokens_new: int
    earlier: tuple[str, ...] = ()
    precision: tuple[DedupPrecision, ...] = ()
    clusters: tuple[tuple[str, int, int], ...] = ()
    domains: tuple[DomainCount, ...] = ()
    losses: tuple[InformationLoss, ...] = ()
    # One n-gram in so many was looked at for `losses`.
    losses_sampled_one_in: int = 1
    bands: BandSummary | None = None


@dataclass(frozen=True, kw_only=True)
class ShardSummary:
    """The token shards; `tokens` excludes the padding."""

    shards: int
    sequences: int
    # None: their sequences are whole documents.
    sequence_length: int | None
    tokens: int
    padding_tokens: int
    bytes: int
    tokenizer: str = ""
    fingerprint: str = ""
    format: str = ""


@dataclass(frozen=True, kw_only=True)
class SourceSummary:
    """What a source of several read, what its recipe left, and what of that the corpus has.

    `repeats` is how often it was gone through; `share` its part of the corpus' tokens.
    """

    name: str
    documents_in: int
    available_documents: int
    available_tokens: int
    repeats: float
    documents: int
    copies: int
    tokens: int
    share: float


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """Everything that the report of one run shows; the sequences keep the order of the run.

    `record_types` counts WARC records by type; `facts` are further lines of the headline table.
    `seconds` is wall time of all `drivers`, the first of which began at `started`. `lost_files`
    has a line for each input file that gave no document or lost most of what it holds.
    """

    title: str
    recipe_name: str
    recipe_hash: str
    recipe_yaml: str
    versions: Mapping[str, str]
    commit: str
    started: str
    seconds: float
    documents_in: int
    kept: int
    dropped: int
    quarantined: int
    stages: tuple[StageSummary, ...]
    funnel: tuple[FunnelStep, ...]
    rules: tuple[RuleCount, ...] = ()
    languages: tuple[LanguageCount, ...] = ()
    domains: tuple[DomainCount, ...] = ()
    histograms: tuple[Histogram, ...] = ()
    values: tuple[ValueCounts, ...] = ()
    samples: tuple[SamplePage, ...] = ()
    duplicates: tuple[DuplicatePair, ...] = ()
    deduplication: DedupSummary | None = None
    record_types: Mapping[str, int] = field(default_factory=dict)
    shards: ShardSummary | None = None
    # Of several sources or languages; each has a report of its own in sources/NAME, languages/CODE.
    sources: tuple[SourceSummary, ...] = ()
    language_corpora: tuple[LanguageCorpus, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    failure: str = ""  # Why the run ended before its last stage; "" for one that is whole.
    # Lists and models that were not set, and what that means.
    left_out: Mapping[str, str] = field(default_factory=dict)
    drivers: int = 1
    skipped_files: tuple[str, ...] = ()
    lost_files: tuple[str, ...] = ()

    @property
    def balanced(self) -> bool:
        """Whether the books of the run and of each stage balance."""
        whole = self.documents_in == self.kept + self.dropped + self.quarantined
        return whole and all(stage.balanced for stage in self.stages)
