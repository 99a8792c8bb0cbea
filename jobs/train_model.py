"""Train OpenLM on token shards: `torchrun ... jobs/train_model.py --scale 7b-1x --shards DIR`."""

import argparse
import dataclasses
import json
import logging
import sys

from dclm_spark.settings import override
from dclm_spark.train.metrics import LossNotFinite
from dclm_spark.train.scales import SCALES, scale
from dclm_spark.train.signals import REQUEUE_EXIT_CODE, Preempted
from dclm_spark.train.trainer import train


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", required=True, help=f"one of {', '.join(SCALES)}")
    parser.add_argument("--shards", nargs="+", default=[], help="manifests or their folders")
    parser.add_argument("--output", help="directory for checkpoints, log and loss curve")
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting")
    parser.add_argument(
        "--benchmark", action="store_true", help="only measure steps on made-up tokens"
    )
    options = parser.parse_args()
    if not options.benchmark and not (options.shards and options.output):
        parser.error("--shards and --output are needed unless --benchmark is given")
    return options


def main() -> int:
    """Run; 0 when done, 1 for a refused or broken run, 143 when preempted (run again)."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options = arguments()
    try:
        settings = override(scale(options.scale), options.set)
        if options.benchmark:
            from dclm_spark.train.benchmark import benchmark

            print(benchmark(settings))
            return 0
        result = train(
            settings, shards=options.shards, output=options.output, resume=options.resume
        )
    except Preempted as preempted:
        print(preempted, file=sys.stderr)
        return REQUEUE_EXIT_CODE
    except (ValueError, LossNotFinite) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(dataclasses.asdict(result), default=str, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
