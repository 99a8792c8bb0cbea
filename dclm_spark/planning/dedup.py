"""What near-duplicate dedup of N documents takes: shuffle, tasks, memory, core-hours and dollars.

It is a fixed number of shuffles of rows of constant size, so work is linear in documents; the
rates are measured per row on the largest run that is named beside them.
"""

import math
from dataclasses import dataclass

from dclm_spark.dedup.near_duplicates import NearDuplicateSettings
from dclm_spark.engine.shuffles import PARTITION_SIZE_BYTES
from dclm_spark.errors import SettingError


@dataclass(frozen=True, kw_only=True)
class DedupRates:
    """Measured constants; replace them by those of your own machines for a better plan."""

    # The kernel on English text, one core, signatures at 1,395 rows.
    signature_size_bytes_per_second: float = 100e6
    # Spark and kernels beside reads and shuffles of texts: two runs over 10^6 documents of 80 words
    # (560 bytes), a tenth of them copies, with 14 and with 93 bands (commit 470b391, 2026-11-27,
    # `tests.benchmarks.dedup_scale`).
    core_seconds_per_document: float = 3.5e-06
    core_seconds_per_bucket_row: float = 1.85e-06
    shuffle_size_bytes_per_document: float = 105.0
    shuffle_size_bytes_per_bucket_row: float = 67.3
    # Text in a shuffle against its UTF-8 bytes: English by LZ4, 4.81 and 5.07 MB of 7.13 MB.
    shuffled_text_ratio: float = 0.7
    # One core reads committed text and hands it on, 60 MB/s; 33 MB/s with a shuffle and a sort.
    read_text_size_bytes_per_second: float = 60e6
    shuffled_text_size_bytes_per_second: float = 73e6
    # What a task handles at once, and what its worker and sort buffers take (assumed).
    partition_size_bytes: int = PARTITION_SIZE_BYTES
    worker_memory_bytes: int = 768 * 1024**2
    dollars_per_core_hour: float = 0.02


@dataclass(frozen=True, kw_only=True)
class DedupPlan:
    """An estimate; sizes in bytes, `memory_per_task_bytes` beside the JVM's own.

    Shuffle files stay on the executors' disks until their query is done and forgotten, so
    `disk_size_bytes`, of all machines together, is all that is shuffled.
    """

    method: str
    num_documents: int
    shuffle_size_bytes: int
    disk_size_bytes: int
    tasks: int
    memory_per_task_bytes: int
    core_hours: float
    dollars: float


@dataclass(frozen=True, kw_only=True)
class _Work:
    """What a method does beside the shuffle by shard, in bytes and core-seconds."""

    # How often the texts are read and shuffled.
    reads: float
    shuffles: float
    row_size_bytes: float = 0.0
    core_seconds: float = 0.0


def plan_minhash(
    num_documents: int,
    mean_text_size_bytes: float,
    settings: NearDuplicateSettings,
    duplicate_share: float = 0.3,
    rates: DedupRates | None = None,
) -> DedupPlan:
    """Plan near-duplicate dedup; `duplicate_share` of the documents have a candidate to verify."""
    rates = rates or DedupRates()
    _check(num_documents, mean_text_size_bytes, duplicate_share)
    rows = num_documents * settings.signatures.bands
    by_texts, covered = settings.verification == "jaccard", settings.verify != "none"
    sketches = 2 * num_documents * duplicate_share * settings.signatures.sketch_rows
    work = _Work(
        # Signatures, both sides of the pairs, members of clusters, and the stage itself.
        reads=(4 if by_texts else 2) + covered,
        # All texts once to meet the pairs, those of the pairs again, the same for clusters, then by
        # id and by shard.
        shuffles=(by_texts + covered) * (1 + duplicate_share) + 2,
        row_size_bytes=(
            num_documents * rates.shuffle_size_bytes_per_document
            + rows * rates.shuffle_size_bytes_per_bucket_row
            + (sketches if settings.verification == "sketch" else 0.0)
        ),
        core_seconds=(
            num_documents * rates.core_seconds_per_document
            + rows * rates.core_seconds_per_bucket_row
            + num_documents * mean_text_size_bytes / rates.signature_size_bytes_per_second
        ),
    )
    return _plan("minhash", num_documents, mean_text_size_bytes, work, rates)


def _plan(
    method: str, num_documents: int, mean_text_size_bytes: float, work: _Work, rates: DedupRates
) -> DedupPlan:
    text = num_documents * mean_text_size_bytes
    shuffle = work.row_size_bytes + work.shuffles * text * rates.shuffled_text_ratio
    seconds = (
        work.core_seconds
        + work.reads * text / rates.read_text_size_bytes_per_second
        + work.shuffles * text / rates.shuffled_text_size_bytes_per_second
    )
    core_hours = seconds / 3600
    return DedupPlan(
        method=method,
        num_documents=num_documents,
        shuffle_size_bytes=math.ceil(shuffle),
        disk_size_bytes=math.ceil(shuffle),
        tasks=max(1, math.ceil(shuffle / rates.partition_size_bytes)),
        memory_per_task_bytes=rates.worker_memory_bytes + rates.partition_size_bytes,
        core_hours=core_hours,
        dollars=core_hours * rates.dollars_per_core_hour,
    )


def _check(num_documents: int, mean_text_size_bytes: float, duplicate_share: float) -> None:
    if num_documents < 0 or mean_text_size_bytes < 0:
        raise SettingError(
            f"num_documents = {num_documents}, mean_text_size_bytes = {mean_text_size_bytes}: "
            "must not be negative"
        )
    if not 0.0 <= duplicate_share <= 1.0:
        raise SettingError(f"duplicate_share = {duplicate_share}: must be a share from 0 to 1")


def render(plan: DedupPlan) -> str:
    """Return the plan as text for a terminal."""
    lines = [
        f"dedup            {plan.method}, {plan.num_documents:,} documents",
        f"  shuffle        {plan.shuffle_size_bytes / 1e12:,.2f} TB in {plan.tasks:,} tasks",
        f"  disk           {plan.disk_size_bytes / 1e12:,.2f} TB for shuffle files, all machines",
        f"  memory a task  {plan.memory_per_task_bytes / 1024**2:,.0f} MiB beside the JVM's own",
        f"  core-hours     {plan.core_hours:,.1f}, {plan.dollars:,.2f} dollars",
    ]
    return "\n".join(lines)
