"""CPU time and peak memory of the JVM and Python workers below this process (Linux)."""

import os
import threading
import time
from bisect import bisect_right
from pathlib import Path
from types import TracebackType

from dclm_spark.measure.clock import tree_cpu_seconds

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
