"""spark-submit of the environment that `make` built says what the job says, and no more."""

import os
import subprocess
import sys

import pytest

from tests.infra.submit_scripts import INFRA, ROOT

SCRIPT = INFRA / "spark" / "spark-submit"


def run(*arguments, python=sys.executable, cwd=ROOT):
    """Run the script as one who activated nothing: no PATH of an environment, no home."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONPATH": str(ROOT)}
    environment |= {key: os.environ[key] for key in ("JAVA_HOME",) if key in os.environ}
    return subprocess.run(
        [str(SCRIPT), *arguments], capture_output=True, text=True, cwd=cwd, timeout=240,
        env=environment | {"PYTHON": str(python)},
    )  # fmt: skip


@pytest.mark.long
@pytest.mark.spark
def test_a_mistake_is_one_line_and_not_sixty(tmp_path):
    done = run(
        "--master", "local[1]", str(ROOT / "jobs" / "build_baseline.py"), "--recipe", "raw",
        "--input", str(tmp_path / "missing.warc.gz"), "--output", str(tmp_path / "out"),
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode != 0
    # spark-submit joins the job's two streams in one; one line is Java's own, and stays.
    lines = [*done.stdout.splitlines(), *done.stderr.splitlines()]
    lines = [line for line in lines if "jdk.incubator.vector" not in line]
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert "missing.warc.gz" in lines[0]


def test_an_environment_that_is_not_there_is_said_with_what_to_do(tmp_path):
    done = run("job.py", python=tmp_path / "python")
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {tmp_path}/python: there is no such interpreter; run `make`, or name one in "
        "PYTHON\n"
    )
