"""Print the whole history of a page in a run: every stage's verdict, signals, and the text.

python jobs/explain_page.py --output RUN --text https://example.org/page
python jobs/explain_page.py --output RUN --file a.warc.gz --offset 4711
python jobs/explain_page.py --output RUN --domain example.org --page 2

With an index (jobs/index_pages.py) a page takes a few reads, however large the run is.
"""

from dclm_spark import explain
from dclm_spark.arguments.job_parser import positive
from dclm_spark.command import job_parser, run_command
from dclm_spark.crawl.listing import list_inputs
from udfs import storage

_OFFSET = (
    "where the record begins, in bytes; of JSON Lines and tables the number of the line or row, "
    "from 0 on (of a plain file that is read in parts, the byte where the line begins)"
)


def main() -> None:
    """Parse the command line and print one block per record of the page."""
    parser = job_parser(__doc__)
    add = parser.add_argument
    add("page", nargs="?", help="URL as in the WARC, or a doc_id in hex")
    add("--file", help="the input file of a record, with --offset: its path or the end of it")
    add("--offset", type=int, help=_OFFSET)
    add("--domain", help="list the pages of a registered domain instead")
    told = f"of --domain: which {explain.LISTED} of its pages"
    add("--page", type=positive, default=1, dest="number", metavar="N", help=told)
    add("--output", required=True, help="the run's folder, s3:// or gs:// prefix")
    add("--text", action="store_true", help="print the text, too")
    add("--input", help="where the inputs lie now, if that changed or is signed")
    add("--base", help="what a listing's paths are below, with --input")
    given = parser.parse_args()
    inputs = list_inputs(given.input, given.base) if given.input else []
    output = storage.absolute(given.output)
    if told := explain.unfinished(output):
        print(told)
    if given.domain:
        for row in explain.list_site(output, given.domain, page=given.number):
            url = row["url"] or "(no address)"
            print(f"{row['doc_id'].hex()}  {row['fate']} {row['rule'] or ''}  {url}")
        return
    if (given.file is None) != (given.offset is None) or not (given.page or given.file):
        parser.error("name a page (its URL or id), --file with --offset, or --domain")
    page = given.page or explain.id_at(output, given.file, given.offset)
    for history in explain.explain(output, page):
        run = history[0].run
        print(explain.describe(history, explain.run_recipes(history)))
        if items := explain.side_by_side(run, history):
            print(items)
        if given.text:
            print(f"\n{explain.final_text(run, history, inputs)}\n")


if __name__ == "__main__":
    run_command(main)
