"""Pages, bytes, requests, core-hours and dollars of a run, before it starts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dclm_spark.crawl.index import IndexCounts
from dclm_spark.crawl.listing import InputFile
from dclm_spark.errors import InputError
from dclm_spark.planning.cluster import Proposal, propose
from dclm_spark.planning.rates import PlanSettings, ThroughputSettings, check_settings
from udfs import storage
from udfs.documents.formats import FORMATS

# Kept, dropped and quarantined rows, statistics and the manifest; of scores one table.
_WRITES_PER_INPUT, _WRITES_PER_SCORED = 5, 3
_GIB = 1024**3


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What will be read: compressed bytes and pages streamed, pages parsed, texts in dedup.

    `sized_files` of the `num_files` had a known size; the others were assumed to be average.
    """

    source: str
    num_files: int
    sized_files: int
    size_bytes: int
    streamed_pages: int
    parsed_pages: int
    kept_pages: int


@dataclass(frozen=True, kw_only=True)
class CrawlPlan:
    """The prediction; dollars by platform include compute and, on AWS, requests.

    Copies are looked for among the compared pages: those kept by the rules or, where the recipe has
    the classifier judge first, those that it keeps.
    `stored_size_bytes` are what each stage leaves in the output; `output_tokens` those of the
    shards.
    """

    workload: Workload
    requests_read: int
    requests_written: int
    kept_text_size_bytes: int
    compared_pages: int
    compared_text_size_bytes: int
    compared_tokens: int
    output_tokens: int
    stored_size_bytes: dict[str, int]
    storage_dollars_a_month: float
    cpu_hours: float
    core_hours: float
    dollars: dict[str, float]
    proposal: Proposal


@dataclass(frozen=True, kw_only=True)
class PlanRange:
    """What is most likely, and the ends that the least sure constants allow together."""

    low: CrawlPlan
    likely: CrawlPlan
    high: CrawlPlan


def workload_of_files(files: Sequence[InputFile], settings: ThroughputSettings) -> Workload:
    """Size up WARCs by name; local ones are measured, remote ones assumed (no request is sent)."""
    warcs = [file for file in files if FORMATS[file.kind].has_pages]
    if not warcs:
        raise InputError("--input: it names no WARC, and only WARCs can be planned")
    sizes = [storage.size_bytes(file.uri) for file in warcs if storage.is_local(file.uri)]
    unknown = len(warcs) - len(sizes)
    size = sum(sizes) + round(unknown * settings.warc_size_bytes)
    pages = round(size / settings.warc_size_bytes * settings.pages_per_warc)
    return Workload(
        source="listing",
        num_files=len(warcs),
        sized_files=len(sizes),
        size_bytes=size,
        streamed_pages=pages,
        parsed_pages=pages,
        kept_pages=round(pages * settings.kept_share),
    )


def workload_of_index(
    counts: IndexCounts, settings: ThroughputSettings, *, one_language: bool
) -> Workload:
    """Size up what the index counted: its WARCs are streamed, the matching records are parsed."""
    share = settings.kept_share_in_language if one_language else settings.kept_share
    return Workload(
        source="index",
        num_files=counts.num_warcs,
        sized_files=counts.num_warcs,
        size_bytes=counts.streamed_size_bytes,
        streamed_pages=counts.streamed_records,
        parsed_pages=counts.matching_records,
        kept_pages=round(counts.matching_records * share),
    )


def plan_crawl(workload: Workload, settings: PlanSettings) -> CrawlPlan:
    """Predict requests, core-hours, dollars and cluster settings. Raises SettingError."""
    check_settings(settings)
    rates, first = settings.throughput, settings.recipe.quality_before_deduplication
    compared = workload.kept_pages * (rates.quality_share if first else 1.0)
    size_of_page = rates.tokens_per_page * rates.size_bytes_per_token
    cpu_hours = _cpu_seconds(workload, settings) / 3600
    core_hours = cpu_hours / rates.utilization
    stored = _stored_size_bytes(workload, settings)
    text = round(compared * size_of_page)
    proposal = propose(workload.num_files, core_hours, text, settings)
    # Three stages and the shards follow dedup's partitioning: few files beside those of the inputs.
    writes = _WRITES_PER_INPUT * (workload.num_files + 3 * proposal.deduplication_shards)
    if first:
        writes += (_WRITES_PER_INPUT + _WRITES_PER_SCORED) * workload.num_files
    return CrawlPlan(
        workload=workload,
        requests_read=workload.num_files,
        requests_written=writes,
        kept_text_size_bytes=round(workload.kept_pages * size_of_page),
        compared_pages=round(compared),
        compared_text_size_bytes=text,
        compared_tokens=round(compared * rates.tokens_per_page),
        output_tokens=round(_output_tokens(workload, rates)),
        stored_size_bytes=stored,
        storage_dollars_a_month=sum(stored.values()) / _GIB * settings.prices.storage_gib_month,
        cpu_hours=cpu_hours,
        core_hours=core_hours,
        dollars=_dollars(core_hours, workload.num_files, writes, settings),
        proposal=proposal,
    )


