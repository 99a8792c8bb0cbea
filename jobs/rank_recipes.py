"""Rank curation recipes by the models trained on them, with intervals and controls.

Without --input, the embedded sample, whose planted facts make the better recipe known.
"""

import argparse

from dclm_spark.command import run_command
from dclm_spark.session import spark_session


def main() -> None:
    """Parse the command line, rank, and print the conclusions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipes", nargs="+", required=True, help="names or .yaml files")
    parser.add_argument("--input", help="*.paths.gz listing, glob, directory or files (comma)")
    parser.add_argument("--base", help="what the paths of a listing are below")
    parser.add_argument("--output", required=True, help="local folder; finished runs are skipped")
    parser.add_argument("--scored", help="scored table of jobs/annotate.py; default: OUTPUT/scored")
    parser.add_argument("--scale", default="tiny", help="name of a scale of jobs/train_model.py")
    parser.add_argument("--seeds", type=int, default=3, help="models per recipe")
    parser.add_argument("--tokens", type=int, help="budget of every model; default: the scale's")
    parser.add_argument("--heldout", action="append", default=[], help="JSON lines of texts")
    parser.add_argument("--tasks", default="", help="core, extended, mmlu or labels; needs --data")
    parser.add_argument("--data", default="", help="folder or URI with the tasks' files")
    parser.add_argument("--rows-per-task", type=int, help="score at most so many rows of a task")
    parser.add_argument("--pages", type=int, default=1000, help="pages of the embedded sample")
    parser.add_argument("--only", metavar="RECIPE/SEED", help="do one row again, from nothing")
    parser.add_argument("--set", action="append", default=[], help="recipe KEY=VALUE, for all")
    parser.add_argument("--train", action="append", default=[], help="training KEY=VALUE")
    parser.add_argument("--master", help="Spark master when not started by spark-submit")
    given = parser.parse_args()
    spark = spark_session("rank_recipes", given.master)
    from dclm_spark.ranking.rank import RankSettings, rank_recipes

    settings = RankSettings(
        recipes=tuple(given.recipes),
        output=given.output,
        inputs=given.input,
        base=given.base,
        scale=given.scale,
        seeds=given.seeds,
        tokens=given.tokens,
        assignments=tuple(given.set),
        training=tuple(given.train),
        heldout=tuple(given.heldout),
        tasks=given.tasks,
        data=given.data,
        rows_per_task=given.rows_per_task,
        num_pages=given.pages,
        only=given.only,
        scored=given.scored,
    )
    print("\n".join(rank_recipes(spark, settings)["conclusions"]))


if __name__ == "__main__":
    run_command(main)
