"""Export the token shards of a run to OpenLM's WebDataset layout.

python jobs/export_openlm.py --shards RUN/shards --output DIR
"""

from dclm_spark.arguments.job_parser import positive
from dclm_spark.command import job_parser, run_command
from dclm_spark.exports.openlm_export import SEQUENCES_PER_TAR, export_openlm
from udfs import storage


def main() -> None:
    """Parse the command line and write the tars and their manifest."""
    parser = job_parser(__doc__)
    parser.add_argument("--shards", required=True, help="folder with manifest.json and shards")
    parser.add_argument("--output", required=True, help="folder or s3:// prefix for the tars")
    parser.add_argument(
        "--sequences-per-tar",
        type=positive,
        default=SEQUENCES_PER_TAR,
        help="in every tar but the last",
    )
    arguments = parser.parse_args()
    count = export_openlm(
        storage.absolute(arguments.shards),
        storage.absolute(arguments.output),
        sequences_per_tar=arguments.sequences_per_tar,
    )
    print(f"{count} tars and manifest.jsonl in {arguments.output}")


if __name__ == "__main__":
    run_command(main)
