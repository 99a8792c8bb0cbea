"""Extract texts and measure signals once, for any number of recipes to be decided on.

    spark-submit jobs/annotate.py --recipes raw refinedweb --input warc.paths.gz --output TABLE

What the recipes need and the table lacks is added; thresholds are no part of it.
"""

import argparse

from dclm_spark.command import add_failure_argument, job_parser, run_command
from dclm_spark.session import spark_session


def argument_parser() -> argparse.ArgumentParser:
    """Return the parser, by which infra/submission looks at arguments, too."""
    parser = job_parser(__doc__)
    parser.add_argument("--recipes", nargs="+", required=True, help="names or .yaml files")
    parser.add_argument(
        "--input", required=True, help="*.paths.gz listing, glob, directory or files (comma)"
    )
    parser.add_argument("--base", help="what the paths of a listing are below")
    parser.add_argument("--output", required=True, help="folder or prefix of the table")
    parser.add_argument("--set", action="append", default=[], help="recipe KEY=VALUE, for all")
    add_failure_argument(parser)
    parser.add_argument("--master", help="Spark master when not started by spark-submit")
    return parser


def main() -> None:
    """Parse the command line and fill the table."""
    given = argument_parser().parse_args()
    from dclm_spark.recipes import load_recipe
    from dclm_spark.recipes.checks import check_one_input
    from dclm_spark.recipes.recipe import curation_settings
    from dclm_spark.stages.scored_table import build_table

    recipes = [load_recipe(name, given.set) for name in given.recipes]
    for recipe in recipes:
        check_one_input(recipe)
    settings = {recipe.name: curation_settings(recipe) for recipe in recipes}
    spark = spark_session("annotate", given.master)
    lines = build_table(spark, settings, inputs=given.input, base=given.base, table=given.output)
    print("\n".join(lines))


if __name__ == "__main__":
    run_command(main)
