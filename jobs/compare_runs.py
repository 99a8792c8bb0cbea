"""Compare two finished runs of the same input: what is left, by which rules, who changed fate.

python jobs/compare_runs.py out/a out/b --output out/a-and-b

Writes comparison.html and comparison.json. Spark starts only for runs of many documents.
"""

from functools import partial

from dclm_spark.command import job_parser, run_command
from dclm_spark.report.run_comparison import compare_runs, write_comparison
from dclm_spark.session import spark_session
from udfs import storage


def main() -> None:
    """Parse the command line, compare, and say what differs and where the pages are."""
    parser = job_parser(__doc__)
    parser.add_argument("first", metavar="A", help="folder or prefix of a finished run")
    parser.add_argument("second", metavar="B", help="of another one, of the same input")
    parser.add_argument("--output", default=".", help="folder of the comparison")
    parser.add_argument("--master", help="Spark master when not started by spark-submit")
    given = parser.parse_args()

    start_spark = partial(spark_session, "compare_runs", given.master)
    found = compare_runs(given.first, given.second, start_spark)
    page, facts = write_comparison(found, storage.absolute(given.output))
    print(found.headline)
    for change in found.changes[:5]:
        print(f"  {change.documents:>9,}  {change.before} -> {change.after}")
    print(f"open {page}; for programs: {facts}")


if __name__ == "__main__":
    run_command(main)
