"""Train OpenLM on token shards.

    torchrun --nproc-per-node 8 jobs/train_model.py --scale 7b-1x --shards MANIFEST --output RUN

Exit codes: 0 done, 1 for a loss that is not finite, 2 for settings or data that do not fit, 143
when told to leave (run the same command line again with --resume).
"""

import argparse
import dataclasses
import json
import logging
import sys

from dclm_spark.command import EXIT_FAILED, job_parser, run_command
from dclm_spark.evaluate.speed.task_arguments import add_task_arguments, observers_of
from dclm_spark.settings import override
from dclm_spark.train.scales import SCALES, scale
from dclm_spark.train.signals import REQUEUE_EXIT_CODE, Preempted
from dclm_spark.train.trainer import LossNotFinite, train


def arguments() -> argparse.Namespace:
    """Read the command line."""
    add = (parser := job_parser(__doc__)).add_argument
    add("--scale", required=True, help=f"one of {', '.join(SCALES)}")
    add("--shards", nargs="+", default=[], help="manifests or their folders")
    add("--output", help="directory for checkpoints, log and loss curve")
    add("--resume", action="store_true", help="go on from the newest whole checkpoint")
    add("--reason", default="", help="why settings of a resumed run differ (kept with it)")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting")
    add_task_arguments(parser)
    add("--benchmark", action="store_true", help="only measure steps on made-up tokens")
    if not ((options := parser.parse_args()).benchmark or (options.shards and options.output)):
        parser.error("--shards and --output are needed unless --benchmark is given")
    return options


def main() -> None:
    """Train, or measure steps, and print what came out."""
    settings = override(scale((options := arguments()).scale), options.set)
    if options.benchmark:
        from dclm_spark.train.benchmark import benchmark

        return print(benchmark(settings))
    try:
        result = train(
            settings, shards=options.shards, output=options.output, resume=options.resume,
            reason=options.reason, observers=observers_of(options, settings),
        )  # fmt: skip
    except (Preempted, LossNotFinite) as ended:
        how = "; take it up with --resume" * (goes_on := isinstance(ended, Preempted))
        print(f"{ended}{how}", file=sys.stderr)
        sys.exit(REQUEUE_EXIT_CODE if goes_on else EXIT_FAILED)
    print(json.dumps(dataclasses.asdict(result), default=str, indent=1))
    logging.getLogger("dclm_spark").info(result.meaning())


if __name__ == "__main__":
    run_command(main)
