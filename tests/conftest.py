import os
import sys

os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
# Several test processes share the cores: torch's threads would spin while they wait for one
# another, which made 150 steps of a toy model take 80 s instead of 1 s on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A test's JVM lives for a minute: the optimizing compiler and parallel collectors cost it more than
# they gain (41 s of CPU against 78 s in tests/dclm_spark/dedup/test_plans.py).
os.environ.setdefault("SPARK_SUBMIT_OPTS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")

import pytest
from hypothesis import settings

# Compiled kernels are slow on their first call; CI must not depend on the draw.
settings.register_profile("dclm_spark", deadline=None, derandomize=True)
settings.load_profile("dclm_spark")


@pytest.fixture(scope="session")
def spark():
    """One local session for the whole run; two tasks at a time, each may fail twice."""
    from dclm_spark.session import spark_session

    session = spark_session("tests", master="local[2,3]")
    session.conf.set("spark.sql.shuffle.partitions", "2")
    yield session
    session.stop()
