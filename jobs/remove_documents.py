"""Remove documents from a finished run: at once for trainer and exporters, from its files later.

python jobs/remove_documents.py --output RUN --domains domains.txt --reason "request of 3 May"
python jobs/remove_documents.py --output RUN --robots robotstxt.paths.gz --reason "opt-outs of May"
python jobs/remove_documents.py --output RUN --compact
"""

from dclm_spark.command import job_parser, run_command
from dclm_spark.removal.command_line import add_removal_arguments, request_of
from dclm_spark.removal.remove import check_has_shards, remove_documents
from dclm_spark.removal.robots import described, refused_documents
from dclm_spark.session import spark_session


def main() -> None:
    """Parse the command line, remove and say what went."""
    parser = job_parser(__doc__)
    add_removal_arguments(parser)
    given = parser.parse_args()
    request = request_of(parser, given)
    check_has_shards(request.output)
    spark = spark_session("remove_documents", given.master)
    if given.dry_run and request.robots is not None:
        print(described(refused_documents(spark, request.output, request.robots)))
        return
    record = remove_documents(spark, request)
    if given.compact:
        print(
            "compacted; reports, description and deduplication's tables went, since they told of "
            "what was removed: give the run's own command again, which makes them anew and does "
            "no stage again"
        )
    if record is not None:
        before = (
            " (all of them went before)" if record["documents"] and not record["tokens"] else ""
        )
        print(
            f"removal {record['number']}: {record['documents']:,} documents, "
            f"{record['tokens']:,} tokens of {len(record['shards']):,} shards{before}"
        )


if __name__ == "__main__":
    run_command(main)
