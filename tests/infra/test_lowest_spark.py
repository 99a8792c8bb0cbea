"""The lowest Spark that pyproject.toml allows writes the bytes of the one that is installed."""

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

from dclm_spark.sample.generate import generate_crawl
from tests.dclm_spark.dedup.short_queries import short_queries
from tests.infra.sample_driver import PAGES, build
from tests.infra.standalone_cluster import ROOT, checksums

__all__ = ["short_queries"]

pytestmark = pytest.mark.spark


def lowest(package):
    """Return the lower bound of a package in the extra `spark`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = " ".join(project["optional-dependencies"]["spark"])
    return re.search(rf"{package}>=([\d.]+)", wanted)[1]


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """Return the Python of an environment with the lowest Spark and else what is installed."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin/python"
    own = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    version = f"pyspark=={lowest('pyspark')}"
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-compile", version],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"{version} cannot be installed here: {done.stderr.strip().splitlines()[-1]}")
    # Behind its own packages, so that Spark alone is another.
    Path(own, "installed.pth").write_text(sysconfig.get_path("purelib"))
    return python


def run(python, *command):
    """Run a script of ours by a Python; return what it said."""
    done = subprocess.run(
        [python, *command], capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYSPARK_PYTHON": str(python)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def corpus_of(output):
    """Return the checksums of what a run keeps: manifests of shards name files of its folder."""
    found = {
        path: sha256
        for path, sha256 in checksums(output).items()
        if path.startswith(("stages/", "shards/")) and path.endswith(".parquet")
    }
    assert len(found) > 10
    return found


@pytest.mark.long  # It installs Spark, 435 MB that pip keeps.
def test_a_few_pages_become_the_same_bytes_by_the_lowest_spark(
    spark, python, tmp_path, short_queries
):
    crawl = generate_crawl(tmp_path / "crawl", seed=7, num_pages=PAGES)
    script = ROOT / "tests/infra/sample_driver.py"
    said = run(python, script, tmp_path / "crawl", tmp_path / "lowest")
    assert lowest("pyspark").startswith(f"{'.'.join(said.split()[-1].split('.')[:2])}")
    build(spark, crawl, tmp_path / "installed")
    assert corpus_of(tmp_path / "lowest") == corpus_of(tmp_path / "installed")


@pytest.mark.slow  # The sample twice, by the job, with its model.
def test_the_lowest_spark_writes_the_same_bytes(python, tmp_path):
    found = []
    for name, interpreter in (("lowest", python), ("installed", sys.executable)):
        output = tmp_path / f"out-{name}"
        run(
            interpreter, ROOT / "jobs/build_baseline.py", "--recipe", "sample",
            "--master", "local[2]", "--output", output, "--set", "deduplication.method=minhash",
        )  # fmt: skip
        found.append(corpus_of(output))
    assert found[0] == found[1]
