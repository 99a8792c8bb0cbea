"""Say what a run would take before it starts: pages, bytes, requests, core-hours, dollars, cluster.

From a listing (--input), from the columnar index (--index), or from both: then the index's rows
of the listing's WARCs. Nothing is run, and no WARC is read. --set replaces a constant of the plan,
such as throughput.chain_factor=1.4 (docs/planning.md; repeatable).
"""

import argparse

from dclm_spark.command import run_command
from dclm_spark.crawl.index import IndexFilter, count_matches, offsets_by_warc
from dclm_spark.crawl.listing import list_inputs
from dclm_spark.planning import crawl
from dclm_spark.settings import override


def main() -> None:
    """Parse the command line, print the plan and, with --actual, how far it was off."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", help="*.paths.gz listing, glob, directory or files (comma)")
    parser.add_argument("--base", help="URL, bucket or folder that a listing's paths are below")
    parser.add_argument("--index", help="Parquet file of the columnar index, or a folder of them")
    parser.add_argument("--language", nargs="*", default=[], help="ISO-639-3, such as eng")
    parser.add_argument("--mime", nargs="*", default=list(IndexFilter.mime_types))
    parser.add_argument("--status", nargs="*", type=int, default=list(IndexFilter.statuses))
    parser.add_argument("--domain", nargs="*", default=[], help="registered domains")
    parser.add_argument("--offsets", help="write the matching records' offsets here (Parquet)")
    parser.add_argument("--actual", metavar="OUTPUT", help="compare with the run in OUTPUT")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--documents", type=int, help="plan only the dedup of so many")
    options = parser.parse_args()
    settings = override(crawl.PlanSettings(), options.set)
    if options.documents is not None:
        return print(crawl.render_dedup(options.documents, settings))
    if not (options.input or options.index):
        parser.error("give --input, --index or both: there is nothing to plan")
    if options.offsets and not options.index:
        parser.error(f"--offsets {options.offsets}: offsets come from an index; give --index")
    files = list_inputs(options.input, options.base) if options.input else None
    if options.index:
        wanted = IndexFilter(
            languages=tuple(options.language), mime_types=tuple(options.mime),
            statuses=tuple(options.status), domains=tuple(options.domain),
        )  # fmt: skip
        paths = None if files is None else [file.path for file in files]
        counts = count_matches(options.index, wanted, paths)
        in_language = bool(options.language)
        work = crawl.workload_of_index(counts, settings.throughput, one_language=in_language)
        if options.offsets:
            offsets_by_warc(options.index, wanted, options.offsets, paths)
    else:
        work = crawl.workload_of_files(files or [], settings.throughput)
    plan = crawl.plan_crawl(work, settings)
    print(crawl.render(plan))
    if options.actual:
        print("\n" + crawl.render_comparison(crawl.compare(plan, options.actual)))


if __name__ == "__main__":
    run_command(main)
