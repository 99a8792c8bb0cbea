"""Constants of a plan, each with its date and source; `--set` replaces them."""

from dataclasses import dataclass, field

from dclm_spark.dedup.method import DedupMethod
from dclm_spark.errors import SettingError
from dclm_spark.stages.score import QualitySettings


@dataclass(frozen=True, kw_only=True)
class ThroughputSettings:
    """CPU per page, and what a WARC holds when nobody has looked into it."""

    # Measured 2026-11, 144 KB pages on one core: read 0.27 ms, decode 0.08, parse and extract 3.25.
    floor_milliseconds_per_page: float = 3.6
    # Of that, what a page costs that is only streamed past (same measurement).
    read_milliseconds_per_page: float = 0.27
    # The whole chain (signals, quality, dedup hashes, tokens) against the floor: the target of
    # jobs/measure_throughput.py; put in what it prints on your machines.
    chain_factor: float = 1.25
    # CPU seconds used of each core-second paid for: start, shuffle, stragglers, commits (assumed).
    utilization: float = 0.8
    # DCLM (arXiv 2406.11794): 200 B documents, 240 T tokens in 5,117,400 WARCs.
    pages_per_warc: float = 39_082.0
    tokens_per_page: float = 1_200.0
    # Common Crawl's usual WARC (its monthly announcements, 2024 to 2026).
    warc_size_bytes: float = 1.0e9
    # UTF-8 bytes per GPT-NeoX token of extracted text (assumed; English is near 4.4).
    size_bytes_per_token: float = 4.2
    # Pages that pass the heuristics, of all and of those the index says are in the language
    # (assumed, after the shares that arXiv 2306.01116 reports for RefinedWeb).
    kept_share: float = 0.2
    kept_share_in_language: float = 0.45
    # UTF-8 bytes per token that is not white space, English pages.
    size_bytes_per_ngram: float = 5.5
    # Of the kept documents, what deduplication leaves, and of those the quality filter: DCLM's
    # figure 4 has 13.7 of 19.9 % of all documents, and 1.4 of 13.7 %.
    deduplicated_share: float = 0.69
    quality_share: float = 0.10
    # Stored bytes of a token id, compressed (DCLM: 79.97 GB for 38.55 B tokens).
    stored_size_bytes_per_token: float = 2.07
    # Stored bytes per byte of text (Parquet, zstd), and of a row without a text: measured 2026-11
    # on 3,192 real pages, whose 7.13 MB of text became 3.27 MB, and 2,151 rows 0.32 MB.
    stored_text_share: float = 0.46
    stored_size_bytes_per_dropped_page: float = 150.0
    # Shuffled bytes per byte of text in sharded dedup, which shuffles texts once where no exact key
    # is asked for (measured 2026-11 from the event log: 5.07 MB of 7.13 MB of text).
    shuffled_text_share: float = 0.71
    # Bytes of text a second on one core: the classifier, and the n-gram filter (2026-11, measured:
    # docs/throughput.md). They matter where --recipe has the classifier judge first.
    score_size_bytes_per_second: float = 71.8e6
    deduplication_size_bytes_per_second: float = 96.1e6
    # Stored bytes of a score: an id and a number, neither of which compresses.
    stored_size_bytes_per_score: float = 24.0


@dataclass(frozen=True, kw_only=True)
class RangeSettings:
    """Factors on the constants above that are least sure: a plan's low and its high end."""

    # Recent crawls have 20 to 45 thousand pages a WARC.
    pages_low: float = 0.5
    pages_high: float = 1.15
    # Other machines and other pages than the measured ones (assumed).
    cpu_low: float = 0.8
    cpu_high: float = 1.5
    # Languages and years differ in what the rules keep, and in the length of pages (assumed).
    kept_low: float = 0.5
    kept_high: float = 1.6
    tokens_low: float = 0.8
    tokens_high: float = 1.25


