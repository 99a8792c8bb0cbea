"""Where a worker may keep files: its home, or a temporary folder when it has none of its own.

Containers and cluster managers start workers as users without a home folder, and with the packages
belonging to somebody else.
"""

import os
import tempfile
from pathlib import Path

NUMBA_VARIABLE = "NUMBA_CACHE_DIR"


def writable_home() -> Path | None:
    """Return the home folder when files can be made in it, None otherwise."""
    try:
        home = Path.home()
    except RuntimeError:
        return None
    return home if home.is_dir() and os.access(home, os.W_OK | os.X_OK) else None


def temporary_folder(name: str) -> Path:
    """Return this user's folder `name` for files that need not last.

    It is made, for nobody else: what lies in it is run or loaded. One that another user made
    first is not used.
    """
    folder = Path(tempfile.gettempdir()) / f"{name}-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        return Path(tempfile.mkdtemp(prefix=f"{name}-"))
    return folder


def has_compiled_kernels(package: Path) -> bool:
    """Say whether there is machine code of kernels where numba keeps that of `package`."""
    named, home = os.environ.get(NUMBA_VARIABLE), writable_home()
    if named:
        folder = Path(named)
    elif home is None or os.access(package, os.W_OK):
        folder = package
    else:
        folder = home / ".cache" / "numba"
    return next(folder.rglob("*.nbi"), None) is not None


def give_numba_a_folder(package: Path) -> None:
    """Name a folder for compiled kernels where numba would find none and refuse to start.

    Numba keeps them beside the sources in `package` or below the home folder; NUMBA_CACHE_DIR, if
    set, wins.
    """
    if os.environ.get(NUMBA_VARIABLE) or os.access(package, os.W_OK) or writable_home():
        return
    os.environ[NUMBA_VARIABLE] = str(temporary_folder("dclm_spark-kernels"))
