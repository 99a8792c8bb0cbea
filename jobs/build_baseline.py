"""Build a corpus: WARCs (or extracted documents) to token shards, with a report on every record.

Without --input, the embedded sample: a generated crawl, its own tokenizer and classifier, and a
tiny model trained on the shards.
"""

import argparse
import sys

from dclm_spark.command import add_recipe_arguments, add_run_arguments, positive, run_command
from dclm_spark.preflight import check_run, describe
from dclm_spark.recipes import load_recipe
from dclm_spark.session import spark_session
from dclm_spark.settings import to_yaml


def argument_parser() -> argparse.ArgumentParser:
    """Return the parser, by which infra/submission looks at arguments, too."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--input", help="*.paths.gz listing, glob, directory or files (comma)")
    add("--base", help="URL, bucket or folder that the paths of a listing are below")
    add("--output", required="--print-recipe" not in sys.argv, help="folder or prefix of the run")
    add("--limit", type=positive, help="read only the first so many files")
    add("--check", action="store_true", help="check everything, print the plan and stop")
    add("--print-recipe", action="store_true", help="print the resolved recipe (YAML) and stop")
    add("--scored", help="decide from this scored table of jobs/annotate.py")
    add("--master", help="Spark master when not started by spark-submit")
    add_recipe_arguments(parser)
    add_run_arguments(parser)
    return parser


def main() -> None:
    """Parse the command line and run the pipeline."""
    given = argument_parser().parse_args()
    recipe = load_recipe(given.recipe, given.set, given.options)
    if given.print_recipe:
        return print(to_yaml(recipe), end="")
    if given.input or given.check:
        # Before Spark starts: most of what goes wrong the first time is found here.
        inputs = given.input or ""
        checked = check_run(recipe, inputs, given.output, base=given.base, limit=given.limit)
        if given.check:
            return print("\n".join(describe(recipe, checked)))
        if not given.overwrite:
            from dclm_spark.pipeline import check_output

            check_output(recipe, checked.inputs.files, given.output)
    spark = spark_session("build_baseline", given.master)
    if given.input is None:
        from dclm_spark.sample.sample_run import run_sample

        run_sample(spark, recipe, given.output)
        return
    from dclm_spark.pipeline import build_baseline

    build_baseline(
        spark, recipe=recipe, inputs=given.input, output=given.output, base=given.base,
        scored=given.scored, limit=given.limit, overwrite=given.overwrite,
    )  # fmt: skip


if __name__ == "__main__":
    run_command(main)