def _output_tokens(workload: Workload, rates: ThroughputSettings) -> float:
    documents = workload.kept_pages * rates.deduplicated_share * rates.quality_share
    return documents * rates.tokens_per_page


def _cpu_seconds(workload: Workload, settings: PlanSettings) -> float:
    """Return the CPU seconds of all stages; the chain's factor has the classifier judge last."""
    rates = settings.throughput
    passed = workload.streamed_pages - workload.parsed_pages
    parsed = workload.parsed_pages * rates.floor_milliseconds_per_page * rates.chain_factor
    seconds = (parsed + passed * rates.read_milliseconds_per_page) / 1000
    if settings.recipe.quality_before_deduplication:
        text = workload.kept_pages * rates.tokens_per_page * rates.size_bytes_per_token
        scored_more = text * (1 - rates.deduplicated_share)
        compared_less = text * (1 - rates.quality_share)
        seconds += scored_more / rates.score_size_bytes_per_second
        seconds -= compared_less / rates.deduplication_size_bytes_per_second
    return max(seconds, 0.0)


def _stored_size_bytes(workload: Workload, settings: PlanSettings) -> dict[str, int]:
    rates, first = settings.throughput, settings.recipe.quality_before_deduplication
    pages = workload.kept_pages
    text = pages * rates.tokens_per_page * rates.size_bytes_per_token * rates.stored_text_share
    dropped = (workload.parsed_pages - pages) * rates.stored_size_bytes_per_dropped_page
    judged_bad = pages * (1 - rates.quality_share) * rates.stored_size_bytes_per_dropped_page
    compared = text * (rates.quality_share if first else 1.0)
    scored = pages * (1.0 if first else rates.deduplicated_share)
    ids = _output_tokens(workload, rates) * rates.stored_size_bytes_per_token
    sizes = {
        "documents": text + dropped,
        "scores": scored * rates.stored_size_bytes_per_score,
        "quality": compared + judged_bad if first else 0.0,
        "deduplicated": compared * rates.deduplicated_share,
        "encoded": ids,
        "shards": ids,
    }
    return {name: round(size) for name, size in sizes.items() if size}


def plan_range(
    workload_of: Callable[[ThroughputSettings], Workload], settings: PlanSettings
) -> PlanRange:
    """Plan with the constants as they are, and at the ends of `settings.ranges`."""
    ranges = settings.ranges
    ends = {
        "low": (ranges.pages_low, ranges.cpu_low, ranges.kept_low, ranges.tokens_low),
        "likely": (1.0, 1.0, 1.0, 1.0),
        "high": (ranges.pages_high, ranges.cpu_high, ranges.kept_high, ranges.tokens_high),
    }
    plans = {}
    for end, factors in ends.items():
        varied = replace(settings, throughput=_varied(settings.throughput, *factors))
        plans[end] = plan_crawl(workload_of(varied.throughput), varied)
    return PlanRange(**plans)


def _varied(
    rates: ThroughputSettings, pages: float, cpu: float, kept: float, tokens: float
) -> ThroughputSettings:
    return replace(
        rates,
        pages_per_warc=rates.pages_per_warc * pages,
        floor_milliseconds_per_page=rates.floor_milliseconds_per_page * cpu,
        read_milliseconds_per_page=rates.read_milliseconds_per_page * cpu,
        kept_share=min(1.0, rates.kept_share * kept),
        kept_share_in_language=min(1.0, rates.kept_share_in_language * kept),
        tokens_per_page=rates.tokens_per_page * tokens,
    )


def _dollars(
    core_hours: float, reads: int, writes: int, settings: PlanSettings
) -> dict[str, float]:
    prices, memory = settings.prices, settings.cluster.memory_gib_per_core
    on_demand, spot = prices.on_demand_share, 1.0 - prices.on_demand_share
    emr = on_demand * prices.emr_core_hour_on_demand + spot * prices.emr_core_hour_spot
    serverless = prices.emr_serverless_core_hour + memory * prices.emr_serverless_gib_hour
    dataproc = (
        on_demand * prices.dataproc_core_hour_on_demand + spot * prices.dataproc_core_hour_spot
    )
    dcus = (
        prices.dataproc_serverless_dcus_per_core + memory * prices.dataproc_serverless_dcus_per_gib
    )
    requests = (reads * prices.thousand_reads + writes * prices.thousand_writes) / 1000
    return {
        "emr": core_hours * (emr + prices.emr_core_hour_service) + requests,
        "emr-serverless": core_hours * serverless + requests,
        "dataproc": core_hours * (dataproc + prices.dataproc_core_hour_service),
        "dataproc-serverless": core_hours * dcus * prices.dataproc_serverless_dcu_hour,
    }
