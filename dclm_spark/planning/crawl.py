"""What a run takes before it starts, and how far that was from what it took.

All constants are fields of `PlanSettings`, each with its date and source; `--set` replaces them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from dclm_spark.crawl.index import IndexCounts
from dclm_spark.crawl.listing import InputFile
from dclm_spark.dedup.minhash import NearDuplicateSettings
from dclm_spark.engine.manifests import StageOutput, committed_names, read_manifests
from dclm_spark.engine.stage_output import stage_output
from dclm_spark.errors import InputError, SettingError
from dclm_spark.planning import dedup
from udfs import storage
from udfs.dedup.bloom import filter_size_bytes
from udfs.units.commit import MANIFESTS

_GIB = 1024**3
# Kept, dropped and quarantined rows, statistics and the manifest.
_WRITES_PER_INPUT = 5


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
    # UTF-8 bytes per token that is not white space, English pages (see dedup/cost.py).
    size_bytes_per_ngram: float = 5.5


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


@dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """What the proposal aims at."""

    hours: float = 24.0
    # m7g.4xlarge: 64 GiB for 16 cores; some of it is the operating system's and YARN's.
    memory_gib_per_core: float = 4.0
    usable_memory_share: float = 0.9
    cores_per_executor: int = 4
    # No stage keeps rows in the JVM beyond sort buffers.
    heap_gib_per_core: float = 0.75
    # Models, batches, parser and compiled kernels of one Python worker (docs/running.md).
    worker_gib: float = 1.0
    # The recipe's deduplication.ngrams: its limit for one filter, and its error rate.
    max_filter_gib: float = 4.0
    false_positive_rate: float = 0.01


@dataclass(frozen=True, kw_only=True)
class PlanSettings:
    """The constants of a plan."""

    throughput: ThroughputSettings = field(default_factory=ThroughputSettings)
    prices: PriceSettings = field(default_factory=PriceSettings)
    cluster: ClusterSettings = field(default_factory=ClusterSettings)


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
class Proposal:
    """Cluster settings; `filter_gib` is the Bloom filter of one dedup task."""

    executors: int
    cores: int
    hours: float
    executor_memory_gib: float
    overhead_gib: float
    deduplication_shards: int
    filter_gib: float


@dataclass(frozen=True, kw_only=True)
class CrawlPlan:
    """The prediction; dollars by platform include compute and, on AWS, requests."""

    workload: Workload
    requests_read: int
    requests_written: int
    kept_text_size_bytes: int
    cpu_hours: float
    core_hours: float
    dollars: dict[str, float]
    proposal: Proposal


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One figure of a finished run beside its prediction."""

    figure: str
    predicted: float
    actual: float


def workload_of_files(files: Sequence[InputFile], settings: ThroughputSettings) -> Workload:
    """Size up WARCs by name; local ones are measured, remote ones assumed (no request is sent)."""
    warcs = [file for file in files if file.kind == "warc"]
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
    _check(settings)
    rates = settings.throughput
    passed = workload.streamed_pages - workload.parsed_pages
    parsed = workload.parsed_pages * rates.floor_milliseconds_per_page * rates.chain_factor
    cpu_hours = (parsed + passed * rates.read_milliseconds_per_page) / 3_600_000
    core_hours = cpu_hours / rates.utilization
    text = round(workload.kept_pages * rates.tokens_per_page * rates.size_bytes_per_token)
    proposal = propose(workload.num_files, core_hours, text, settings)
    # Three stages and the shards follow dedup's partitioning: few files beside those of the inputs.
    writes = _WRITES_PER_INPUT * (workload.num_files + 3 * proposal.deduplication_shards)
    return CrawlPlan(
        workload=workload,
        requests_read=workload.num_files,
        requests_written=writes,
        kept_text_size_bytes=text,
        cpu_hours=cpu_hours,
        core_hours=core_hours,
        dollars=_dollars(core_hours, workload.num_files, writes, settings),
        proposal=proposal,
    )


