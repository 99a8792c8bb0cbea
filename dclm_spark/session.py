"""The Spark session: only what correctness needs is set; the rest is the platform's business."""

import logging
import os
import socket
import sys
from pathlib import Path

import pyspark
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

import udfs
from dclm_spark.errors import SettingError

LOGGER = logging.getLogger(__name__)

_LOG_SETTINGS = Path(__file__).with_name("log4j2.properties")
_REQUIRED = {
    # Strings of one batch may exceed the 2 GiB that 32-bit offsets can address.
    "spark.sql.execution.arrow.useLargeVarTypes": "true",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "2000",
    "spark.sql.execution.arrow.maxBytesPerBatch": "16m",
    # mapInArrow matches columns by position; this turns a mistake into an error.
    "spark.sql.execution.arrow.pyspark.validateSchema.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
}
# Where models and tokenizers come from; workers on other machines do not see this environment.
# Spark redacts a setting whose name has "token" in it.
_FOR_WORKERS = ("HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_TOKEN")
_AT_START = {
    "spark.sql.execution.pyspark.udf.faulthandler.enabled": "true",
    "spark.python.worker.faulthandler.enabled": "true",
    "spark.ui.showConsoleProgress": "false",
}


def spark_session(app_name: str, master: str | None = None) -> SparkSession:
    """Return the active session, or start one; `master` only applies when none is active.

    Raises SettingError when `import udfs` finds another package of that name.
    """
    _check_own_udfs()
    if (master or "local").startswith("local"):
        # Workers on this machine use this interpreter unless they are told otherwise.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    builder = SparkSession.builder.appName(app_name)
    if master is not None:
        builder = builder.master(master).config("spark.driver.memory", "2g")
        builder = builder.config("spark.ui.enabled", "false")
        builder = builder.config("spark.driver.bindAddress", "127.0.0.1")
        logging_options = f"-Dlog4j2.configurationFile=file:{_LOG_SETTINGS}"
        builder = builder.config("spark.driver.extraJavaOptions", logging_options)
        if master.startswith("local"):
            builder = builder.config("spark.python.daemon.module", "dclm_spark.worker_daemon")
    for name in _FOR_WORKERS:
        if os.environ.get(name):
            builder = builder.config(f"spark.executorEnv.{name}", os.environ[name])
    for key, value in (_AT_START | _python_sockets(pyspark.__version__)).items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    _require(spark)
    if hasattr(spark, "sparkContext"):
        spark.sparkContext.setLogLevel("ERROR")
    return spark


def _python_sockets(version: str) -> dict[str, str]:
    """Return what lets Spark talk to its Python workers without TCP, where it can (from 4.1 on).

    Over TCP each task waits 40 ms for an acknowledgement of its second message.
    """
    major, minor = (int(part) for part in version.split(".")[:2])
    usable = (major, minor) >= (4, 1) and hasattr(socket, "AF_UNIX")
    return {"spark.python.unix.domain.socket.enabled": "true"} if usable else {}


def _require(spark: SparkSession) -> None:
    """Set what differs from _REQUIRED; a platform that manages its settings may refuse."""
    for key, value in _REQUIRED.items():
        if spark.conf.get(key, None) == value:
            continue
        try:
            spark.conf.set(key, value)
        except PySparkException as error:
            reason = str(error).splitlines()[0]
            LOGGER.warning("%s=%s could not be set, going on without: %s", key, value, reason)


def _check_own_udfs() -> None:
    if getattr(udfs, "DISTRIBUTION", None) != "dclm-spark":
        found = Path(udfs.__file__ or "").resolve().parent
        raise SettingError(
            f"the package 'udfs' was imported from {found}, which is not ours: remove it from "
            "PYTHONPATH or put dclm-spark first"
        )
