"""Rank curation recipes by the models trained on them, with intervals and controls.

    spark-submit jobs/rank_recipes.py --recipes raw refinedweb --input warc.paths.gz --output DIR

Without --input, the embedded sample, whose planted facts make the better recipe known.
"""

import argparse

from dclm_spark import command
from dclm_spark.arguments.job_parser import positive
from dclm_spark.session import spark_session


def argument_parser() -> argparse.ArgumentParser:
    """Return the parser, by which infra/submission looks at arguments, too."""
    parser = command.job_parser(__doc__)
    parser.add_argument("--recipes", nargs="+", required=True, help="names or .yaml files")
    parser.add_argument("--input", help="*.paths.gz listing, glob, directory or files (comma)")
    parser.add_argument("--base", help="what the paths of a listing are below")
    parser.add_argument("--scored", help="scored table of jobs/annotate.py; default: OUTPUT/scored")
    command.add_heldout_argument(parser)
    parser.add_argument("--pages", type=positive, default=1000, help="pages of the embedded sample")
    parser.add_argument("--set", action="append", default=[], help="recipe KEY=VALUE, for all")
    parser.add_argument(
        "--corpora-only",
        action="store_true",
        help="stop before the models; jobs/rank_models.py trains them, also without Spark",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="remove finished work on other inputs"
    )
    parser.add_argument("--master", help="Spark master when not started by spark-submit")
    command.add_model_arguments(parser)
    return parser


def main() -> None:
    """Parse the command line, rank, and print the conclusions."""
    given = argument_parser().parse_args()
    spark = spark_session("rank_recipes", given.master)
    from dclm_spark.ranking.rank import RankSettings, rank_recipes

    settings = RankSettings(
        recipes=tuple(given.recipes),
        inputs=given.input,
        base=given.base,
        assignments=tuple(given.set),
        heldout=tuple(given.heldout),
        num_pages=given.pages,
        scored=given.scored,
        corpora_only=given.corpora_only,
        overwrite=given.overwrite,
        **command.model_fields(given),
    )
    print("\n".join(rank_recipes(spark, settings)["conclusions"]))


if __name__ == "__main__":
    command.run_command(main)