def propose(
    num_files: int, core_hours: float, text_size_bytes: int, settings: PlanSettings
) -> Proposal:
    """Choose cores to end within `cluster.hours`, and the fewest dedup shards that fit memory."""
    cluster, rates = settings.cluster, settings.throughput
    # A WARC is one task, so more cores than WARCs would idle.
    cores = max(1, min(num_files, math.ceil(core_hours / cluster.hours)))
    per_executor = min(cluster.cores_per_executor, cores)
    usable = cluster.memory_gib_per_core * cluster.usable_memory_share
    free = usable - cluster.heap_gib_per_core - cluster.worker_gib
    if free <= 0:
        raise SettingError(
            f"cluster.memory_gib_per_core = {cluster.memory_gib_per_core}: {usable:.2f} GiB are "
            f"usable, heap and worker take {usable - free:.2f}; use machines with more memory"
        )
    limit = min(free, cluster.max_filter_gib) * _GIB
    ngrams = max(1, math.ceil(text_size_bytes / rates.size_bytes_per_ngram))
    shards = math.ceil(_filter_size(ngrams, cluster) / limit)
    while _filter_size(math.ceil(ngrams / shards), cluster) > limit:
        shards += 1
    overhead = usable - cluster.heap_gib_per_core
    executors = math.ceil(cores / per_executor)
    return Proposal(
        executors=executors,
        cores=executors * per_executor,
        hours=core_hours / (executors * per_executor),
        executor_memory_gib=cluster.heap_gib_per_core * per_executor,
        overhead_gib=overhead * per_executor,
        deduplication_shards=shards,
        filter_gib=_filter_size(math.ceil(ngrams / shards), cluster) / _GIB,
    )


def _filter_size(num_ngrams: int, cluster: ClusterSettings) -> int:
    # Beyond what one filter may have, its size per n-gram is all that matters.
    sampled = min(num_ngrams, 10**9)
    size = filter_size_bytes(sampled, cluster.false_positive_rate)
    return math.ceil(size * (num_ngrams / sampled))


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


def _check(settings: PlanSettings) -> None:
    positive = {
        "throughput.utilization": settings.throughput.utilization,
        "throughput.warc_size_bytes": settings.throughput.warc_size_bytes,
        "throughput.size_bytes_per_ngram": settings.throughput.size_bytes_per_ngram,
        "cluster.hours": settings.cluster.hours,
        "cluster.cores_per_executor": settings.cluster.cores_per_executor,
    }
    for name, value in positive.items():
        if value <= 0:
            raise SettingError(f"{name} = {value}: must be above 0")
    if not 0.0 <= settings.prices.on_demand_share <= 1.0:
        raise SettingError(
            f"prices.on_demand_share = {settings.prices.on_demand_share}: must be from 0 to 1"
        )


def compare(plan: CrawlPlan, output: str) -> list[Comparison]:
    """Put a finished run's manifests below `output` beside `plan`.

    Core-hours are the wall seconds of tasks, one core each: a parser runs in a child process, whose
    CPU time is not in the task's. Raises InputError where no stage has committed a unit.
    """
    stages = _stages(output)
    documents = stages.get("documents")
    if documents is None:
        raise InputError(f"--actual {output}: no manifest lies below stages/documents/manifests")
    pages = documents.documents()
    seconds = {name: stage.total("seconds") for name, stage in stages.items()}
    hours = sum(seconds.values()) / 3600
    files = sum(_files_written(stage) for stage in stages.values())
    figures = [
        ("input files", plan.workload.num_files, documents.units.num_rows),
        ("pages parsed", plan.workload.parsed_pages, sum(pages.values())),
        ("pages kept by heuristics", plan.workload.kept_pages, pages["kept"]),
        ("text before dedup, bytes", plan.kept_text_size_bytes, documents.text_bytes()),
        ("files written", plan.requests_written, files),
        ("core-hours", plan.core_hours, hours),
        ("milliseconds a page", _per_page(plan.core_hours, plan.workload.parsed_pages),
         _per_page(hours, sum(pages.values()))),
    ]  # fmt: skip
    figures += [(f"core-hours of {name}", math.nan, s / 3600) for name, s in seconds.items()]
    return [Comparison(figure=f, predicted=p, actual=a) for f, p, a in figures]


