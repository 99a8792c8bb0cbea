"""Preemption: a scheduler's signal becomes a checkpoint and an exit code that means "again"."""

import signal
import threading
from types import FrameType

# 128 + SIGTERM: what schedulers take for "ended by the signal, not by a fault".
REQUEUE_EXIT_CODE = 143
_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class Preempted(Exception):
    """The run was told to leave; its state is saved, and a run that resumes takes it up."""


class Preemption:
    """Remembers that SIGTERM or SIGUSR1 arrived; the loop asks between steps."""

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Preemption":
        # Python allows handlers in the main thread only; elsewhere signals keep their effect.
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True
