"""Build a corpus: WARCs (or extracted documents) to token shards, with a report on every record.

Without --input, the embedded sample: a generated crawl, its own tokenizer and classifier, and a
tiny model trained on the shards.
"""

import argparse

from dclm_spark.command import add_recipe_arguments, run_command
from dclm_spark.recipes import load_recipe
from dclm_spark.session import spark_session


def argument_parser() -> argparse.ArgumentParser:
    """Return the parser, by which infra/submission looks at arguments, too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", help="*.paths.gz listing, glob, directory or files (comma)")
    parser.add_argument(
        "--base", help="URL, bucket or folder that the paths of a listing are below"
    )
    parser.add_argument("--output", required=True, help="folder, s3:// or gs:// prefix of the run")
    parser.add_argument("--scored", help="decide from this scored table of jobs/annotate.py")
    parser.add_argument("--master", help="Spark master when not started by spark-submit")
    add_recipe_arguments(parser)
    return parser


def main() -> None:
    """Parse the command line and run the pipeline."""
    arguments = argument_parser().parse_args()
    recipe = load_recipe(arguments.recipe, arguments.set)
    spark = spark_session("build_baseline", arguments.master)
    if arguments.input is None:
        from dclm_spark.sample.run import run_sample

        run_sample(spark, recipe, arguments.output)
        return
    from dclm_spark.pipeline import build_baseline

    build_baseline(
        spark,
        recipe=recipe,
        inputs=arguments.input,
        output=arguments.output,
        base=arguments.base,
        scored=arguments.scored,
    )


if __name__ == "__main__":
    run_command(main)
