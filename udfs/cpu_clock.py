"""CPU time of a worker: its own and that of its child processes, alive or ended."""

import contextlib
import resource
import time

# CPUCLOCK_SCHED of Linux: the clock that counts the CPU time of a whole process.
_PROCESS_CLOCK = 2
_children: set[int] = set()


def count_child(process: int) -> None:
    """Count the CPU time of a living child from now on; `forget_child` it once it is reaped."""
    _children.add(process)


def forget_child(process: int) -> None:
    """Leave a child that was waited for to the system, which counts it among the ended ones."""
    _children.discard(process)


def cpu_seconds() -> float:
    """Return the CPU seconds of this process, its counted children and those that have ended.

    Where the clock of another process cannot be read (not Linux), a child counts when it ends.
    """
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime + sum(map(_seconds_of, _children))


def _seconds_of(process: int) -> float:
    with contextlib.suppress(OSError):
        return time.clock_gettime(~process << 3 | _PROCESS_CLOCK)
    return 0.0
