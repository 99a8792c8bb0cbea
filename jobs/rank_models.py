"""Train, measure and compare models on corpora of any origin, on a machine without Spark.

    python jobs/rank_models.py --corpora a=A/shards b=B/shards --tokenizer tokenizer.json \\
        --heldout news.jsonl.zst --scales 20m 80m --target-scale gpt2-1.5b --output RANKING
    python jobs/rank_models.py --output RANKING --scales 80m --seeds 3

The second form goes on from a folder of jobs/rank_recipes.py --corpora-only, wherever it lies.
"""

import sys

from dclm_spark.command import add_model_arguments, job_parser, model_fields, run_command


def main() -> None:
    """Parse the command line, rank, and print the conclusions."""
    parser = job_parser(__doc__)
    add = parser.add_argument
    add("--corpora", nargs="+", default=[], metavar="NAME=MANIFEST", help="shards to compare")
    add("--tokenizer", help="tokenizer.json that the shards of --corpora were made with")
    add("--heldout", action="append", default=[], help="JSON lines of texts; with --corpora")
    add_model_arguments(parser)
    given = parser.parse_args()
    from dclm_spark.ranking.options import ModelSettings
    from dclm_spark.ranking.train_models import rank_models
    from dclm_spark.train.signals import REQUEUE_EXIT_CODE, Preempted

    settings = ModelSettings(
        corpora=tuple(given.corpora),
        tokenizer=given.tokenizer,
        heldout=tuple(given.heldout),
        **model_fields(given),
    )
    try:
        print("\n".join(rank_models(settings)["conclusions"]))
    except Preempted as told:
        print(told, file=sys.stderr)
        sys.exit(REQUEUE_EXIT_CODE)


if __name__ == "__main__":
    run_command(main)
