"""What the jobs share: recipe arguments, log format, errors shown as one line; and `dclm-spark`.

`dclm_spark.jobs` is the folder `jobs/` by another name, so that `dclm-spark JOB` of an installed
package and `python jobs/JOB.py` of a checkout run the same main.
"""

import argparse
import ast
import difflib
import json
import logging
import os
import select
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dclm_spark.arguments.job_parser import EXIT_USER_ERROR, JobParser, number, positive
from dclm_spark.errors import BalanceError, LimitError, StageError, missing_package

_JOBS = Path(__file__).with_name("jobs")
_PACKAGES = {"dclm_spark", "udfs"}
EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
# As the shell tells of a program that SIGPIPE ended.
EXIT_UNREAD = 141


def job_parser(description: str | None) -> JobParser:
    """Return the parser of a job, whose docstring keeps its lines in --help."""
    parser = JobParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--log-format", choices=("text", "json"), default="text", action=_LogFormat,
        help="lines of the log: for people, or one JSON object each",
    )  # fmt: skip
    return parser


class _JsonLines(logging.Formatter):
    """A record as one JSON object: time (UTC), level, logger, message, and what was raised."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            told["error"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False)


LOG_FORMATS: dict[str, Callable[[], logging.Formatter]] = {
    "text": lambda: logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"),
    "json": _JsonLines,
}


class _LogFormat(argparse.Action):
    """Changes the format of the log while the arguments are read, so that all lines have it."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, values)
        for handler in logging.getLogger().handlers:
            handler.setFormatter(LOG_FORMATS[values]())


def add_recipe_arguments(parser: argparse.ArgumentParser, default: str = "dclm_baseline") -> None:
    """Add `--recipe NAME|file.yaml`, `--options NAME` and `--set key.path=value`."""
    parser.add_argument("--recipe", default=default, help="name of a recipe, or a .yaml file")
    parser.add_argument(
        "--options", action="append", default=[], metavar="NAME",
        help="settings that belong together: own_crawl (repeatable)",
    )  # fmt: skip
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one value of the recipe, for example deduplication.shards=10 (repeatable)",
    )


def add_input_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what a run reads: `--input`, `--base`, `--limit`, `--scored`."""
    add = parser.add_argument
    add("--input", help="*.paths.gz listing, glob, directory or files (comma)")
    add("--base", help="URL, bucket or folder that the paths of a listing are below")
    add("--limit", type=positive, help="read only the first so many files (of each source)")
    add("--scored", help="decide from this scored table of jobs/annotate.py")


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what a run may do to finished work and put up with."""
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace and remove finished work of another recipe or of other input in --output",
    )
    add_failure_argument(parser)


