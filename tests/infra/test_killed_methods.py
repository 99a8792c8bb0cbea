"""Every dedup method on an executor that is killed in the middle of its work."""

import json
import os
import random
import signal
import subprocess
import sys
from contextlib import suppress

import pytest

from dclm_spark.dedup.methods import METHODS
from tests.dclm_spark.dedup.committed import committed
from tests.infra.killed_methods import KILLED, SEEN, WHOLE
from tests.infra.standalone_cluster import ROOT, SPARK_HOME, checksums
from tests.infra.waiting_daemon import WAITING

pytestmark = pytest.mark.spark
# One executor, on which a task of every method can wait while others run.
CLUSTER = f"local-cluster[1,{2 * len(METHODS)},1024]"
LOG = f"-Dlog4j2.configurationFile=file:{ROOT}/dclm_spark/log4j2.properties"
SETTINGS = {
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.driver.extraJavaOptions": LOG,
    "spark.executor.extraJavaOptions": f"{LOG} -XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.executorEnv.PYTHONPATH": str(ROOT),
    "spark.python.daemon.module": "tests.infra.waiting_daemon",
    # What a lost executor had written is asked for again and again, 15 s in all, unless told.
    "spark.shuffle.io.maxRetries": "1",
    "spark.shuffle.io.retryWait": "100ms",
    # Queries over twenty rows are interpreted sooner than compiled.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}
SECONDS = 240


def texts():
    rng = random.Random(3)
    pages = [" ".join(f"w{rng.randrange(400)}" for _ in range(80)) for _ in range(12)]
    return pages + pages[::3] + [f"{page} more" for page in pages[::4]]


def spark_home(folder):
    """Return Spark as links: a local cluster writes into its folder."""
    folder.mkdir()
    for entry in SPARK_HOME.iterdir():
        (folder / entry.name).symlink_to(entry)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the folder of a driver that has ended."""
    folder = tmp_path_factory.mktemp("killed_methods")
    committed(folder / "in", texts())
    (folder / KILLED).mkdir()
    home = spark_home(folder / "spark")
    command = [str(home / "bin" / "spark-submit"), "--master", CLUSTER]
    for name, value in SETTINGS.items():
        command += ["--conf", f"{name}={value}"]
    environment = {
        "SPARK_HOME": str(home), "PYTHONPATH": str(ROOT), "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable, WAITING: str(folder / KILLED),
    }  # fmt: skip
    with (folder / "driver.log").open("w") as log:
        driver = subprocess.Popen(
            [*command, ROOT / "tests" / "infra" / "killed_methods.py", folder],
            env=os.environ | environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        ended = driver.wait(SECONDS)
    finally:
        # Whatever is left of the driver and its executors.
        with suppress(ProcessLookupError):
            os.killpg(driver.pid, signal.SIGKILL)
    assert ended == 0, (folder / "driver.log").read_text()
    return folder


@pytest.mark.parametrize("name", METHODS)
def test_a_method_writes_the_same_bytes_when_its_executor_is_killed_in_its_middle(folder, name):
    seen = json.loads((folder / SEEN).read_text())
    assert seen["alive_before"]
    assert name in seen["waited_there"]
    assert not seen["alive_after"]
    assert seen["failed_tasks"][name] > 0
    expected = checksums(folder / WHOLE / name)
    assert len(expected) > 1
    assert checksums(folder / KILLED / name) == expected
