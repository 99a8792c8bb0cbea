"""The rows of a ranking as a queue: several processes and nodes take rows of one folder by turns.

A row is claimed by the lease of its folder, which a dead process gives up, and what it has trained
is gone on with; so any worker may be killed, and the leaderboard is the same.
"""

import logging
import multiprocessing
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

import torch

from dclm_spark.engine.lease import OutputHeldError, only_driver
from dclm_spark.errors import StageError
from dclm_spark.evaluate.speed.several_devices import one_device
from dclm_spark.ranking.model_runs import Measurement, RankedRun, is_finished, train_and_measure
from dclm_spark.ranking.reliability.early_stop import open_corpora
from dclm_spark.train.signals import Preempted

LOGGER = logging.getLogger("dclm_spark")
# How long a worker waits that finds all open rows taken by others.
POLL_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Work:
    """Rows in the order in which they are taken.

    `again` does finished ones anew. With `early_stop` a corpus gets no further seed once each of
    its pairs is decided.
    """

    runs: tuple[RankedRun, ...]
    measurement: Measurement
    again: bool = False
    early_stop: bool = False
    seeds: int = 1


def run_all(work: Work, num_workers: int) -> list[RankedRun]:
    """Do all rows with that many processes, one device each, and return those that were needed.

    Raises what a row raised, StageError when a worker was killed and rows are left, and Preempted
    when told to leave; the same command goes on.
    """
    if num_workers == 1:
        try:
            _take_rows(work)
        except Preempted as told:
            raise Preempted(f"{told}; the same command goes on") from None
    else:
        _run_processes(work, num_workers)
    return [run for run in work.runs if is_finished(run) and _is_needed(work, run)]


def _take_rows(work: Work) -> None:
    """Do rows until none is open, waiting for those that other workers do."""
    done_here: set[str] = set()
    while True:
        open_runs = [run for run in work.runs if not _is_closed(work, run, done_here)]
        if not open_runs:
            return
        if not any(_take(work, run, done_here) for run in open_runs):
            time.sleep(POLL_SECONDS)


def _is_closed(work: Work, run: RankedRun, done_here: set[str]) -> bool:
    if run.full_name in done_here:
        return True
    if work.again:
        return False
    return is_finished(run) or _is_needed(work, run) is False


def _take(work: Work, run: RankedRun, done_here: set[str]) -> bool:
    """Do `run` unless another worker has it, or seeds before it decide whether it is needed."""
    if _is_needed(work, run) is None:
        return False
    try:
        with only_driver(str(run.folder)):
            train_and_measure(run, work.measurement, again=work.again)
    except OutputHeldError as error:
        if work.again:
            raise
        LOGGER.debug("%s", error)
        return False
    done_here.add(run.full_name)
    return True


def _is_needed(work: Work, run: RankedRun) -> bool | None:
    """Say whether the seeds before that of `run` leave a pair of its corpus open.

    None while one of them is not finished: the answer is then not known, whoever asks.
    """
    if not work.early_stop or work.again or run.seed <= 2:
        return True
    cell = [one for one in work.runs if one.cell == run.cell]
    needed = {seed: {one.corpus.name for one in cell} for seed in (1, 2)}
    for seed in range(3, run.seed + 1):
        before = [one for one in cell if one.seed < seed and one.corpus.name in needed[one.seed]]
        if not all(map(is_finished, before)):
            return None
        needed[seed] = set(open_corpora(before, looks=work.seeds - 1))
    return run.corpus.name in needed[run.seed]


def _run_processes(work: Work, num_workers: int) -> None:
    context = multiprocessing.get_context("spawn")
    workers: list[BaseProcess] = []
    with _interrupts_ignored():
        for number in range(num_workers):
            with one_device(number, num_workers):
                name = f"worker {number}"
                workers.append(context.Process(target=_worker, args=(work,), name=name))
                workers[-1].start()
    with _passed_on(workers) as told:
        # A process that ended keeps its claim until it is asked for: in the order of their ends.
        while running := [worker for worker in workers if worker.is_alive()]:
            wait([worker.sentinel for worker in running])
    if told:
        raise Preempted("told to leave; the rows that are done stay, the same command goes on")
    failed = [worker.name for worker in workers if worker.exitcode]
    left = [run.full_name for run in work.runs if not _is_closed(work, run, set())]
    if left:
        raise StageError(
            f"{', '.join(failed) or 'workers'} ended early (see the log), rows left: "
            f"{', '.join(left)}; the same command goes on"
        )
    for name in failed:
        LOGGER.warning("%s ended early; others did its rows", name)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Let processes that start here ignore Ctrl-C, which a terminal sends to all: we tell them."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _passed_on(workers: Sequence[BaseProcess]) -> Iterator[list[int]]:
    """Pass SIGTERM, SIGUSR1 and what interrupts us on to the workers, and tell which came."""
    told: list[int] = []

    def leave(number: int, _frame: object) -> None:
        told.append(number)
        for worker in workers:
            worker.terminate()

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield told
    except KeyboardInterrupt:
        for worker in workers:
            worker.terminate()
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _worker(work: Work) -> None:
    """Take rows in a process of its own, whose log lines tell which it is."""
    logging.basicConfig(
        level=logging.WARNING,
        format=f"%(asctime)s {multiprocessing.current_process().name} %(levelname)s %(message)s",
        datefmt="%H:%M:%S",
    )
    LOGGER.setLevel(logging.INFO)
    torch.set_num_threads(1) if work.measurement.facts else None
    try:
        _take_rows(work)
    except Preempted as told:
        LOGGER.warning("%s", told)
        raise SystemExit(143) from None
