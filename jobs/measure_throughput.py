"""Measure where the time goes: the floor, every kernel, the whole chain, libraries and peers.

`measure_throughput.py dedup` measures near-duplicate dedup instead: see its own --help.
"""

import argparse
import sys
from pathlib import Path

from dclm_spark.command import run_command
from dclm_spark.measure import dedup
from dclm_spark.measure.markdown import render
from dclm_spark.measure.throughput import MeasureSettings, measure


def main() -> None:
    """Parse the command line, measure, and print the report (or write it to --output)."""
    if sys.argv[1:2] == ["dedup"]:
        dedup.main(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True, help="*.paths.gz listing, or WARCs (comma)")
    parser.add_argument("--base", help="folder that the paths of a listing are below")
    parser.add_argument("--lists", help="folder with the URL lists, named as DCLM names them")
    parser.add_argument("--tokenizer", help="a tokenizer.json")
    parser.add_argument("--quality-model", help="a fastText model with the labels hq and cc")
    parser.add_argument("--language-model", help="such as lid.176.bin; default: lid.176.ftz")
    parser.add_argument("--limit", type=int, metavar="PAGES", help="take only the first pages")
    parser.add_argument("--peers", metavar="PYTHON", help="a Python with datatrove or with uniseg")
    parser.add_argument("--spark", metavar="MASTER", help="also measure Spark, such as local[2]")
    parser.add_argument("--output", help="where the report goes (Markdown); default: print it")
    arguments = vars(parser.parse_args())
    output = arguments.pop("output")
    report = render(measure(MeasureSettings(**arguments)))
    if output is None:
        print(report)
    else:
        Path(output).write_text(report)


if __name__ == "__main__":
    run_command(main)
