"""Temporary files of tasks: in Spark's local folders, and gone with the process that made them."""

import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

# What Spark, YARN and the operating system call the folders for temporary files, in this order.
_FOLDERS = ("SPARK_LOCAL_DIRS", "LOCAL_DIRS")
_OPEN_FILES = Path("/proc/self/fd")


def scratch_folder() -> str:
    """Return a folder for temporary files: one of Spark's local ones, else the system's.

    Processes share several such folders, usually disks, evenly.
    """
    for variable in _FOLDERS:
        named = [name for name in os.environ.get(variable, "").split(",") if name]
        usable = [name for name in named if os.access(name, os.W_OK | os.X_OK)]
        if usable:
            return usable[os.getpid() % len(usable)]
    return tempfile.gettempdir()


class ScratchFile:
    """An empty temporary file that other code opens by `path`, until the block ends.

    On Linux it has no name in any folder, so that not even a killed process leaves it behind.
    """

    def __init__(self) -> None:
        nameless = _OPEN_FILES.is_dir()
        make = tempfile.TemporaryFile if nameless else tempfile.NamedTemporaryFile
        self._file = make(dir=scratch_folder(), prefix="dclm-spark-")
        self.path = (
            _OPEN_FILES / str(self._file.fileno()) if nameless else Path(str(self._file.name))
        )

    def close(self) -> None:
        """Remove the file; closing twice is no error."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