def add_failure_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--max-failed-inputs N`, short for `--set limits.max_failed_inputs=N`."""
    parser.add_argument(
        "--max-failed-inputs",
        type=int,
        dest="set",
        action=_FailedInputs,
        metavar="N",
        help="go on without up to N input files that cannot be read",
    )


class _FailedInputs(argparse.Action):
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        namespace.set = [*namespace.set, f"limits.max_failed_inputs={values}"]


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add how the models of a ranking are trained and measured."""
    add = parser.add_argument
    add("--output", required=True, help="local folder of the ranking; finished runs are skipped")
    add("--scales", "--scale", nargs="+", default=["tiny"], help="scales of jobs/train_model.py")
    add("--seeds", type=positive, default=3, help="models per corpus")
    add(
        "--tokens", type=number, nargs="+", default=[], help="budget of every model, or one a scale"
    )
    add("--target-tokens", type=number, nargs="+", default=[], help="budgets the ranking is for")
    add("--target-scale", help="scale of the run that the ranking is for")
    add(
        "--corpus-tokens", action="append", default=[], metavar="NAME=TOKENS",
        help="size of a whole corpus whose shards here are a sample",
    )  # fmt: skip
    add("--max-passes", type=float, default=4.0, help="passes of a proxy beyond its target's")
    add("--early-stop", action="store_true", help="no further seeds for pairs that are decided")
    add(
        "--gpus", "--workers", type=positive, default=1, dest="workers", metavar="N",
        help="rows trained and evaluated at a time, each by a process with a device of its own; "
        "without GPUs they share the cores",
    )  # fmt: skip
    add("--train", action="append", default=[], help="training KEY=VALUE")
    add("--tasks", default="", help="core, extended, mmlu or labels; needs --data")
    add("--data", default="", help="folder or URI with the tasks' files")
    add("--rows-per-task", type=positive, help="score at most so many rows of a task")
    add_precision_argument(parser)
    add("--only", metavar="CORPUS/SEED[@CELL]", help="do one row again")


def add_heldout_argument(parser: argparse.ArgumentParser) -> None:
    """Add the texts on which bits per byte are measured; the same for rankings and models."""
    parser.add_argument(
        "--heldout", action="append", default=[], metavar="FILE",
        help="texts to measure bits per byte on: JSON Lines with a field text, plain or "
        "compressed, a path or URI (repeatable)",
    )  # fmt: skip


def add_precision_argument(parser: argparse.ArgumentParser) -> None:
    """Add in what arithmetic models are evaluated; the same for rankings and single models."""
    parser.add_argument(
        "--precision", default="fp32", choices=("fp32", "tf32", "bf16", "auto"),
        help="arithmetic of evaluation; auto: bf16 on a GPU that has it",
    )  # fmt: skip


def model_fields(given: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of `ranking.options.ModelSettings` that `add_model_arguments` asked for."""
    names = (
        "output", "seeds", "tasks", "data", "rows_per_task", "only", "target_scale", "max_passes",
        "early_stop", "workers", "precision",
    )  # fmt: skip
    lists = ("scales", "tokens", "target_tokens", "corpus_tokens")
    found = {name: getattr(given, name) for name in names}
    found |= {name: tuple(getattr(given, name)) for name in lists}
    return found | {"training": tuple(given.train)}


def run_command(main: Callable[[], None]) -> None:
    """Run a job: log lines to stderr, mistakes of the user as one line and exit code 2."""
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("dclm_spark").setLevel(logging.INFO)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(LOG_FORMATS["text"]())
        # A call into the JVM that is interrupted, or ends with it, is told by its own error.
        handler.addFilter(lambda record: Path(record.pathname).parent.name != "py4j")
    try:
        _run_to_end(main)
    except ValueError as error:
        if not _raised_by_us(error):
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    except (BalanceError, LimitError, StageError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_FAILED)
    except OSError as error:
        # What the machine refuses, such as a folder of somebody else's or a full disk.
        if error.filename is None:
            raise
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        sys.exit(EXIT_FAILED)
    except KeyboardInterrupt:
        print("interrupted; the same command resumes after what is committed", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    except ModuleNotFoundError as error:
        told = missing_package(error)
        if not told:
            raise
        print(f"error: {told}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("pyspark", "py4j"):
            raise
        from dclm_spark.task_errors import task_error

        print(f"error: {task_error(error)}", file=sys.stderr)
        sys.exit(EXIT_FAILED)


def _run_to_end(main: Callable[[], None]) -> None:
    """Run a job; one whose reader has read enough, as `head` has, ends quietly."""
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:
        stdout, poll = sys.stdout.fileno(), select.poll()
        # Other pipes and connections break too. Of this one errors alone are told.
        poll.register(stdout, 0)
        if not poll.poll(0):
            raise
        # What is left to write goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout)
        sys.exit(EXIT_UNREAD)


def _raised_by_us(error: ValueError) -> bool:
    """Say whether our own code raised `error`: then its message is written for the user."""
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    return bool(_PACKAGES & set(Path(last).parts))


def main() -> None:
    """Run the job that the first argument names, with the other arguments."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        return print(usage())
    if arguments[0] == "--version":
        return print(version("dclm-spark"))
    name = arguments[0].replace("-", "_").removesuffix(".py")
    if name not in job_names():
        near = difflib.get_close_matches(name, job_names(), 1)
        hint = f"did you mean {near[0]}?" if near else "`dclm-spark --help` names all"
        print(f"error: dclm-spark {arguments[0]}: there is no such job; {hint}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    sys.argv = [f"dclm-spark {name}", *arguments[1:]]
    run_command(lambda: import_module(f"dclm_spark.jobs.{name}").main())


def job_names() -> list[str]:
    """Return the names of all jobs."""
    return sorted(path.stem for path in _JOBS.glob("*.py"))


def usage() -> str:
    """Return what `dclm-spark --help` prints: the jobs, each with the first line of its help."""
    width = max(map(len, job_names()))
    lines = [f"  {name:{width}}  {_first_line(name)}" for name in job_names()]
    return "\n".join(
        ["usage: dclm-spark JOB [ARGUMENT ...]", "", *lines, "", "dclm-spark JOB --help tells more"]
    )


def _first_line(name: str) -> str:
    text = (_JOBS / f"{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]


if __name__ == "__main__":
    main()
