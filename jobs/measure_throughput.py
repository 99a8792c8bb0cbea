"""Measure where the time goes: the floor, the whole chain, every kernel, Spark around them.

    python jobs/measure_throughput.py --input warc.paths.gz --lists DIR --tokenizer tokenizer.json

`make compare` measures libraries and other systems beside it.
"""

from dataclasses import fields
from pathlib import Path

from dclm_spark.command import job_parser, run_command
from dclm_spark.measure.inputs import add_arguments
from dclm_spark.measure.markdown import render
from dclm_spark.measure.throughput import MeasureSettings, measure


def main() -> None:
    """Parse the command line, measure, and print the report (or write it to --output)."""
    parser = job_parser(__doc__)
    add_arguments(parser)
    given = parser.parse_args()
    settings = {one.name: getattr(given, one.name) for one in fields(MeasureSettings)}
    report = render(measure(MeasureSettings(**settings)))
    if given.output is None:
        print(report)
    else:
        Path(given.output).write_text(report)


if __name__ == "__main__":
    run_command(main)
