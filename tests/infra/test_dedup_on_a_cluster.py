"""Every dedup method on a real cluster of processes, of which it loses an executor."""

import os
import random
import signal

import pytest

from tests.dclm_spark.dedup.committed import committed
from tests.infra.dedup_driver import RUNS, deduplicate_by
from tests.infra.standalone_cluster import ROOT, StandaloneCluster, checksums, wait_until

pytestmark = [pytest.mark.spark, pytest.mark.long]
# What a lost executor had written is asked for again and again, 15 s in all, unless told otherwise.
SETTINGS = (
    f"spark.executorEnv.PYTHONPATH={ROOT}",
    "spark.shuffle.io.maxRetries=1",
    "spark.shuffle.io.retryWait=100ms",
)
# More than the two tasks that run at once, so that an executor can be lost between them.
SHARDS = 6


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    """Return the folder of a committed stage with exact and near duplicates."""
    rng = random.Random(3)
    pages = [" ".join(f"w{rng.randrange(400)}" for _ in range(80)) for _ in range(60)]
    more = pages[::3] + [f"{page} more" for page in pages[::4]]
    return committed(tmp_path_factory.mktemp("in"), pages + more).directory


class Driver:
    """One driver on one cluster for all methods: what takes time is the start of both."""

    def __init__(self, documents, folder):
        self.folder, self.log = folder, folder / "driver.log"
        (folder / "asked").mkdir()
        self.cluster = StandaloneCluster(folder)
        with self.log.open("w") as log:
            self.job = self.cluster.submit(
                ROOT / "tests" / "infra" / "dedup_driver.py", documents, folder, SHARDS,
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
def driver(documents, tmp_path_factory):
    driver = Driver(documents, tmp_path_factory.mktemp("cluster"))
    yield driver
    driver.close()


@pytest.mark.parametrize(
    "name",
    # The other methods take a minute each on two cores.
    [
        name if name in ("lines", "none") else pytest.param(name, marks=pytest.mark.slow)
        for name in RUNS
    ],
)
def test_a_method_of_dedup_outlives_an_executor(spark, driver, documents, tmp_path, name):
    output, lost = driver.folder / name, driver.losses()
    (driver.folder / "asked" / name).touch()
    # The first table or shard of the method is there, and most of them are not.
    wait_until(lambda: list(output.rglob("*.parquet")), driver.job)
    executors = driver.cluster.executors()
    assert executors
    assert not (output / "deduplicated" / "stage.json").exists()
    os.kill(executors[0], signal.SIGKILL)
    wait_until((driver.folder / "ended" / name).exists, driver.job)
    assert driver.losses() > lost
    deduplicate_by(name, spark, documents, tmp_path, SHARDS)
    expected = checksums(tmp_path)
    assert len(expected) > 1
    assert checksums(output) == expected
