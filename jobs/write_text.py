"""Write the kept documents of a run as a data set of texts, with a card, recipe and checksums.

    spark-submit jobs/write_text.py --run RUN --output DATASET

`datasets.load_dataset("DATASET")` reads it; so does whatever reads Parquet or JSON Lines.
"""

import argparse

from dclm_spark.command import job_parser, run_command
from dclm_spark.engine.run_record import finished_run
from dclm_spark.session import spark_session


def argument_parser() -> argparse.ArgumentParser:
    """Return the parser, by which infra/submission looks at arguments, too."""
    parser = job_parser(__doc__)
    add = parser.add_argument
    add("--run", required=True, help="the --output of a finished jobs/build_baseline.py")
    add("--output", required=True, help="folder or prefix of the data set")
    add("--format", choices=("parquet", "jsonl"), default="parquet", help="jsonl is .jsonl.zst")
    add("--signals", nargs="*", default=[], metavar="COLUMN", help="further columns of documents")
    add("--master", help="Spark master when not started by spark-submit")
    return parser


def main() -> None:
    """Parse the command line and write the data set."""
    given = argument_parser().parse_args()
    from dclm_spark.exports.text_corpus import write_text

    finished_run(given.run)
    spark = spark_session("write_text", given.master)
    written = write_text(spark, given.run, given.output, kind=given.format, signals=given.signals)
    print(f"{written.rows('data/')} documents in {given.output}; README.md there says of what")


if __name__ == "__main__":
    run_command(main)
