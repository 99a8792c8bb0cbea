"""Build a corpus: WARCs (or extracted documents) to token shards, with a report on every record.

    spark-submit jobs/build_baseline.py --recipe dclm_baseline --input warc.paths.gz --output RUN

A recipe of several sources names their inputs. Any other without --input: the embedded sample.
"""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor

from dclm_spark import command
from dclm_spark.preflight import describe
from dclm_spark.recipes import is_several, load_recipe
from dclm_spark.recipes.recipe import Recipe
from dclm_spark.session import spark_session
from dclm_spark.settings import to_yaml


def argument_parser() -> argparse.ArgumentParser:
    """Return the parser, by which infra/submission looks at arguments, too."""
    add = (parser := command.job_parser(__doc__)).add_argument
    command.add_input_arguments(parser)
    add("--output", required="--print-recipe" not in sys.argv, help="folder or prefix of the run")
    add("--check", action="store_true", help="check everything, print the plan and stop")
    add("--print-recipe", action="store_true", help="print the resolved recipe (YAML) and stop")
    add("--metrics", metavar="FILE", help="write metrics for Prometheus, every 30 s")
    add("--master", help="Spark master when not started by spark-submit")
    command.add_recipe_arguments(parser)
    command.add_run_arguments(parser)
    return parser


def main() -> None:
    """Parse the command line and run the pipeline."""
    given = argument_parser().parse_args()
    recipe = load_recipe(given.recipe, given.set, given.options)
    if given.print_recipe:
        return print(to_yaml(recipe), end="")
    from dclm_spark.beginning import check_before_start
    from dclm_spark.mixed_runs.mixed_run import build_from_arguments
    from dclm_spark.pipeline import build_baseline

    if recipe.sources or is_several(recipe.language):
        return build_from_arguments(recipe, given)
    run = {name: getattr(given, name) for name in ("base", "limit", "overwrite")}
    if given.input or given.check:
        checked = check_before_start(recipe, given.input or "", given.output, **run)
        if given.check:
            return print("\n".join(describe(recipe, checked)))
    if not given.input:
        return run_embedded_sample(recipe, given)
    spark = spark_session("build_baseline", given.master)
    run |= {name: getattr(given, name) for name in ("output", "scored", "metrics")}
    build_baseline(spark, recipe=recipe, inputs=given.input, **run)


def run_embedded_sample(recipe: Recipe, given: argparse.Namespace) -> None:
    """Make the sample while Spark starts, and run everything on it."""
    from dclm_spark.sample.sample_run import check_sample, load_trainer, prepare_sample, run_sample

    check_sample(recipe, given.output)
    with ThreadPoolExecutor(1) as pool:
        sample = pool.submit(prepare_sample, recipe, given.output)
        pool.submit(load_trainer)
        spark = spark_session("build_baseline", given.master)
    run_sample(spark, sample.result())


if __name__ == "__main__":
    command.run_command(main)
