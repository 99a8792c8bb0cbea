"""A plan as text for a terminal, and as a properties file for spark-submit."""

from collections.abc import Callable

from dclm_spark.dedup.near_duplicates import NearDuplicateSettings
from dclm_spark.html_pages.quantities import bytes_text
from dclm_spark.planning import dedup
from dclm_spark.planning.cluster import Proposal, driver_fits
from dclm_spark.planning.crawl import CrawlPlan, PlanRange
from dclm_spark.planning.rates import PlanSettings
from udfs import storage

# Not Spark's, but in its file, so that infra/*/submit.py can refuse a recipe with fewer.
SHARDS_SETTING = "spark.dclm_spark.deduplication.shards"


def render_dedup(num_documents: int, settings: PlanSettings) -> str:
    """Return the plan of near-duplicate dedup, all its defaults, as text for a terminal."""
    rates = settings.throughput
    text = rates.tokens_per_page * rates.size_bytes_per_token
    return dedup.render(dedup.plan_minhash(num_documents, text, NearDuplicateSettings()))


def render(plans: PlanRange, settings: PlanSettings) -> str:
    """Return the plan as text for a terminal: the likely figure, and its range in brackets."""
    plan = plans.likely
    work, proposal = plan.workload, plan.proposal
    stored = (f"  {stage:15}{bytes_text(size)}" for stage, size in plan.stored_size_bytes.items())
    lines = [
        f"WARCs            {work.num_files:,} ({work.sized_files:,} of known size)",
        f"bytes to read    {bytes_text(work.size_bytes)}",
        f"pages streamed   {work.streamed_pages:,}",
        _line("pages parsed", plans, lambda plan: plan.workload.parsed_pages),
        _line("kept by rules", plans, lambda plan: plan.workload.kept_pages, unit="pages"),
        _line("kept for dedup", plans, lambda plan: plan.compared_pages, unit="pages"),
        _line("  their text", plans, _text_size_bytes, shown=_size),
        _line("  their tokens", plans, lambda plan: plan.compared_tokens),
        _line("tokens at last", plans, lambda plan: plan.output_tokens),
        _line("stored", plans, _stored_size_bytes, shown=_size),
        *stored,
        f"requests         {plan.requests_read:,} reads, {plan.requests_written:,} writes",
        _line("CPU hours busy", plans, lambda plan: plan.cpu_hours),
        _line("core-hours", plans, lambda plan: plan.core_hours),
        *(_dollars_line(name, plans) for name in plan.dollars),
        _line("dollars storage, a month", plans, lambda p: p.storage_dollars_a_month, width=28),
        f"cluster          {proposal.executors} executors, {proposal.cores} cores, "
        f"{proposal.hours:,.1f} hours, {proposal.disk_gib} GiB of disk a machine",
        *(f"  {key}={value}" for key, value in proposal.spark_settings.items()),
        f"  --set deduplication.shards={proposal.deduplication_shards}"
        + f"  (a filter of {proposal.filter_gib:.2f} GiB in each task)" * bool(proposal.filter_gib),
    ]
    if proposal.deduplication_shards < proposal.cores:
        lines.append(_idle_cores(proposal))
    if not driver_fits(proposal, settings.cluster):
        needed = proposal.driver_memory_gib + proposal.driver_overhead_gib
        lines.append(
            f"the driver needs {needed:,.0f} GiB, more than a machine of this cluster gives it: "
            "take larger machines (cluster.memory_gib_per_core, cluster.cores_per_machine), or "
            "plan parts of the listing"
        )
    return "\n".join(lines)


def _idle_cores(proposal: Proposal) -> str:
    shards, cores = proposal.deduplication_shards, proposal.cores
    return (
        f"warning: behind dedup a shard is a task, so {cores - shards:,} of {cores:,} cores idle "
        f"there. With deduplication.shards={cores} they would not, but more copies stay, since "
        "this method looks within a shard only; `global` and `minhash` do not. Or give the "
        "cluster fewer cores once the stage documents has ended"
    )


def _text_size_bytes(plan: CrawlPlan) -> float:
    return plan.compared_text_size_bytes


def _stored_size_bytes(plan: CrawlPlan) -> float:
    return sum(plan.stored_size_bytes.values())


def _size(value: float) -> str:
    return bytes_text(round(value))


def _dollars_line(name: str, plans: PlanRange) -> str:
    return _line(f"dollars {name}", plans, lambda plan: plan.dollars[name], width=28)


def _line(
    name: str,
    plans: PlanRange,
    figure: Callable[[CrawlPlan], float],
    unit: str = "",
    width: int = 16,
    shown: Callable[[float], str] | None = None,
) -> str:
    said = shown or _number
    low, likely, high = (said(figure(plan)) for plan in (plans.low, plans.likely, plans.high))
    span = "" if low == high else f" ({low} to {high})"
    return f"{name:{width}} {likely}{' ' * bool(unit)}{unit}{span}"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def write_spark_conf(uri: str, plans: PlanRange, source: str) -> None:
    """Write the likely plan's Spark settings as a properties file."""
    storage.write_bytes(uri, spark_conf(plans, source).encode())


def spark_conf(plans: PlanRange, source: str) -> str:
    """Return the likely plan as a properties file, for `--properties-file` and `--conf-file`."""
    plan = plans.likely
    settings = plan.proposal.spark_settings | {
        SHARDS_SETTING: str(plan.proposal.deduplication_shards)
    }
    lines = [
        f"# {plan.workload.num_files:,} files of {source}, planned by jobs/plan_crawl.py",
        f"# Give the job --set deduplication.shards={plan.proposal.deduplication_shards}",
        f"# Disk of a machine: {plan.proposal.disk_gib} GiB",
        *(f"{key}={value}" for key, value in settings.items()),
    ]
    return "\n".join(lines) + "\n"
