"""One model's evaluation by several processes with a device each, which take parts in turn.

A part is a task or a file of held-out texts, written to the output's folder as one process would.
"""

import logging
import math
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from dclm_spark.arguments.output_folder import check_writable
from dclm_spark.evaluate.datasets import MissingDataError, load_task
from dclm_spark.evaluate.models import LoadedModel, in_precision, load_model
from dclm_spark.evaluate.results import EvaluateSettings
from dclm_spark.evaluate.runner import Part, evaluate, sampled_rows, score_part
from dclm_spark.evaluate.scorers import DEVICE_SHARE
from dclm_spark.evaluate.tasks import Task

LOGGER = logging.getLogger("dclm_spark")


@dataclass(frozen=True, kw_only=True)
class NamedModel:
    """What every process loads the model by; as `load_model` and `in_precision` take it."""

    name: str
    tokenizer: str | None = None
    weights: str = "last"
    trust_remote_code: bool = False
    special_tokens: bool = True
    precision: str = "fp32"

    def loaded(self) -> LoadedModel:
        """Load the model on this process's device."""
        model = load_model(
            self.name, self.tokenizer, weights=self.weights,
            trust_remote_code=self.trust_remote_code, special_tokens=self.special_tokens,
        )  # fmt: skip
        return in_precision(model, self.precision)


def evaluate_on_devices(
    model: NamedModel,
    tasks: Sequence[Task],
    output: str | Path,
    settings: EvaluateSettings,
    num_devices: int,
) -> dict[str, Any]:
    """Do what `evaluate` does, with its parts scored by that many processes.

    What a process leaves that fails or is killed is done by this one at the end, which raises what
    `evaluate` raises.
    """
    check_writable(str(output))
    parts = _parts(tasks, settings)
    if num_devices > 1 and len(parts) > 1:
        _hand_out(parts, _Work(model, str(output), settings), min(num_devices, len(parts)))
    return evaluate(model.loaded(), tasks, output, settings)


def _parts(tasks: Sequence[Task], settings: EvaluateSettings) -> list[Part]:
    """Return held-out files, then tasks, longest first, so that none is left for the end."""
    sizes: dict[Task, int] = {}
    for task in tasks:
        try:
            data = load_task(task, settings.data)
        except MissingDataError:
            continue
        sizes[task] = len(sampled_rows(data, settings.sample, settings.seed))
    return [*settings.heldout, *sorted(sizes, key=lambda task: -sizes[task])]


@dataclass(frozen=True)
class _Work:
    """What the processes have in common."""

    model: NamedModel
    output: str
    settings: EvaluateSettings


def _hand_out(parts: Sequence[Part], work: _Work, num_processes: int) -> None:
    """Give each process the next part whenever it has done one, until all are given out."""
    context = multiprocessing.get_context("spawn")
    processes: dict[Connection, BaseProcess] = {}
    for number in range(num_processes):
        ours, theirs = context.Pipe()
        with one_device(number, num_processes):
            process = context.Process(
                target=_worker, args=(work, theirs, num_processes), daemon=True
            )
            process.start()
        # Ours alone is open here, so that the end of a process is the end of its pipe.
        theirs.close()
        processes[ours] = process
    waiting = iter(parts)
    while processes:
        for pipe in wait(list(processes)):
            assert isinstance(pipe, Connection)
            try:
                pipe.recv()
                pipe.send(next(waiting, None))
            except (EOFError, OSError):
                ended = processes.pop(pipe)
                ended.join()
                if ended.exitcode:
                    LOGGER.warning("a process of the evaluation ended early; its part comes last")


def _worker(work: _Work, pipe: Connection, num_processes: int) -> None:
    """Ask for parts and score them until there is none."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    LOGGER.setLevel(logging.INFO)
    if not torch.cuda.is_available():
        torch.set_num_threads(max(1, torch.get_num_threads() // num_processes))
    model = work.model.loaded()
    pipe.send(None)
    while (part := pipe.recv()) is not None:
        score_part(model, part, work.output, work.settings)
        pipe.send(None)


@contextmanager
def one_device(number: int, num_processes: int) -> Iterator[None]:
    """Let a process that is started meanwhile see one device alone, where there are any.

    It learns which part of the device's memory is its own, where `num_processes` share devices.
    """
    names = ("CUDA_VISIBLE_DEVICES", DEVICE_SHARE)
    before = {name: os.environ.get(name) for name in names}
    if torch.cuda.is_available():
        listed = before["CUDA_VISIBLE_DEVICES"]
        visible = listed.split(",") if listed else list(map(str, range(torch.cuda.device_count())))
        os.environ["CUDA_VISIBLE_DEVICES"] = visible[number % len(visible)]
        os.environ[DEVICE_SHARE] = str(1 / math.ceil(num_processes / len(visible)))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
