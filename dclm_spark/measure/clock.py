"""CPU seconds of one step: of this process and its children, or its whole tree of processes."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from udfs.cpu_clock import cpu_seconds

PASSES = 3


@dataclass(frozen=True, kw_only=True)
class Timing:
    """One measured step: CPU seconds for `documents` documents of `size_bytes` bytes in all."""

    name: str
    cpu_seconds: float
    documents: int
    size_bytes: int

    @property
    def documents_per_second(self) -> float:
        """Documents per second of one core."""
        return self.documents / self.cpu_seconds

    @property
    def megabytes_per_second(self) -> float:
        """10^6 bytes of the step's input per second of one core."""
        return self.size_bytes / 1e6 / self.cpu_seconds

    @property
    def seconds_per_document(self) -> float:
        """CPU seconds that one document takes."""
        return self.cpu_seconds / self.documents


def total(name: str, timings: Sequence[Timing]) -> Timing:
    """Return all steps, which saw the same documents, as one."""
    return replace(timings[0], name=name, cpu_seconds=sum(timing.cpu_seconds for timing in timings))


def tree_cpu_seconds() -> float:
    """Return the CPU time of this process and all below it, alive or reaped (Linux, to 10 ms)."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(folder.name)] = int(fields[1])
        # utime, stime, and those of children that were waited for.
        ticks[int(folder.name)] = sum(map(int, fields[11:15]))
    own = os.getpid()
    return sum(
        ticks[process] for process in ticks if _is_below(process, own, parents)
    ) / os.sysconf("SC_CLK_TCK")


def _is_below(process: int, root: int, parents: dict[int, int]) -> bool:
    while process != root and process in parents:
        process = parents[process]
    return process == root


def timed(
    name: str,
    work: Callable[[], object],
    *,
    documents: int,
    size_bytes: int,
    passes: int = PASSES,
    prepare: Callable[[], object] = lambda: None,
    warm_up: bool = True,
) -> Timing:
    """Run `work` once to warm up and `passes` times more; return the fastest of the latter.

    `prepare` runs before each and is not counted.
    """
    if warm_up:
        prepare()
        work()
    best = float("inf")
    for _ in range(passes):
        prepare()
        best = min(best, seconds_of(work))
    return Timing(name=name, cpu_seconds=best, documents=documents, size_bytes=size_bytes)


@contextmanager
def on_one_core() -> Iterator[None]:
    """Keep this process, and all that it starts, on one core until the block ends.

    A busy cluster has a process for each core; on an idle machine a worker and its parser would
    take turns on two, and pages would move from one cache to the other.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def seconds_of(work: Callable[[], object]) -> float:
    """Run `work` and return the CPU seconds that it took, never 0."""
    start = cpu_seconds()
    work()
    return max(cpu_seconds() - start, 1e-9)
