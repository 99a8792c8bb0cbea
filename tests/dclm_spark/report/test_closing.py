"""The last lines of a run: commands that work from where they are typed."""

import shlex
import subprocess
from dataclasses import replace

from dclm_spark.report.closing import TINY_TOKENS, closing_lines, job_command
from dclm_spark.train.scales import scale
from tests.dclm_spark.report.test_page import example_summary


def test_the_tokens_of_the_smallest_scale_are_those_of_the_trainer():
    assert scale("tiny").tokens == TINY_TOKENS


def test_the_command_of_a_job_runs_anywhere(tmp_path):
    command = [*shlex.split(job_command("train_model")), "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "--scale" in done.stdout


def test_an_interrupted_run_has_no_error_to_mend():
    def last(failure):
        return list(closing_lines(replace(example_summary(), failure=failure), "out"))[-1]

    assert last("KeyboardInterrupt") == "next: the same command resumes after what is committed"
    assert "mend" in last("a file is missing")
