"""Build a leaderboard from the records of rankings, and exchange records with DCLM's layout.

python jobs/build_leaderboard.py --records RANKING/records --output DIR
"""

from dclm_spark.command import job_parser, run_command
from dclm_spark.ranking.dclm_database import export_to_dclm, import_from_dclm
from dclm_spark.ranking.leaderboard import every_record, leaderboard_of_records


def main() -> None:
    """Parse the command line, import, compare, export."""
    parser = job_parser(__doc__)
    parser.add_argument("--records", nargs="+", required=True, help="records/ of rankings")
    parser.add_argument("--output", required=True, help="folder of leaderboard.html and .json")
    parser.add_argument("--import-dclm", help="exp_data folder, read into the first of --records")
    parser.add_argument("--export-dclm", help="folder that gets all records as exp_data")
    given = parser.parse_args()
    if given.import_dclm:
        count = import_from_dclm(given.import_dclm, given.records[0])
        print(f"{count} records from {given.import_dclm}")
    leaderboard = leaderboard_of_records(given.records, given.output)
    if given.export_dclm:
        records = [record for folder in given.records for record in every_record(folder)]
        print(f"{len(export_to_dclm(records, given.export_dclm))} records to {given.export_dclm}")
    print("\n".join(leaderboard["conclusions"]))
    print(f"details: {given.output}/leaderboard.html and leaderboard.json")


if __name__ == "__main__":
    run_command(main)
