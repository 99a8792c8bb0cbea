"""Print the statements that register a run's tables in Hive, Glue, Athena, Spark or Iceberg.

python jobs/print_ddl.py --output RUN --database crawl > tables.sql
"""

from dclm_spark.command import job_parser, run_command
from dclm_spark.exports.table_ddl import DIALECTS, table_ddl
from udfs import storage


def main() -> None:
    """Parse the command line and print one statement for each table."""
    parser = job_parser(__doc__)
    parser.add_argument("--output", required=True, help="the run's folder, s3:// or gs:// prefix")
    parser.add_argument(
        "--dialect", choices=tuple(DIALECTS), default="hive", help="whose statements"
    )
    told = "database of the tables; for iceberg CATALOG.DATABASE"
    parser.add_argument("--database", default="dclm_spark", help=told)
    given = parser.parse_args()
    for statement in table_ddl(storage.absolute(given.output), given.dialect, given.database):
        print(statement)


if __name__ == "__main__":
    run_command(main)
