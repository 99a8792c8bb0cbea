"""Say why one corpus beat another: what differs, by group, and which groups move models.

    python jobs/compare_corpora.py A B --output out
    python jobs/compare_corpora.py --output out --tokenizer tokenizer.json --heldout news.jsonl \\
        --by rule --groups 4 --scales tiny --seeds 3

A and B are finished runs (or recipes/NAME of a ranking). Writes corpora.html and corpora.json. The
second form goes on from the folder without Spark: it trains small models on both corpora and on
each with one group of documents as the other has it. Both can be given at once.
"""

import sys

from dclm_spark import command
from dclm_spark.arguments.job_parser import positive


def main() -> None:
    """Parse the command line, compare, and say what differs and where the page is."""
    add = (parser := command.job_parser(__doc__)).add_argument
    add("runs", nargs="*", metavar="RUN", help="two finished runs, A and B; none: go on")
    add("--master", help="Spark master when not started by spark-submit")
    add("--by", default="rule", help="groups of models: rule, domain, language, source, score")
    add("--groups", type=positive, default=4, help="how many of the largest groups models tell of")
    add("--tokenizer", help="tokenizer.json that the shards were made with")
    command.add_heldout_argument(parser)
    command.add_model_arguments(parser)
    given = parser.parse_args()
    if len(given.runs) not in (0, 2):
        parser.error(f"{len(given.runs)} runs are given: expected two to compare, or none")
    trains = bool(given.heldout or given.tasks)
    if not given.runs and not trains:
        parser.error("neither two runs nor --heldout nor --tasks: there is nothing to do")
    if given.runs:
        from dclm_spark.causes.differing_groups import compare_corpora
        from dclm_spark.engine.run_record import finished_run
        from dclm_spark.session import spark_session

        first, second = given.runs
        for run in (first, second):
            finished_run(run)
        spark = spark_session("compare_corpora", given.master)
        found, page = compare_corpora(spark, first, second, given.output)
        print(f"{found.headline}\nopen {page}")
    if trains:
        from dclm_spark.causes.models_of_groups import explain_difference
        from dclm_spark.ranking.options import ModelSettings
        from dclm_spark.train.signals import REQUEUE_EXIT_CODE, Preempted

        texts = {"tokenizer": given.tokenizer, "heldout": tuple(given.heldout)}
        settings = ModelSettings(**command.model_fields(given), **texts)
        try:
            print("\n".join(explain_difference(settings, given.by, given.groups)))
        except Preempted as reason:
            print(reason, file=sys.stderr)
            sys.exit(REQUEUE_EXIT_CODE)


if __name__ == "__main__":
    command.run_command(main)
