"""Say which rows of a token corpus hold which evaluation items, from the shards alone.

python jobs/contamination_of.py --shards RUN/shards/manifest.json --tokenizer tokenizer.json \
    --data EVAL --tasks core --evaluation RESULTS --output OUT
"""

from dclm_spark.command import job_parser, run_command
from dclm_spark.measure.corpus_contamination import (
    CorpusQuestion,
    as_table,
    contamination_of,
    opened,
)
from dclm_spark.session import spark_session
from udfs import storage


def main() -> None:
    """Parse the command line, look through the shards and print the tables."""
    parser = job_parser(__doc__)
    add = parser.add_argument
    add("--shards", required=True, help="manifest.json of token shards, or its folder")
    add("--tokenizer", required=True, help="the tokenizer.json that the shards were made with")
    add("--data", required=True, help="evaluation data, as for evaluate_model.py")
    add("--tasks", default="core", help="core, extended, mmlu, or labels: a,b")
    add("--evaluation", help="output of evaluate_model.py: scores without the items that leak")
    add("--output", required=True, help="folder or prefix for hits and figures")
    add("--master", help="Spark master when not started by spark-submit")
    given = parser.parse_args()
    asked = CorpusQuestion(
        shards=storage.absolute(given.shards),
        tokenizer=given.tokenizer,
        data=given.data,
        output=storage.absolute(given.output),
        tasks=given.tasks,
        evaluation=given.evaluation and storage.absolute(given.evaluation),
    )
    question = opened(asked)
    print(as_table(contamination_of(spark_session("contamination_of", given.master), question)))


if __name__ == "__main__":
    run_command(main)
