"""Compare with libraries, datatrove and the reference, and print the report.

python -m tests.benchmarks.report --input warc.paths.gz --peers ENV/bin/python
"""

import argparse
from pathlib import Path

from dclm_spark.command import run_command
from dclm_spark.measure.inputs import add_arguments
from dclm_spark.measure.throughput import MeasureSettings
from tests.benchmarks.compare import compare
from tests.benchmarks.markdown import render


def main() -> None:
    """Parse the command line, measure, and print the report (or write it to --output)."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument("--peers", metavar="PYTHON", help="a Python with datatrove or with uniseg")
    parser.add_argument("--gold", type=Path, help="folder of pages and their gold.jsonl.gz")
    arguments = vars(parser.parse_args())
    output, peers, gold = (arguments.pop(name) for name in ("output", "peers", "gold"))
    report = render(compare(MeasureSettings(**arguments), peers, gold))
    if output is None:
        print(report)
    else:
        Path(output).write_text(report)


if __name__ == "__main__":
    run_command(main)
