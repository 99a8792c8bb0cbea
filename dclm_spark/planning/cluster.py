"""Executors, driver, disks and dedup shards for a crawl, and their Spark settings."""

import math
from dataclasses import dataclass

from dclm_spark.errors import SettingError
from dclm_spark.planning.rates import ClusterSettings, PlanSettings
from udfs.dedup.bloom import filter_size_bytes

_GIB = 1024**3


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """Cluster settings; `filter_gib` is the Bloom filter of one dedup task, 0 without one.

    `disk_gib` is what a machine's disk must hold: its share of the shuffle, twice.
    """

    executors: int
    cores: int
    hours: float
    executor_memory_gib: float
    overhead_gib: float
    driver_memory_gib: float
    driver_overhead_gib: float
    deduplication_shards: int
    filter_gib: float
    disk_gib: int

    @property
    def spark_settings(self) -> dict[str, str]:
        """The settings that spark-submit and infra/*/submit.py take as they are."""
        return {
            "spark.executor.instances": str(self.executors),
            "spark.executor.cores": str(self.cores // self.executors),
            "spark.executor.memory": _mebibytes(self.executor_memory_gib),
            "spark.executor.memoryOverhead": _mebibytes(self.overhead_gib),
            "spark.driver.memory": _mebibytes(self.driver_memory_gib),
            "spark.driver.memoryOverhead": _mebibytes(self.driver_overhead_gib),
        }


def propose(
    num_files: int, core_hours: float, text_size_bytes: int, settings: PlanSettings
) -> Proposal:
    """Choose cores to end within `cluster.hours`, and the number of dedup shards.

    Where copies are looked for within a shard, these are the fewest that fit memory; for any other
    method a shard is a task of the stages behind it, and each core gets one.
    """
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
    executors = math.ceil(cores / per_executor)
    ngrams = max(1, math.ceil(text_size_bytes / rates.size_bytes_per_ngram))
    shards, filter_gib = executors * per_executor, 0.0
    if settings.recipe.copies_within_shards:
        shards = _fewest_shards(ngrams, min(free, cluster.max_filter_gib), cluster)
        filter_gib = _filter_size(math.ceil(ngrams / shards), cluster) / _GIB
    overhead = usable - cluster.heap_gib_per_core
    return Proposal(
        executors=executors,
        cores=executors * per_executor,
        hours=core_hours / (executors * per_executor),
        executor_memory_gib=cluster.heap_gib_per_core * per_executor,
        overhead_gib=overhead * per_executor,
        driver_memory_gib=cluster.driver_heap_gib,
        driver_overhead_gib=cluster.driver_worker_gib
        + num_files * cluster.driver_mib_per_file / 1024,
        deduplication_shards=shards,
        filter_gib=filter_gib,
        disk_gib=_disk_gib(text_size_bytes, executors * per_executor, settings),
    )


def _fewest_shards(num_ngrams: int, limit_gib: float, cluster: ClusterSettings) -> int:
    """Return the fewest shards whose Bloom filters stay below the limit."""
    limit = limit_gib * _GIB
    shards = math.ceil(_filter_size(num_ngrams, cluster) / limit)
    while _filter_size(math.ceil(num_ngrams / shards), cluster) > limit:
        shards += 1
    return shards


def _disk_gib(text_size_bytes: int, cores: int, settings: PlanSettings) -> int:
    """Return the disk of a machine: shuffle files, as much again for retries, and 32 GiB more."""
    machines = math.ceil(cores / settings.cluster.cores_per_machine)
    shuffled = text_size_bytes * settings.throughput.shuffled_text_share
    return 32 + math.ceil(2 * shuffled / machines / _GIB)


def _mebibytes(gib: float) -> str:
    return f"{math.ceil(gib * 1024)}m"


def driver_fits(proposal: Proposal, cluster: ClusterSettings) -> bool:
    """Say whether a machine of the cluster can hold the driver."""
    usable = cluster.memory_gib_per_core * cluster.cores_per_machine * cluster.usable_memory_share
    return proposal.driver_memory_gib + proposal.driver_overhead_gib <= usable


def _filter_size(num_ngrams: int, cluster: ClusterSettings) -> int:
    # Beyond what one filter may have, its size per n-gram is all that matters.
    sampled = min(num_ngrams, 10**9)
    size = filter_size_bytes(sampled, cluster.false_positive_rate)
    return math.ceil(size * (num_ngrams / sampled))
