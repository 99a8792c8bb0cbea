"""The parent of an executor's Python workers, in which a task of each run waits to be killed.

It runs in place of `dclm_spark.worker_daemon`. A run is a folder of outputs below the folder that
DCLM_SPARK_TEST_WAITING names. A task that has written a run's second file, and not yet closed it,
tells there which executor it is on, and goes no further; what writes later goes on.
"""

import json
import os
import signal
from contextlib import suppress
from pathlib import Path

from dclm_spark.worker_daemon import serve
from udfs.units.parquet_output import FileEntry, ParquetOutput

WAITING = "DCLM_SPARK_TEST_WAITING"
BEGUN, WAITS = ".begun", ".waits.json"


def place(file: Path, content: str) -> bool:
    """Write a file whole, unless it is there; return whether it was not."""
    own = file.with_name(f"{file.name}.{os.getpid()}")
    own.write_text(content)
    try:
        file.hardlink_to(own)
    except FileExistsError:
        return False
    finally:
        own.unlink()
    return True


def executor_of(process: int) -> dict[str, str | int]:
    """Return the number of an executor's process, and the number that Spark gave it."""
    words = Path(f"/proc/{process}/cmdline").read_text().split("\0")
    return {"process": process, "executor": words[words.index("--executor-id") + 1]}


def main() -> None:
    """Serve workers, as the local session's daemon does."""
    folder, executor = Path(os.environ[WAITING]), json.dumps(executor_of(os.getppid()))
    close = ParquetOutput.close

    def wait_then_close(output: ParquetOutput) -> FileEntry:
        with suppress(ValueError):
            run = Path(output._directory).relative_to(folder).parts[0]
            first = place(folder / f"{run}{BEGUN}", "")
            if not first and place(folder / f"{run}{WAITS}", executor):
                signal.pause()
        return close(output)

    ParquetOutput.close = wait_then_close
    serve()


if __name__ == "__main__":
    main()
