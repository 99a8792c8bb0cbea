"""Measure how many planted leaks decontamination finds, and how many clean pages it takes, by kind.

python jobs/measure_contamination.py --data EVAL --pages RUN/stages/deduplicate/kept --output OUT
"""

import logging

from dclm_spark.arguments.job_parser import positive
from dclm_spark.command import job_parser, run_command
from dclm_spark.measure.contamination import Planting, as_json, as_text, measure, pool_texts
from udfs import storage


def main() -> None:
    """Parse the command line, measure, print the table and write it as JSON."""
    parser = job_parser(__doc__)
    parser.add_argument("--data", required=True, help="evaluation data, as for evaluate_model.py")
    parser.add_argument("--pages", required=True, help="folder of Parquet files with a column text")
    parser.add_argument("--tasks", default="core", help="core, extended, mmlu, or labels: a,b")
    parser.add_argument("--items", type=positive, default=300, help="items to plant, in each kind")
    parser.add_argument("--other-tasks", help="tasks to plant that are not looked for: clean pages")
    parser.add_argument("--other-items", type=int, default=10_000, help="of their items")
    parser.add_argument("--max-pages", type=positive, default=20_000, help="pages read of --pages")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of items and places")
    parser.add_argument("--output", help="where the figures go, as JSON")
    arguments = parser.parse_args()
    pages = pool_texts(storage.absolute(arguments.pages), arguments.max_pages)
    logging.getLogger("dclm_spark").info("%d pages read", len(pages))
    planting = Planting(
        items=arguments.items,
        other_tasks=arguments.other_tasks,
        other_items=arguments.other_items,
        seed=arguments.seed,
    )
    quality = measure(arguments.tasks, arguments.data, pages, planting)
    print(as_text(quality))
    if arguments.output:
        storage.write_bytes(storage.absolute(arguments.output), as_json(quality))


if __name__ == "__main__":
    run_command(main)
