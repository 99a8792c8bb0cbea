"""Say what a run would take before it starts: pages, bytes, requests, core-hours, dollars, cluster.

    python jobs/plan_crawl.py --input warc.paths.gz --spark-conf plan.conf

From a listing, the columnar index, or both; no WARC is read. --set: docs/planning.md.
"""

from functools import partial

from dclm_spark.command import job_parser, run_command
from dclm_spark.crawl.index import IndexFilter, count_matches, offsets_by_warc
from dclm_spark.crawl.listing import list_inputs
from dclm_spark.planning import actual, crawl, rendering
from dclm_spark.planning.rates import settings_of
from dclm_spark.recipes import load_recipe
from dclm_spark.settings import override


def main() -> None:
    """Parse the command line, print the plan and, with --actual, how far it was off."""
    parser = job_parser(__doc__)
    parser.add_argument("--input", help="*.paths.gz listing, glob, directory or files (comma)")
    parser.add_argument("--base", help="URL, bucket or folder that a listing's paths are below")
    parser.add_argument("--index", help="Parquet file of the columnar index, or a folder of them")
    parser.add_argument("--language", nargs="*", default=[], help="ISO-639-3, such as eng")
    parser.add_argument("--mime", nargs="*", default=IndexFilter.mime_types, help="media types")
    parser.add_argument("--status", nargs="*", type=int, default=IndexFilter.statuses, help="codes")
    parser.add_argument("--domain", nargs="*", default=[], help="registered domains")
    parser.add_argument("--offsets", help="write the matching records' offsets here (Parquet)")
    parser.add_argument("--actual", metavar="OUTPUT", help="compare with the run in OUTPUT")
    parser.add_argument("--spark-conf", metavar="FILE", help="write the Spark settings here")
    parser.add_argument("--recipe", default="dclm_baseline", help="name of a recipe, or a file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a rate")
    parser.add_argument("--documents", type=int, help="plan only the dedup of so many")
    options = parser.parse_args()
    recipe = load_recipe(options.recipe)
    settings = override(settings_of(recipe.quality, recipe.deduplication.method), options.set)
    if options.documents is not None:
        return print(rendering.render_dedup(options.documents, settings))
    if not (options.input or options.index) or (options.offsets and not options.index):
        parser.error("give --input, --index or both to plan something; --offsets needs --index")
    files = list_inputs(options.input, options.base) if options.input else None
    workload = partial(crawl.workload_of_files, files or [])
    if options.index:
        fields = (options.language, options.mime, options.status, options.domain)
        wanted = IndexFilter(*map(tuple, fields))
        paths = None if files is None else [file.path for file in files]
        counts = count_matches(options.index, wanted, paths)
        workload = partial(crawl.workload_of_index, counts, one_language=bool(options.language))
        if options.offsets:
            offsets_by_warc(options.index, wanted, options.offsets, paths)
    plans = crawl.plan_range(workload, settings)
    print(rendering.render(plans, settings))
    if options.spark_conf:
        rendering.write_spark_conf(options.spark_conf, plans, options.index or options.input)
    if options.actual:
        print("\n" + actual.render_comparison(actual.compare(plans.likely, options.actual)))


if __name__ == "__main__":
    run_command(main)
