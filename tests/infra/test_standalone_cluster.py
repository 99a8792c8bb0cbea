"""The main job on a real cluster of processes, some of which are killed."""

import os
import random
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from dclm_spark.pipeline import build_baseline
from dclm_spark.recipes import load_recipe
from dclm_spark.sample.generate import generate_crawl
from dclm_spark.sample.sample_run import sample_recipe
from dclm_spark.settings import to_yaml
from tests.infra.standalone_cluster import ROOT, StandaloneCluster, checksums, wait_until

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


def submit(cluster, crawl, recipe_file, output, settings, **options):
    return cluster.submit(
        ROOT / "jobs" / "build_baseline.py", "--recipe", recipe_file, "--input", crawl.listing,
        "--base", crawl.base, "--output", output, settings=settings, **options,
    )  # fmt: skip


@pytest.mark.slow  # two runs of the sample, three minutes in all
def test_two_workers_with_speculation_write_the_bytes_of_one_machine(
    cluster, crawl, recipe_file, undisturbed, tmp_path
):
    job = submit(cluster, crawl, recipe_file, tmp_path / "out", (*SPECULATION, *THIS_ENVIRONMENT))
    assert job.wait(timeout=300) == 0
    assert checksums(tmp_path / "out") == undisturbed


def kill_executor(cluster, chance):
    executors = cluster.executors()
    assert executors
    os.kill(chance.choice(executors), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_a_run_whose_processes_are_killed_writes_the_same_bytes(
    cluster, crawl, recipe_file, undisturbed, tmp_path, seed
):
    chance = random.Random(seed)
    killed = KILLED[seed % 3]
    settings = (*SPECULATION, *THIS_ENVIRONMENT)
    output, log = tmp_path / "out", tmp_path / "driver.log"
    units = len([name for name in undisturbed if name.endswith(".parquet")])
    with log.open("w") as file:
        job = submit(cluster, crawl, recipe_file, output, settings, log=file)
    # A random moment between the first file that is written and one of the last.
    moment = chance.randrange(1, units - 3)
    wait_until(lambda: len(list(output.rglob("*.parquet"))) >= moment, job)
    kill(cluster, job, killed, chance)
    ended = job.wait(timeout=300)
    if killed == "driver":
        # A driver does not come back by itself; what it had finished is found again.
        assert ended == -signal.SIGKILL
        assert submit(cluster, crawl, recipe_file, output, settings).wait(timeout=300) == 0
    else:
        assert ended == 0, log.read_text()
        assert "Lost executor" in log.read_text()
    assert checksums(output) == undisturbed


def kill(cluster, job, what, chance):
    if what == "driver":
        os.killpg(job.pid, signal.SIGKILL)
    elif what == "worker":
        # A worker without an executor would not be missed.
        busy = [one for one in cluster.workers if cluster.executors_of(one)]
        os.killpg(chance.choice(busy).pid, signal.SIGKILL)
    else:
        kill_executor(cluster, chance)


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
