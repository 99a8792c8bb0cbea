"""Remove documents from a finished run: at once for trainer and exporters, from its files later.

python jobs/remove_documents.py --output RUN --domains domains.txt --reason "request of 3 May"
python jobs/remove_documents.py --output RUN --compact
"""

from functools import partial

from dclm_spark.command import job_parser, run_command
from dclm_spark.removal.record import read_key
from dclm_spark.removal.remove import Request, all_entries, remove_documents
from dclm_spark.session import spark_session
from udfs import storage


def main() -> None:
    """Parse the command line, remove and say what went."""
    parser = job_parser(__doc__)
    add = partial(parser.add_argument, action="append", default=[], metavar="FILE")
    parser.add_argument("--output", required=True, help="the run's folder, s3:// or gs:// prefix")
    add("--domains", help="domains, one a line, each with all below it (repeatable)")
    add("--urls", help="addresses, one a line (repeatable)")
    add("--ids", help="ids of documents in hex, one a line (repeatable)")
    parser.add_argument("--reason", default="", help="why; goes into the record")
    parser.add_argument("--signing-key", metavar="FILE", help="a secret that signs the record")
    parser.add_argument(
        "--compact", action="store_true", help="blank what was removed in all files"
    )
    parser.add_argument("--master", help="Spark master, for example local[*]")
    given = parser.parse_args()
    named = (("domain", given.domains), ("url", given.urls), ("id", given.ids))
    lists = [(kind, uri) for kind, uris in named for uri in uris]
    if not (lists or given.compact):
        parser.error("name --domains, --urls or --ids, or --compact what was removed before")
    if lists and not given.reason:
        parser.error("--reason: say why; the record of the removal keeps it")
    request = Request(
        output=storage.absolute(given.output),
        entries=all_entries(lists),
        reason=given.reason,
        signing_key=read_key(given.signing_key) if given.signing_key else None,
        compact=given.compact,
    )
    record = remove_documents(spark_session("remove_documents", given.master), request)
    if record is not None:
        print(
            f"removal {record['number']}: {record['documents']:,} documents, "
            f"{record['tokens']:,} tokens of {len(record['shards']):,} shards"
        )


if __name__ == "__main__":
    run_command(main)
