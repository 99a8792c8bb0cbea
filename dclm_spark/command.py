"""What the jobs share: recipe arguments, log format, and errors shown as one line."""

import argparse
import logging
import sys
from collections.abc import Callable

from dclm_spark.errors import BalanceError, StageError

EXIT_USER_ERROR = 2
EXIT_FAILED = 1


def add_recipe_arguments(parser: argparse.ArgumentParser, default: str = "dclm_baseline") -> None:
    """Add `--recipe NAME|file.yaml` and `--set key.path=value`."""
    parser.add_argument("--recipe", default=default, help="name of a recipe, or a .yaml file")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one value of the recipe, for example deduplication.shards=10 (repeatable)",
    )


def run_command(main: Callable[[], None]) -> None:
    """Run a job: log lines to stderr, mistakes of the user as one line and exit code 2."""
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S"
    )
    logging.getLogger("dclm_spark").setLevel(logging.INFO)
    try:
        main()
    except ValueError as error:
        if type(error).__module__.split(".")[0] not in {"dclm_spark", "udfs"}:
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    except (BalanceError, StageError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_FAILED)