@dataclass(frozen=True, kw_only=True)
class PriceSettings:
    """US dollars per core (vCPU), GiB or request; list prices, us-east-1 and us-central1."""

    # aws.amazon.com/ec2/pricing, m7g.4xlarge 0.6528/h for 16 cores (list price known 2025).
    emr_core_hour_on_demand: float = 0.0408
    # Spot moves; 60 % below on-demand (assumed).
    emr_core_hour_spot: float = 0.0163
    # aws.amazon.com/emr/pricing, m7g.4xlarge 0.1632/h (list price known 2025).
    emr_core_hour_service: float = 0.0102
    # aws.amazon.com/emr/pricing, Serverless on ARM (list price known 2025).
    emr_serverless_core_hour: float = 0.042094
    emr_serverless_gib_hour: float = 0.004628
    # cloud.google.com/compute/all-pricing, n2-highmem-16 1.0481/h (list price known 2025).
    dataproc_core_hour_on_demand: float = 0.0655
    # Spot moves; 60 % below on-demand (assumed).
    dataproc_core_hour_spot: float = 0.0262
    # cloud.google.com/dataproc/pricing, read 2026-11.
    dataproc_core_hour_service: float = 0.010
    # cloud.google.com/dataproc-serverless/pricing, read 2026-11: a DCU, and DCUs per core and GiB.
    dataproc_serverless_dcu_hour: float = 0.06
    dataproc_serverless_dcus_per_core: float = 0.6
    dataproc_serverless_dcus_per_gib: float = 0.1
    # Share of cores that are not spot: the core fleet of infra/emr, the workers of infra/dataproc.
    on_demand_share: float = 0.25
    # aws.amazon.com/s3/pricing (list price known 2025).
    thousand_reads: float = 0.0004
    thousand_writes: float = 0.005
    storage_gib_month: float = 0.023


@dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """What the proposal aims at."""

    hours: float = 24.0
    # m7g.4xlarge: 64 GiB for 16 cores, of which EMR gives YARN 56.
    memory_gib_per_core: float = 4.0
    usable_memory_share: float = 0.875
    cores_per_machine: int = 16
    cores_per_executor: int = 4
    # No stage keeps rows in the JVM beyond sort buffers.
    heap_gib_per_core: float = 0.75
    # Models, batches, parser and compiled kernels of one Python worker (docs/running.md).
    worker_gib: float = 1.0
    # The driver's JVM (2 KB a task, measured to 30,000 tasks) and Python, and what Python holds of
    # each input file (`python -m tests.benchmarks.driver_scale`, docs/planning.md).
    driver_heap_gib: float = 4.0
    driver_worker_gib: float = 1.0
    driver_mib_per_file: float = 0.006
    # The recipe's deduplication.sharded: its limit for one filter, and its error rate.
    max_filter_gib: float = 4.0
    false_positive_rate: float = 0.01


@dataclass(frozen=True, kw_only=True)
class RecipeTraits:
    """What a plan must know of the recipe; `--recipe` says it, and without it DCLM's are meant."""

    # Whether the classifier judges before copies are looked for.
    quality_before_deduplication: bool = False
    # Whether copies are looked for within a dedup shard only (the method `sharded`): more shards
    # than memory asks for would then find fewer.
    copies_within_shards: bool = True


@dataclass(frozen=True, kw_only=True)
class PlanSettings:
    """The constants of a plan."""

    recipe: RecipeTraits = field(default_factory=RecipeTraits)
    throughput: ThroughputSettings = field(default_factory=ThroughputSettings)
    prices: PriceSettings = field(default_factory=PriceSettings)
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    ranges: RangeSettings = field(default_factory=RangeSettings)


def settings_of(quality: QualitySettings, method: DedupMethod) -> PlanSettings:
    """Return the constants for a recipe with this classifier and method of dedup."""
    share = ThroughputSettings.quality_share if quality.top is None else quality.top
    return PlanSettings(
        recipe=RecipeTraits(
            quality_before_deduplication=quality.enabled and quality.before_deduplication,
            copies_within_shards=method.memory_follows_shard,
        ),
        throughput=ThroughputSettings(quality_share=share if quality.enabled else 1.0),
    )


def check_settings(settings: PlanSettings) -> None:
    """Raise SettingError for a constant that makes no sense."""
    positive = {
        "throughput.utilization": settings.throughput.utilization,
        "throughput.warc_size_bytes": settings.throughput.warc_size_bytes,
        "throughput.size_bytes_per_ngram": settings.throughput.size_bytes_per_ngram,
        "throughput.score_size_bytes_per_second": settings.throughput.score_size_bytes_per_second,
        "throughput.deduplication_size_bytes_per_second":
            settings.throughput.deduplication_size_bytes_per_second,
        "cluster.hours": settings.cluster.hours,
        "cluster.cores_per_executor": settings.cluster.cores_per_executor,
        "cluster.cores_per_machine": settings.cluster.cores_per_machine,
    }  # fmt: skip
    for name, value in positive.items():
        if value <= 0:
            raise SettingError(f"{name} = {value}: must be above 0")
    if not 0.0 <= settings.prices.on_demand_share <= 1.0:
        raise SettingError(
            f"prices.on_demand_share = {settings.prices.on_demand_share}: must be from 0 to 1"
        )
