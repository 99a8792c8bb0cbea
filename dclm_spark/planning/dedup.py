"""What a dedup of N documents takes: shuffle, tasks, memory per task, core-hours and dollars.

Every method is a fixed number of shuffles of rows of constant size, so work is linear in
documents; the rates are measured per row on the largest run that is named beside them.
"""

import math
from dataclasses import dataclass, replace

from dclm_spark.dedup.near_duplicates import NearDuplicateSettings
from dclm_spark.engine.shuffles import PARTITION_SIZE_BYTES
from dclm_spark.errors import SettingError
from udfs.dedup.global_ngrams import GlobalNgramSettings
from udfs.dedup.ngrams import NgramDedupSettings, shard_memory_bytes


@dataclass(frozen=True, kw_only=True)
class DedupRates:
    """Measured constants; replace them by those of your own machines for a better plan."""

    # Kernels on English text, one core (signatures at 1,395 rows; old-both with a 1 GB filter,
    # word segmentation included).
    signature_size_bytes_per_second: float = 100e6
    count_size_bytes_per_second: float = 125e6
    filter_size_bytes_per_second: float = 48e6
    # Spark and kernels beside reads and shuffles of texts: two runs over 10^6 documents of 80 words
    # (560 bytes), a tenth of them copies, with 14 and with 93 bands (commit 470b391, 2026-11-27,
    # `tests.benchmarks.dedup_scale`).
    core_seconds_per_document: float = 3.5e-06
    core_seconds_per_bucket_row: float = 1.85e-06
    shuffle_size_bytes_per_document: float = 105.0
    shuffle_size_bytes_per_bucket_row: float = 67.3
    # 64,000 documents of 120 words.
    core_seconds_per_ngram: float = 2.0e-06
    shuffle_size_bytes_per_ngram: float = 27.8
    # Text in a shuffle against its UTF-8 bytes: English by LZ4, 4.81 and 5.07 MB of 7.13 MB.
    shuffled_text_ratio: float = 0.7
    # One core reads committed text and hands it on, 60 MB/s; 33 MB/s with a shuffle and a sort.
    read_text_size_bytes_per_second: float = 60e6
    shuffled_text_size_bytes_per_second: float = 73e6
    # UTF-8 bytes per token that is not white space, English pages.
    size_bytes_per_token: float = 5.5
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


def plan_global_ngrams(
    num_documents: int,
    mean_text_size_bytes: float,
    settings: GlobalNgramSettings,
    rates: DedupRates | None = None,
) -> DedupPlan:
    """Plan global n-gram dedup; n-grams are about as many as tokens."""
    rates = rates or DedupRates()
    _check(num_documents, mean_text_size_bytes, 0.0)
    text = num_documents * mean_text_size_bytes
    ngrams = text / rates.size_bytes_per_token / settings.sample_one_in
    work = _Work(
        reads=2,
        shuffles=2,
        row_size_bytes=ngrams * rates.shuffle_size_bytes_per_ngram,
        core_seconds=(
            2 * text / rates.count_size_bytes_per_second + ngrams * rates.core_seconds_per_ngram
        ),
    )
    return _plan("global_ngrams", num_documents, mean_text_size_bytes, work, rates)


def plan_sharded_ngrams(
    num_documents: int,
    mean_text_size_bytes: float,
    shards: int,
    settings: NgramDedupSettings,
    rates: DedupRates | None = None,
) -> DedupPlan:
    """Plan sharded n-gram dedup without exact keys: one task and one filter per shard.

    Raises ValueError when the filter of a shard passes settings.max_memory_bytes.
    """
    rates = rates or DedupRates()
    _check(num_documents, mean_text_size_bytes, 0.0)
    if shards < 1:
        raise SettingError(f"shards = {shards}: must be at least 1")
    text = num_documents * mean_text_size_bytes
    ngrams = math.ceil(text / rates.size_bytes_per_token / shards)
    memory = rates.worker_memory_bytes + shard_memory_bytes(ngrams, settings)
    seconds = text * (
        1 / rates.count_size_bytes_per_second + 1 / rates.filter_size_bytes_per_second
    )
    work = _Work(reads=2, shuffles=1, core_seconds=seconds)
    plan = _plan("sharded_ngrams", num_documents, mean_text_size_bytes, work, rates)
    return replace(plan, tasks=shards, memory_per_task_bytes=memory)


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
