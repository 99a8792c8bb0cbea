"""What the guide of docs/seven_billion.md takes: `python -m dclm_spark.planning.seven_billion`.

Everything is computed from the plans of crawls and of training; nothing here is measured.
"""

from dclm_spark.planning.crawl import CrawlPlan, Workload, plan_crawl
from dclm_spark.planning.rates import PlanSettings
from dclm_spark.planning.training import plan
from dclm_spark.train.scales import scale

_TIB, _GIB = 2**40, 2**30
# The parts that take GPUs, in the guide's order.
SCALES = ("7b-long", "7b-cooldown-200b", "7b-cooldown-270b")
DEVICE_COUNTS = (8, 64)
# An H100 on demand, as in ranking/budgets/cost.py; rough, to be multiplied by one's own.
DOLLARS_PER_GPU_HOUR = 3.0
# Of FSDP over several GPUs; assumed. One H200 alone reaches 0.58 (docs/training.md).
UTILIZATION = 0.45


def training_table() -> str:
    """Return tokens, GPU-hours, days and dollars of each training as a Markdown table."""
    days = " | ".join(f"days on {count}" for count in DEVICE_COUNTS)
    lines = [
        f"| part | tokens, G | H100 hours | {days} | dollars |",
        "|---|---|---|" + "---|" * len(DEVICE_COUNTS) + "---|",
    ]
    totals = [0.0] * (2 + len(DEVICE_COUNTS))
    for name in SCALES:
        settings = scale(name)
        plans = [plan(settings, num_devices=n, utilization=UTILIZATION) for n in DEVICE_COUNTS]
        tokens = settings.last_step * settings.tokens_per_step / 1e9
        hours = plans[0].days * 24 * DEVICE_COUNTS[0]
        numbers = [tokens, hours, *(one.days for one in plans)]
        totals = [total + number for total, number in zip(totals, numbers, strict=True)]
        lines.append(_line(f"`{name}`", numbers))
    return "\n".join([*lines, _line("all", totals)])


def _line(name: str, numbers: list[float]) -> str:
    tokens, hours, *days = numbers
    spent = " | ".join(f"{one:,.1f}" for one in days)
    dollars = hours * DOLLARS_PER_GPU_HOUR
    return f"| {name} | {tokens:,.0f} | {hours:,.0f} | {spent} | {dollars:,.0f} |"


def pool_plan(tokens: float) -> CrawlPlan:
    """Return the plan of a pool of Common Crawl that leaves `tokens` behind the quality filter."""
    settings = PlanSettings()
    rates = settings.throughput
    documents = rates.kept_share * rates.deduplicated_share * rates.quality_share
    pages = round(tokens / (documents * rates.tokens_per_page))
    num_files = -(-pages // round(rates.pages_per_warc))
    workload = Workload(
        source="listing",
        num_files=num_files,
        sized_files=0,
        size_bytes=round(num_files * rates.warc_size_bytes),
        streamed_pages=pages,
        parsed_pages=pages,
        kept_pages=round(pages * rates.kept_share),
    )
    return plan_crawl(workload, settings)


def data_table() -> str:
    """Return what the pool and its shards take as a Markdown table."""
    pool = pool_plan(scale(SCALES[0]).stop_tokens or 0)
    facts = {
        "WARCs read": f"{pool.workload.num_files:,} ({pool.workload.size_bytes / 1e15:.2f} PB)",
        "core-hours of one reading": f"{pool.core_hours:,.0f}",
        "dollars of it on EMR, three quarters spot": f"{pool.dollars['emr']:,.0f}",
        "documents, their texts and what dedup leaves": _size(
            pool.stored_size_bytes["documents"] + pool.stored_size_bytes["deduplicated"]
        ),
        "token shards": _size(pool.stored_size_bytes["shards"]),
        "one checkpoint of 7B (weights and moments in bf16)": (
            f"{scale(SCALES[0]).model.num_parameters() * 6 / _GIB:,.0f} GiB"
        ),
    }
    lines = ["| what | how much |", "|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {value} |" for name, value in facts.items())])


def _size(size_bytes: int) -> str:
    return f"{size_bytes / _TIB:,.1f} TiB"


if __name__ == "__main__":
    print(data_table(), training_table(), sep="\n\n")
