"""Say what a recipe's sources, rules, buckets and copies yield, to the token, before it is written.

    python jobs/plan_mixture.py --recipe mine.yaml --input warc.paths.gz --output RUN

Runs what build_baseline runs up to the scores, counts tokens, and decides over these columns;
build_baseline with the same arguments goes on from there and writes as much as was said.
"""

import argparse

from dclm_spark import command
from dclm_spark.recipes import load_recipe
from dclm_spark.session import spark_session


def argument_parser() -> argparse.ArgumentParser:
    """Return the parser of the job."""
    parser = command.job_parser(__doc__)
    command.add_input_arguments(parser)
    add = parser.add_argument
    add("--output", required=True, help="folder or prefix of the run")
    add("--master", help="Spark master when not started by spark-submit")
    command.add_recipe_arguments(parser)
    command.add_run_arguments(parser)
    return parser


def main() -> None:
    """Parse the command line and print the yield."""
    given = argument_parser().parse_args()
    recipe = load_recipe(given.recipe, given.set, given.options)
    if recipe.sources:
        from dclm_spark.mixed_runs.mixed_run import plan_from_arguments

        return print(plan_from_arguments(recipe, given))
    from dclm_spark.beginning import RunRequest, check_before_start
    from dclm_spark.pipeline import plan_mixture
    from dclm_spark.signals.mixture_yield import render

    run = {name: getattr(given, name) for name in ("base", "limit", "overwrite")}
    check_before_start(recipe, given.input or "", given.output, **run)
    spark = spark_session("plan_mixture", given.master)
    request = RunRequest(inputs=given.input, output=given.output, scored=given.scored, **run)
    print(render(plan_mixture(spark, recipe, request)))


if __name__ == "__main__":
    command.run_command(main)
