"""The lowest Spark that pyproject.toml allows writes the bytes of the one that is installed."""

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

from tests.infra.standalone_cluster import ROOT, checksums

# It installs Spark into an environment of its own, which takes minutes.
pytestmark = [pytest.mark.spark, pytest.mark.slow]


def lowest(package):
    """Return the lower bound of a package in the extra `spark`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = " ".join(project["optional-dependencies"]["spark"])
    return re.search(rf"{package}>=([\d.]+)", wanted)[1]


@pytest.fixture
def python(tmp_path):
    """Return the Python of an environment with the lowest Spark and else what is installed."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "lowest"], check=True)
    python = tmp_path / "lowest/bin/python"
    own = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    version = f"pyspark=={lowest('pyspark')}"
    subprocess.run([python, "-m", "pip", "install", "-q", version], check=True)
    # Behind its own packages, so that Spark alone is another.
    Path(own, "installed.pth").write_text(sysconfig.get_path("purelib"))
    return python


def test_the_lowest_spark_writes_the_same_bytes(python, tmp_path):
    found = []
    for name, interpreter in (("lowest", python), ("installed", sys.executable)):
        output = tmp_path / f"out-{name}"
        done = subprocess.run(
            [
                interpreter, ROOT / "jobs/build_baseline.py", "--recipe", "sample",
                "--master", "local[2]", "--output", output,
                "--set", "deduplication.method=minhash",
            ],
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYSPARK_PYTHON": str(interpreter)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found.append(
            {
                path: sha256
                for path, sha256 in checksums(output).items()
                # The manifest names the recipe, which names files in the output's folder.
                if path.startswith(("stages/", "shards/")) and path.endswith(".parquet")
            }
        )
    assert found[0]
    assert found[0] == found[1]
