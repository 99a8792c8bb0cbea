"""Build a corpus: WARCs (or extracted documents) to token shards, with a report on every record.

Without --input, the embedded sample: a generated crawl, its own tokenizer and classifier, and a
tiny model trained on the shards.
"""

import argparse

from dclm_spark.command import add_recipe_arguments, add_run_arguments, run_command
from dclm_spark.pipeline import build_baseline, check_output
from dclm_spark.recipes import load_recipe
from dclm_spark.session import spark_session


def main() -> None:
    """Parse the command line and run the pipeline."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", help="*.paths.gz listing, glob, directory or files (comma)")
    parser.add_argument(
        "--base", help="URL, bucket or folder that the paths of a listing are below"
    )
    parser.add_argument("--output", required=True, help="folder, s3:// or gs:// prefix of the run")
    parser.add_argument("--scored", help="decide from this scored table of jobs/annotate.py")
    parser.add_argument("--master", help="Spark master when not started by spark-submit")
    add_recipe_arguments(parser)
    add_run_arguments(parser)
    arguments = parser.parse_args()
    recipe = load_recipe(arguments.recipe, arguments.set)
    if arguments.input and not arguments.overwrite:
        check_output(recipe, arguments.input, arguments.output, arguments.base)
    spark = spark_session("build_baseline", arguments.master)
    if arguments.input is None:
        from dclm_spark.sample.run import run_sample

        run_sample(spark, recipe, arguments.output)
        return
    build_baseline(
        spark,
        recipe=recipe,
        inputs=arguments.input,
        output=arguments.output,
        base=arguments.base,
        scored=arguments.scored,
        overwrite=arguments.overwrite,
    )


if __name__ == "__main__":
    run_command(main)