def _per_page(hours: float, pages: int) -> float:
    return hours * 3_600_000 / pages if pages else math.nan


def _files_written(stage: StageOutput) -> int:
    """Return the files of a stage's units: data, statistics and manifests."""
    statistics = stage.units.num_rows - stage.units["statistics_path"].null_count
    return int(stage.unit_files.num_rows + statistics + stage.units.num_rows)


def _stages(output: str) -> dict[str, StageOutput]:
    """Return what is committed of stages/* and of the shards, by the stage's folder."""
    folders: dict[str, str] = {}
    for folder in ("stages", "shards"):
        for uri in storage.list_files(storage.join(output, folder)):
            parent, _, name = uri.rpartition("/")
            directory, _, last = parent.rpartition("/")
            if last == MANIFESTS and name.endswith(".json"):
                folders[directory.rpartition("/")[2]] = directory
    return {
        name: stage_output(name, directory, read_manifests(directory, committed_names(directory)))
        for name, directory in folders.items()
    }


def render_dedup(num_documents: int, settings: PlanSettings) -> str:
    """Return the plan of near-duplicate dedup, all its defaults, as text for a terminal."""
    rates = settings.throughput
    text = rates.tokens_per_page * rates.size_bytes_per_token
    return dedup.render(dedup.plan_minhash(num_documents, text, NearDuplicateSettings()))


def render(plan: CrawlPlan) -> str:
    """Return the plan as text for a terminal."""
    work, proposal = plan.workload, plan.proposal
    lines = [
        f"WARCs            {work.num_files:,} ({work.sized_files:,} of known size)",
        f"bytes to read    {work.size_bytes / 1e9:,.1f} GB",
        f"pages streamed   {work.streamed_pages:,}",
        f"pages parsed     {work.parsed_pages:,}",
        f"kept for dedup   {work.kept_pages:,} pages, {plan.kept_text_size_bytes / 1e9:,.1f} GB",
        f"requests         {plan.requests_read:,} reads, {plan.requests_written:,} writes",
        f"CPU              {plan.cpu_hours:,.1f} hours busy, {plan.core_hours:,.1f} core-hours",
        *(f"dollars          {name:20} {value:12,.2f}" for name, value in plan.dollars.items()),
        f"cluster          {proposal.executors} executors, {proposal.cores} cores, "
        f"{proposal.hours:,.1f} hours",
        f"  spark.executor.cores={proposal.cores // proposal.executors}",
        f"  spark.executor.instances={proposal.executors}",
        f"  spark.executor.memory={round(proposal.executor_memory_gib * 1024)}m",
        f"  spark.executor.memoryOverhead={round(proposal.overhead_gib * 1024)}m",
        f"  --set deduplication.shards={proposal.deduplication_shards}"
        f"  (a filter of {proposal.filter_gib:.2f} GiB in each task)",
    ]
    return "\n".join(lines)


def render_comparison(rows: Sequence[Comparison]) -> str:
    """Return predicted and actual figures as a Markdown table."""
    lines = ["| figure | predicted | actual | actual / predicted |", "|---|---|---|---|"]
    for row in rows:
        known = not math.isnan(row.predicted) and row.predicted != 0
        ratio = f"{row.actual / row.predicted:.2f}" if known else ""
        predicted = "" if math.isnan(row.predicted) else f"{row.predicted:,.6g}"
        lines.append(f"| {row.figure} | {predicted} | {row.actual:,.6g} | {ratio} |")
    return "\n".join(lines)
