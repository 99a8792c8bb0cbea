"""The main job on a real cluster of processes, some of which are killed."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace

import pytest

from dclm_spark.pipeline import build_baseline
from dclm_spark.recipes import load_recipe
from dclm_spark.sample.generate import generate_crawl
from dclm_spark.sample.sample_run import sample_recipe
from dclm_spark.settings import to_yaml
from tests.infra.standalone_cluster import ROOT, StandaloneCluster

pytestmark = pytest.mark.spark
SPECULATION = (
    "spark.speculation=true",
    "spark.speculation.interval=100ms",
    "spark.speculation.multiplier=1.1",
    "spark.speculation.quantile=0.1",
)
# Executors that are not on a packed environment use this one.
THIS_ENVIRONMENT = (f"spark.executorEnv.PYTHONPATH={ROOT}",)
KILLED = ("executor", "worker", "driver")


@pytest.fixture(scope="module")
def crawl(tmp_path_factory):
    return generate_crawl(tmp_path_factory.mktemp("sample"), seed=7, num_pages=300)


@pytest.fixture(scope="module")
def recipe(crawl):
    small = ["tokens.sequence_length=128", "tokens.sequences_per_shard=64"]
    recipe = sample_recipe(load_recipe("sample", small), crawl, crawl.base)
    return replace(recipe, deduplication=replace(recipe.deduplication, shards=4))


@pytest.fixture(scope="module")
def recipe_file(recipe, tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    path.write_text(to_yaml(recipe))
    return path


@pytest.fixture(scope="module")
def undisturbed(spark, crawl, recipe, tmp_path_factory):
    output = tmp_path_factory.mktemp("local")
    build_baseline(
        spark, recipe=recipe, inputs=str(crawl.listing), output=str(output), base=str(crawl.base)
    )
    return checksums(output)


@pytest.fixture
def cluster(tmp_path):
    cluster = StandaloneCluster(tmp_path)
    yield cluster
    cluster.close()


def checksums(output):
    return {
        str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(output.rglob("*"))
        if path.suffix == ".parquet" or path.name == "manifest.json"
    }


def submit(cluster, crawl, recipe_file, output, settings, **options):
    return cluster.submit(
        ROOT / "jobs" / "build_baseline.py", "--recipe", recipe_file, "--input", crawl.listing,
        "--base", crawl.base, "--output", output, settings=settings, **options,
    )  # fmt: skip


def test_two_workers_with_speculation_write_the_bytes_of_one_machine(
    cluster, crawl, recipe_file, undisturbed, tmp_path
):
    job = submit(cluster, crawl, recipe_file, tmp_path / "out", (*SPECULATION, *THIS_ENVIRONMENT))
    assert job.wait(timeout=300) == 0
    assert checksums(tmp_path / "out") == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_a_run_whose_processes_are_killed_writes_the_same_bytes(
    cluster, crawl, recipe_file, undisturbed, tmp_path, seed
):
    chance = random.Random(seed)
    killed = KILLED[seed % 3]
    settings = (*SPECULATION, *THIS_ENVIRONMENT)
    output = tmp_path / "out"
    job = submit(cluster, crawl, recipe_file, output, settings)
    deadline = time.monotonic() + 120
    while not cluster.executors() and job.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(chance.uniform(3, 20))
    kill(cluster, job, killed, chance)
    if job.wait(timeout=300) != 0:
        # A driver does not come back by itself; what it had finished is found again.
        assert killed == "driver"
        assert submit(cluster, crawl, recipe_file, output, settings).wait(timeout=300) == 0
    assert checksums(output) == undisturbed


def kill(cluster, job, what, chance):
    if what == "driver":
        with suppress(ProcessLookupError):
            os.killpg(job.pid, signal.SIGKILL)
    elif what == "worker":
        os.killpg(chance.choice(cluster.workers).pid, signal.SIGKILL)
    elif executors := cluster.executors():
        os.kill(chance.choice(executors), signal.SIGKILL)


@pytest.mark.slow
def test_workers_with_nothing_installed_run_from_the_packed_environment(
    cluster, crawl, recipe_file, undisturbed, tmp_path
):
    archive = os.environ.get("DCLM_SPARK_PACKED_ENVIRONMENT") or pack(tmp_path)
    settings = (f"spark.archives={archive}#environment", *SPECULATION)
    job = submit(
        cluster, crawl, recipe_file, tmp_path / "out", settings, python="./environment/bin/python"
    )
    assert job.wait(timeout=600) == 0
    assert checksums(tmp_path / "out") == undisturbed


def pack(folder):
    archive = folder / "environment.tar.gz"
    python = os.environ | {"PYTHON": sys._base_executable}
    command = ["sh", str(ROOT / "infra" / "pack_environment.sh"), str(archive)]
    subprocess.run(command, env=python, check=True)
    return archive
