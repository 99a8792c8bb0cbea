"""The options of jobs/train_model.py that say which tasks are scored while a model is trained."""

import argparse
from collections.abc import Sequence

from dclm_spark.arguments.job_parser import positive
from dclm_spark.command import add_heldout_argument, add_precision_argument
from dclm_spark.errors import SettingError
from dclm_spark.train.run_settings import TrainSettings
from dclm_spark.train.trainer import Observer


def add_task_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the tasks, their files, and how often they are scored."""
    add = parser.add_argument
    add("--tasks", default="", help="score tasks while training: core, extended, labels a,b")
    add("--data", default="", help="folder or URI with the tasks' files")
    add("--tokenizer", help="tokenizer.json of the shards; of --tasks (default: data.tokenizer)")
    add("--evaluate-every", type=positive, default=1000, help="steps between scores of --tasks")
    add("--rows-per-task", type=positive, help="score at most so many rows of a task")


def observers_of(given: argparse.Namespace, settings: TrainSettings) -> Sequence[Observer]:
    """Return what scores the tasks that are asked for, if any; SettingError for what is missing."""
    if not given.tasks:
        return ()
    tokenizer = given.tokenizer or settings.data.tokenizer
    if not given.data or not tokenizer:
        raise SettingError(
            f"--tasks {given.tasks}: needs --data, the folder with the tasks' files, and "
            "--tokenizer, the tokenizer.json of the shards"
        )
    # Scores need what training does not.
    from dclm_spark.evaluate.speed.during_training import TaskScores, TaskSettings
    from dclm_spark.evaluate.tasks import select_tasks

    wanted = TaskSettings(
        tasks=select_tasks(given.tasks),
        data=given.data,
        tokenizer=tokenizer,
        every_steps=given.evaluate_every,
        rows_per_task=given.rows_per_task,
    )
    return (TaskScores(wanted),)


def add_scoring_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what of tasks and texts is scored, by how many processes, and in what arithmetic."""
    add = parser.add_argument
    add("--sample", type=positive, help="score at most so many rows of each task")
    add("--seed", type=int, default=0, help="which rows --sample takes")
    add_heldout_argument(parser)
    add("--batch-tokens", type=positive, help="padded tokens at a time (default: by memory)")
    add("--max-tokens", type=positive, default=2048, help="prompt and answer; longer ones are cut")
    add("--no-special-tokens", action="store_true", help="prompts without the tokenizer's BOS")
    add_precision_argument(parser)
    add(
        "--gpus", "--workers", type=positive, default=1, dest="workers", metavar="N",
        help="processes with a GPU each, which take held-out files and tasks in turn; on a machine "
        "without GPUs they share the cores",
    )  # fmt: skip
