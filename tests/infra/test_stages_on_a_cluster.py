"""Every dedup method and stage of a task a file on a real cluster that loses an executor."""

import json
import os
import random
import signal

import pytest

from dclm_spark.evaluate.tasks import TASK_BY_LABEL
from tests.dclm_spark.dedup.committed import committed
from tests.infra.stage_driver import METHOD_RUNS, RUNS, run_stage
from tests.infra.standalone_cluster import ROOT, StandaloneCluster, checksums, wait_until
from tests.udfs.fasttext.fasttext_training import train

pytestmark = [pytest.mark.spark, pytest.mark.long]
# What a lost executor had written is asked for again and again, 15 s in all, unless told otherwise.
SETTINGS = (
    f"spark.executorEnv.PYTHONPATH={ROOT}",
    "spark.shuffle.io.maxRetries=1",
    "spark.shuffle.io.retryWait=100ms",
)
# More than the two tasks that run at once, so that an executor can be lost between them.
SHARDS, MANY_FILES = 6, 60


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Return a folder of committed stages with exact and near duplicates, and of their judges."""
    folder, rng = tmp_path_factory.mktemp("in"), random.Random(3)
    pages = [" ".join(f"w{rng.randrange(400)}" for _ in range(80)) for _ in range(60)]
    more = pages[::3] + [f"{page} more" for page in pages[::4]]
    committed(folder / "few", pages + more)
    committed(folder / "many", (pages + more) * 4, num_files=MANY_FILES)
    train(folder, ["__label__hq w1 w2 w3", "__label__cc w7 w8 w9"] * 50, dim=4, epoch=2)
    task = TASK_BY_LABEL["boolq"]
    (folder / "eval" / task.file).parent.mkdir(parents=True)
    item = {"query": f"Passage: {pages[0]}\nQuestion: {pages[1]}?", "choices": ["no", "yes"]}
    (folder / "eval" / task.file).write_text(json.dumps(item | {"gold": 1}))
    return folder


class Driver:
    """One driver on one cluster for all runs: what takes time is the start of both."""

    def __init__(self, given, folder):
        self.folder, self.log = folder, folder / "driver.log"
        (folder / "asked").mkdir()
        self.cluster = StandaloneCluster(folder)
        with self.log.open("w") as log:
            self.job = self.cluster.submit(
                ROOT / "tests" / "infra" / "stage_driver.py", given, folder, SHARDS,
                settings=SETTINGS, log=log,
            )  # fmt: skip

    def losses(self):
        return self.log.read_text().count("Lost executor")

    def close(self):
        (self.folder / "asked").rename(self.folder / "no more")
        ended = self.job.wait(timeout=60)
        self.cluster.close()
        assert ended == 0, self.log.read_text()


@pytest.fixture(scope="module")
def driver(given, tmp_path_factory):
    driver = Driver(given, tmp_path_factory.mktemp("cluster"))
    yield driver
    driver.close()


@pytest.mark.parametrize(
    "name",
    # The others take up to a minute each on two cores.
    [
        name if name in ("lines", "none") else pytest.param(name, marks=pytest.mark.slow)
        for name in RUNS
    ],
)
def test_a_stage_outlives_an_executor(spark, driver, given, tmp_path, name):
    output, lost = driver.folder / name, driver.losses()
    (driver.folder / "asked" / name).touch()
    # The first table or unit is there, and most of them are not.
    watched = output if name in METHOD_RUNS else output / "stage"
    wait_until(lambda: list(watched.rglob("*.parquet")), driver.job)
    executors = driver.cluster.executors()
    assert executors
    assert not (output / "stage" / "stage.json").exists()
    os.kill(executors[0], signal.SIGKILL)
    wait_until((driver.folder / "ended" / name).exists, driver.job)
    assert driver.losses() > lost
    run_stage(name, spark, given, tmp_path, SHARDS)
    expected = checksums(tmp_path)
    assert len(expected) > 1
    assert checksums(output) == expected
