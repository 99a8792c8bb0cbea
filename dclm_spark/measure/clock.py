"""CPU seconds of one step: of this process and its children, or its whole tree of processes."""

import os
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

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


_INTERVAL_SECONDS = 0.5


def parents_of_processes() -> dict[int, tuple[int, str]]:
    """Return (parent, name) of every process that can be read."""
    found: dict[int, tuple[int, str]] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            head, _, tail = (folder / "stat").read_text().rpartition(")")
        except OSError:
            continue
        found[int(folder.name)] = (int(tail.split()[1]), head.partition("(")[2])
    return found


def peak_memory_bytes(process: int) -> int:
    """Return the largest resident set that the process ever had, 0 when it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    peaks = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")]
    return peaks[0] if peaks else 0


class Watch:
    """Samples the processes below this one, every half second, while its block runs."""

    def __init__(self) -> None:
        self.jvm_peak_bytes = 0
        self.worker_peak_bytes = 0
        self._times: list[float] = []
        self._cpu: list[float] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Watch":
        """Start to sample."""
        self._sample()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Sample once more and stop."""
        self._done.set()
        self._thread.join()
        self._sample()

    @property
    def cpu_seconds(self) -> float:
        """Return the CPU time (user and system) of the whole tree between the first and last."""
        return self._cpu[-1] - self._cpu[0]

    def cpu_until(self, moment: float) -> float:
        """Return the CPU time spent up to a time.time() within the block."""
        index = max(0, bisect_right(self._times, moment) - 1)
        return self._cpu[index] - self._cpu[0]

    def _run(self) -> None:
        while not self._done.wait(_INTERVAL_SECONDS):
            self._sample()

    def _sample(self) -> None:
        self._times.append(time.time())
        self._cpu.append(tree_cpu_seconds())
        known = parents_of_processes()
        for process in known:
            above = _ancestors(process, known)
            if os.getpid() not in above:
                continue
            name = known[process][1]
            if name == "java":
                self.jvm_peak_bytes = max(self.jvm_peak_bytes, peak_memory_bytes(process))
            # A worker is a fork of the daemon, which the JVM started.
            elif len(above) > 1 and known.get(above[1], (0, ""))[1] == "java":
                self.worker_peak_bytes = max(self.worker_peak_bytes, peak_memory_bytes(process))


def _ancestors(process: int, known: dict[int, tuple[int, str]]) -> list[int]:
    found: list[int] = []
    while process in known and known[process][0] != process:
        process = known[process][0]
        found.append(process)
    return found
