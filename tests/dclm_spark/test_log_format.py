"""The log as lines for people, or as JSON."""

import json
import subprocess
import sys

PROGRAM = """
import logging
from dclm_spark.command import job_parser, run_command

def main():
    job_parser("a job").parse_args()
    logging.getLogger("dclm_spark").info("naïve %s", "東京")

run_command(main)
"""


def log_of(*arguments):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True
    )
    return done.stderr.strip()


def test_each_line_is_a_json_object_where_that_is_asked_for():
    found = json.loads(log_of("--log-format", "json"))
    assert found.pop("time").endswith("+00:00")
    assert found == {"level": "INFO", "logger": "dclm_spark", "message": "naïve 東京"}


def test_lines_are_for_people_else():
    assert log_of().endswith("INFO naïve 東京")
