"""Tasks that a model is scored on while it is trained, every so many steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from dclm_spark.errors import InputError, SettingError
from dclm_spark.evaluate.datasets import MissingDataError, TaskData, load_task
from dclm_spark.evaluate.models import end_of_text_of, read_tokenizer
from dclm_spark.evaluate.prompts import TaskPrompts
from dclm_spark.evaluate.runner import sampled_rows
from dclm_spark.evaluate.scorers import OpenLMScorer
from dclm_spark.evaluate.scoring import score_rows
from dclm_spark.evaluate.suite import task_metrics
from dclm_spark.evaluate.tasks import Task
from dclm_spark.evaluate.tokens import PromptEncoder
from dclm_spark.train.network import OpenLM


@dataclass(frozen=True, kw_only=True)
class TaskSettings:
    """Which tasks, where their files are, which rows of each, and every how many steps.

    `tokenizer` is the tokenizer.json that the shards were made with.
    """

    tasks: tuple[Task, ...]
    data: str
    tokenizer: str
    every_steps: int
    rows_per_task: int | None = None
    batch_tokens: int = 8192


class TaskScores:
    """An observer of training (`dclm_spark.train.trainer.Observer`) that scores tasks.

    Prompts are cut to the model's sequence length. Arithmetic is that of training, so that bf16 is
    used where it is trained in. Raises InputError for missing data, SettingError for no task.
    """

    kind = "tasks"

    def __init__(self, settings: TaskSettings) -> None:
        if settings.every_steps < 1:
            raise SettingError(f"--evaluate-every {settings.every_steps}: expected 1 or more steps")
        if not settings.tasks:
            raise SettingError("--tasks: no task is named")
        self.settings, self.every_steps = settings, settings.every_steps
        self.tokenizer = read_tokenizer(settings.tokenizer)
        self.end_of_text_id = end_of_text_of(self.tokenizer)
        self.data = [_loaded(task, settings.data) for task in settings.tasks]

    def observe(self, model: OpenLM) -> Mapping[str, Any]:
        """Return accuracy/LABEL, and where choices are scored gold_bits_per_byte/LABEL and more."""
        was_training = model.training
        scorer = OpenLMScorer(model, self.tokenizer, self.end_of_text_id)
        found: dict[str, float] = {}
        # Prompts have many lengths, for each of which compiled layers would be compiled anew.
        with torch.compiler.set_stance("force_eager"):
            for data in self.data:
                records = self._records(scorer, data, model.settings.sequence_length)
                label = data.task.label
                for metric in task_metrics(label, [{label: records}]).values():
                    found[metric.name] = float(metric.values()[0])
        model.train(was_training)
        return found

    def _records(
        self, scorer: OpenLMScorer, data: TaskData, max_tokens: int
    ) -> Sequence[dict[str, Any]]:
        encoder = PromptEncoder(self.tokenizer, self.end_of_text_id)
        prompts = TaskPrompts(data, encoder, max_tokens)
        rows = sampled_rows(data, self.settings.rows_per_task, 0)
        return list(score_rows(scorer, prompts, rows, self.settings.batch_tokens))


def _loaded(task: Task, data: str) -> TaskData:
    try:
        return load_task(task, data)
    except MissingDataError as error:
        raise InputError(f"--tasks {task.label}: {error}") from error
