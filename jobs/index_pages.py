"""Index the ledger of a finished run by address, id and registered domain.

python jobs/index_pages.py --output RUN
"""

from dclm_spark.command import job_parser, run_command
from dclm_spark.engine.lease import only_driver
from dclm_spark.engine.run_record import finished_run
from dclm_spark.page_index.build import write_index
from dclm_spark.session import spark_session
from udfs import storage


def main() -> None:
    """Parse the command line, write the index and say how many rows it has."""
    parser = job_parser(__doc__)
    parser.add_argument("--output", required=True, help="the run's folder, s3:// or gs:// prefix")
    parser.add_argument("--master", help="Spark master, for example local[*]")
    given = parser.parse_args()
    output = storage.absolute(given.output)
    finished_run(output)
    with only_driver(output):
        found = write_index(spark_session("index_pages", given.master), output)
    for stage, index in found.items():
        print(f"{stage}: {index.num_rows:,} rows in {index.num_files} files")


if __name__ == "__main__":
    run_command(main)
