"""Say what a finished run is made of: counts, a datasheet, the EU's public summary.

python jobs/describe_corpus.py --output RUN
"""

from dclm_spark.command import job_parser, run_command
from dclm_spark.corpus.describe import describe_corpus
from dclm_spark.engine.run_record import finished_run
from dclm_spark.session import spark_session
from udfs import storage


def main() -> None:
    """Parse the command line, write the description and say where it is."""
    parser = job_parser(__doc__)
    parser.add_argument("--output", required=True, help="the run's folder, s3:// or gs:// prefix")
    parser.add_argument("--master", help="Spark master, for example local[*]")
    given = parser.parse_args()
    finished_run(output := storage.absolute(given.output))
    folder = describe_corpus(spark_session("describe_corpus", given.master), output)
    print(f"contents.json, datasheet.md and public_summary.md in {folder}")


if __name__ == "__main__":
    run_command(main)
