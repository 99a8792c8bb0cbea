"""What a ranking of models is asked for, its checks, and the command line that says it again."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dclm_spark.errors import InputError, SettingError
from dclm_spark.evaluate.tasks import Task, select_tasks
from dclm_spark.settings import override
from dclm_spark.train.scales import scale
from udfs import storage

# arXiv 2305.16264: up to four passes cost little; later ones lose their value.
MOST_PASSES = 4.0


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """The models of a ranking whose folder is `output`, and what they are measured on.

    `seeds` counts models per corpus, numbered from 1. `training` changes every scale; `tokens` are
    the budgets of the scales in their order, one for all, or none: each scale's own. `only` is one
    row to be done again. With `corpora` (NAME=MANIFEST) shards of any origin are ranked.

    `target_tokens` are budgets of the run that the ranking is made for, `target_scale` is its
    model; `corpus_tokens` (NAME=TOKENS) say what a corpus has whose shards here are a sample.
    `max_passes` is how often a proxy may read its corpus though the target would not.
    """

    output: str
    scales: tuple[str, ...] = ("tiny",)
    seeds: int = 3
    tokens: tuple[int, ...] = ()
    training: tuple[str, ...] = ()
    tasks: str = ""
    data: str = ""
    rows_per_task: int | None = None
    precision: str = "fp32"
    only: str | None = None
    corpora: tuple[str, ...] = ()
    tokenizer: str | None = None
    heldout: tuple[str, ...] = ()
    target_tokens: tuple[int, ...] = ()
    target_scale: str | None = None
    corpus_tokens: tuple[str, ...] = ()
    max_passes: float = MOST_PASSES
    early_stop: bool = False
    workers: int = 1

    @property
    def targets(self) -> tuple[int | None, ...]:
        """Return the tokens of the target runs; (None,) where no target is named."""
        if self.target_tokens:
            return self.target_tokens
        return (scale(self.target_scale).tokens if self.target_scale else None,)

    @property
    def chosen_tasks(self) -> tuple[Task, ...]:
        """Return the tasks that models are scored on."""
        return select_tasks(self.tasks) if self.tasks else ()


def check_models(settings: ModelSettings) -> None:
    """Raise SettingError, InputError or ValueError for settings that no ranking can have."""
    if not storage.is_local(settings.output):
        raise SettingError(
            f"--output {settings.output}: models are trained and read on this machine; give a "
            "local folder"
        )
    _check_numbers(settings)
    if settings.tasks and not settings.data:
        raise InputError("--tasks needs --data, a folder or URI with the tasks' files")
    # What else would be found out when all corpora are made.
    for name in settings.scales:
        override(scale(name), settings.training)
    if settings.target_scale is not None:
        scale(settings.target_scale)
    _ = settings.chosen_tasks


def _check_numbers(settings: ModelSettings) -> None:
    if settings.seeds < 1:
        raise SettingError(f"--seeds {settings.seeds}: expected 1 or more; 3 give an interval")
    if len(set(settings.scales)) < len(settings.scales):
        raise SettingError(f"--scales {' '.join(settings.scales)}: a scale is named twice")
    if len(settings.tokens) not in (0, 1, len(settings.scales)):
        raise SettingError(
            f"--tokens: {len(settings.tokens)} budgets for {len(settings.scales)} scales; give one "
            "for all, or one for each"
        )
    if len(set(settings.target_tokens)) < len(settings.target_tokens):
        given = " ".join(map(str, settings.target_tokens))
        raise SettingError(f"--target-tokens {given}: a budget is named twice")
    if not settings.max_passes >= 1:
        raise SettingError(
            f"--max-passes {settings.max_passes:g}: expected 1 or more; with 1 no proxy reads a "
            "text again that its target reads once"
        )
    if settings.workers < 1:
        raise SettingError(f"--workers {settings.workers}: expected 1 or more")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise SettingError(
            "torchrun started several ranks, but each model of a ranking is trained by one process:"
            " start it with python, and --gpus N for the devices of a node; on further nodes start "
            "the same command with the same --output"
        )


def check_measurable(settings: ModelSettings, has_texts: bool) -> None:
    """Raise InputError when there is nothing to measure models on."""
    if not has_texts and not settings.tasks:
        raise InputError(
            "--heldout is not given: without it there is nothing to measure models on; give JSON "
            "lines of texts that are not in the pool, or --tasks with --data"
        )


def named_values(option: str, given: Sequence[str]) -> dict[str, str]:
    """Return NAME=VALUE arguments as a dict; SettingError for another form or a name twice."""
    found: dict[str, str] = {}
    for one in given:
        name, separator, value = one.partition("=")
        if not (separator and name and value) or "/" in name:
            raise SettingError(
                f"{option} {one}: expected NAME=VALUE with a name of letters, such as "
                "mine=shards/manifest.json"
            )
        if name in found:
            raise SettingError(f"{option}: the name {name!r} is given twice")
        found[name] = value
    return found


def command_of(settings: ModelSettings, row: str) -> str:
    """Return the command that does one row again on the prepared corpora."""
    return shlex.join(["python", "jobs/rank_models.py", *model_options(settings, row)])


def model_options(settings: ModelSettings, row: str) -> list[str]:
    """Return the options of the jobs that say how models are trained and measured."""
    options: list[tuple[str, Any]] = [
        ("--output", settings.output),
        ("--scales", settings.scales),
        ("--seeds", settings.seeds),
        ("--tokens", settings.tokens),
        ("--corpora", settings.corpora),
        ("--tokenizer", settings.tokenizer),
        ("--target-tokens", settings.target_tokens),
        ("--target-scale", settings.target_scale),
        *(("--corpus-tokens", one) for one in settings.corpus_tokens),
        ("--max-passes", None if settings.max_passes == MOST_PASSES else settings.max_passes),
        ("--tasks", settings.tasks or None),
        ("--data", settings.data or None),
        ("--rows-per-task", settings.rows_per_task),
        ("--precision", None if settings.precision == "fp32" else settings.precision),
        *(("--train", one) for one in settings.training),
        # Of recipes, held-out texts are part of what was prepared.
        *(("--heldout", one) for one in settings.heldout if settings.corpora),
        ("--only", row or None),
    ]
    return option_words(options)


def option_words(options: Sequence[tuple[str, Any]]) -> list[str]:
    """Return the words of a command line for the options that have a value."""
    words: list[str] = []
    for name, value in options:
        values = value if isinstance(value, tuple) else () if value is None else (value,)
        words += [name, *map(str, values)] if values else []
    return words
