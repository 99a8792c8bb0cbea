"""The command `dclm-spark JOB ...`: what `jobs/` holds, from an installed package.

`dclm_spark.jobs` is the folder `jobs/` by another name, so there is one main of each job.
"""

import ast
import difflib
import sys
from importlib import import_module
from pathlib import Path

from dclm_spark.command import EXIT_USER_ERROR, run_command

_JOBS = Path(__file__).with_name("jobs")


def main() -> None:
    """Run the job that the first argument names, with the other arguments."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        return print(usage())
    name = arguments[0].replace("-", "_").removesuffix(".py")
    if name not in job_names():
        near = difflib.get_close_matches(name, job_names(), 1)
        hint = f"did you mean {near[0]}?" if near else "`dclm-spark --help` names all"
        print(f"error: dclm-spark {arguments[0]}: there is no such job; {hint}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    sys.argv = [f"dclm-spark {name}", *arguments[1:]]
    run_command(import_module(f"dclm_spark.jobs.{name}").main)


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
