"""Print the whole history of a page in a run: every stage's verdict, signals, and the text.

python jobs/explain_page.py --output RUN --text https://example.org/page
python jobs/explain_page.py --output RUN --domain example.org --page 2

With an index (jobs/index_pages.py) a page takes a few reads, however large the run is.
"""

from dclm_spark.command import job_parser, positive, run_command
from dclm_spark.crawl.listing import list_inputs
from dclm_spark.explain import (
    LISTED,
    describe,
    explain,
    final_text,
    list_site,
    side_by_side,
)
from udfs import storage


def main() -> None:
    """Parse the command line and print one block per record of the page."""
    parser = job_parser(__doc__)
    parser.add_argument("page", nargs="?", help="URL as in the WARC, or a doc_id in hex")
    parser.add_argument("--domain", help="list the pages of a registered domain instead")
    parser.add_argument(
        "--page",
        type=positive,
        default=1,
        dest="number",
        metavar="N",
        help=f"of --domain: which {LISTED} of its pages",
    )
    parser.add_argument("--output", required=True, help="the run's folder, s3:// or gs:// prefix")
    parser.add_argument("--text", action="store_true", help="print the text, too")
    parser.add_argument("--input", help="where the inputs lie now, if that changed or is signed")
    parser.add_argument("--base", help="what a listing's paths are below, with --input")
    arguments = parser.parse_args()
    inputs = list_inputs(arguments.input, arguments.base) if arguments.input else []
    output = storage.absolute(arguments.output)
    if arguments.domain:
        for row in list_site(output, arguments.domain, page=arguments.number):
            print(f"{row['doc_id'].hex()}  {row['fate']} {row['rule'] or ''}  {row['url']}")
        return
    if not arguments.page:
        parser.error("name a page (its URL or id), or --domain")
    for history in explain(output, arguments.page):
        run = history[0].run
        print(describe(history))
        if items := side_by_side(run, history):
            print(items)
        if arguments.text:
            print(f"\n{final_text(run, history, inputs)}\n")


if __name__ == "__main__":
    run_command(main)
