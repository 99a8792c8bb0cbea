"""A Spark standalone master and two workers on this machine, as an operator would start them."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import pyspark

ROOT = Path(__file__).parents[2]
SPARK_HOME = Path(pyspark.__file__).parent
_START_SECONDS = 60


class StandaloneCluster:
    """Processes know nothing of this environment but the path of Spark and of Java."""

    def __init__(self, folder, workers=2):
        self.folder = folder
        port, page = _free_port(), _free_port()
        self.url = f"spark://127.0.0.1:{port}"
        self._page = f"http://127.0.0.1:{page}/json/"
        self.master = self._start(
            "master", "--host", "127.0.0.1", "--port", str(port), "--webui-port", str(page)
        )
        self._wait_for_workers(0)
        self.workers = []
        for number in range(workers):
            self.start_worker(number)
        self._wait_for_workers(workers)

    def start_worker(self, number):
        """Start a worker of one core that finds nothing installed."""
        self.workers.append(
            self._start(
                f"worker{number}",
                "--host",
                "127.0.0.1",
                "--cores",
                "1",
                "--memory",
                "2g",
                "--webui-port",
                str(_free_port()),
                "--work-dir",
                str(self.folder / f"w{number}"),
                self.url,
            )
        )

    def submit(self, script, *arguments, settings=(), python=sys.executable, log=None):
        """Return the driver of `spark-submit` in client mode, its own process group."""
        command = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", self.url]
        for setting in (
            "spark.driver.host=127.0.0.1", "spark.driver.memory=1g", "spark.executor.memory=1g",
            "spark.executor.cores=1", "spark.ui.enabled=false", *settings,
        ):  # fmt: skip
            command += ["--conf", setting]
        environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "PYSPARK_DRIVER_PYTHON": sys.executable,
            "PYSPARK_PYTHON": str(python),
        }
        return subprocess.Popen(
            [*command, str(script), *map(str, arguments)],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT if log else None,
            start_new_session=True,
        )

    def executors(self):
        """Return the process ids of the executors' JVMs of all workers."""
        return sorted(found for worker in self.workers for found in self.executors_of(worker))

    def executors_of(self, worker):
        """Return the process ids of the executors' JVMs that are children of a worker."""
        found = []
        for folder in Path("/proc").iterdir():
            with suppress(OSError):
                line = (folder / "cmdline").read_bytes() if folder.name.isdigit() else b""
                if b"CoarseGrainedExecutorBackend" in line and _parent(folder) == worker.pid:
                    found.append(int(folder.name))
        return found

    def close(self):
        """Kill everything that this cluster started."""
        executors = self.executors()
        for process in (*self.workers, self.master):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for process in executors:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def _start(self, name, *arguments):
        role = "master.Master" if name == "master" else "worker.Worker"
        command = [SPARK_HOME / "bin" / "spark-class", f"org.apache.spark.deploy.{role}"]
        log = (self.folder / f"{name}.log").open("w")
        return subprocess.Popen(
            [*map(str, command), *arguments],
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "SPARK_HOME": str(SPARK_HOME)}
            | {key: os.environ[key] for key in ("JAVA_HOME",) if key in os.environ},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _wait_for_workers(self, wanted):
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            with suppress(OSError), urllib.request.urlopen(self._page, timeout=5) as reply:
                if reply.read().count(b'"state" : "ALIVE"') >= wanted:
                    return
            time.sleep(0.2)
        raise TimeoutError(f"no {wanted} workers after {_START_SECONDS} s: see {self.folder}")


def checksums(output):
    """Return the SHA-256 of every Parquet file and shard manifest below a folder."""
    return {
        str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(output.rglob("*"))
        if path.suffix == ".parquet" or path.name == "manifest.json"
    }


def wait_until(happened, job, seconds=120):
    """Return once `happened()`, which the job must outlive."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert job.poll() is None, "the job ended before"
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _parent(folder):
    """Return the parent of the process of this folder of /proc; its name may hold spaces."""
    return int((folder / "stat").read_text().rpartition(")")[2].split()[1])


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
