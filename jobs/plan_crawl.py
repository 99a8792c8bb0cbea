"""Say what a run would take before it starts: pages, bytes, requests, core-hours, dollars, cluster.

python jobs/plan_crawl.py --input warc.paths.gz   # reads no WARC; --set: docs/planning.md
"""

from functools import partial

from dclm_spark.arguments.job_parser import positive
from dclm_spark.command import job_parser, run_command
from dclm_spark.crawl.index import IndexFilter, count_matches, offsets_by_warc
from dclm_spark.crawl.listing import list_inputs
from dclm_spark.planning import actual, crawl, rates, rendering
from dclm_spark.recipes import load_recipe
from dclm_spark.recipes.checks import check_values
from dclm_spark.settings import override


def main() -> None:
    """Parse the command line, print the plan and, with --actual, how far it was off."""
    add = (parser := job_parser(__doc__)).add_argument
    add("--input", help="*.paths.gz listing, glob, directory or files (comma)")
    add("--base", help="URL, bucket or folder that a listing's paths are below")
    add("--index", help="Parquet file of the columnar index, or a folder of them")
    add("--language", dest="languages", nargs="*", default=[], help="ISO-639-3, such as eng")
    add("--mime", dest="mime_types", nargs="*", default=IndexFilter.mime_types, help="media types")
    add("--status", dest="statuses", nargs="*", type=int, default=IndexFilter.statuses, help="code")
    add("--domain", dest="domains", nargs="*", default=[], help="registered domains")
    add("--offsets", help="write the matching records' offsets here (Parquet)")
    add("--actual", metavar="OUTPUT", help="compare with the run in OUTPUT")
    add("--spark-conf", metavar="FILE", help="write the Spark settings here")
    add("--recipe", default="dclm_baseline", help="name of a recipe, or a file")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="a rate")
    add("--documents", type=positive, help="plan only the dedup of so many")
    options = parser.parse_args()
    check_values(recipe := load_recipe(options.recipe))
    settings = override(rates.settings_of(recipe.quality, recipe.deduplication.method), options.set)
    if options.documents is not None:
        return print(rendering.render_dedup(options.documents, settings))
    names = ("languages", "mime_types", "statuses", "domains")
    wanted = IndexFilter(**{name: tuple(getattr(options, name)) for name in names})
    if not (options.index or (options.input and wanted == IndexFilter() and not options.offsets)):
        parser.error("give --input, --index or both; --offsets and a choice of pages need --index")
    files = list_inputs(options.input, options.base) if options.input else None
    workload = partial(crawl.workload_of_files, files or [])
    if options.index:
        paths = None if files is None else [file.path for file in files]
        counts = count_matches(options.index, wanted, paths)
        workload = partial(crawl.workload_of_index, counts, one_language=bool(options.languages))
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
