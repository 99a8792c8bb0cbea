"""The command `dclm-spark`, from a checkout and from a wheel in an empty environment."""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from dclm_spark import command
from dclm_spark.errors import missing_package

ROOT = Path(__file__).parents[2]

TEN_LINES = """
from pyspark.sql import SparkSession
import dclm_spark
spark = SparkSession.builder.master("local[1]").getOrCreate()
page = "<html><body><main><p>The cat sat on the mat, and that was all.</p></main></body></html>"
frame = spark.createDataFrame([(1, page)], "id int, html string")
texts = frame.transform(dclm_spark.extract_text).transform(dclm_spark.identify_language)
print(texts.select("text", "language").collect())
"""


def test_every_script_of_jobs_is_a_job_of_the_command():
    assert command.job_names() == sorted(path.stem for path in (ROOT / "jobs").glob("*.py"))
    usage = command.usage()
    for name in command.job_names():
        assert f"  {name} " in usage


def test_a_job_runs_as_the_script_does(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["dclm-spark", "train-quality", "--help"])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: dclm-spark train_quality [-h]")


def test_an_unknown_job_is_an_error_that_names_the_nearest(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["dclm-spark", "build_basline"])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 2
    assert "did you mean build_baseline?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("torch", "torch is not installed: pip install 'dclm-spark[train]' brings it"),
        ("pyspark.sql", "pyspark is not installed: pip install 'dclm-spark[spark]' brings it"),
        ("fasttext", "fasttext is not installed: pip install 'dclm-spark[udfs]' brings it"),
        ("a_rule_of_mine", ""),
    ],
)
def test_a_missing_package_is_told_with_the_extra_that_brings_it(module, told):
    assert missing_package(ModuleNotFoundError("none", name=module)) == told


WITHOUT_TORCH = """
import sys
# So an import of torch fails as where it is not installed.
sys.modules["torch"] = None
sys.argv = ["dclm-spark", "train_model", "--help"]
from dclm_spark import command
command.main()
"""


def test_a_job_without_its_package_is_one_line():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.strip().endswith("'dclm-spark[train]' brings it")


LISTING = """
from dclm_spark.command import run_command
run_command(lambda: print(*range({count}), sep="\\n"))
"""
LOST = """
from dclm_spark.command import run_command
def main():
    raise BrokenPipeError("a store hung up")
run_command(main)
"""


@pytest.mark.parametrize("count", [3, 300_000])
def test_a_job_whose_lines_nobody_reads_any_more_ends_quietly(count):
    reading, writing = os.pipe()
    os.close(reading)
    words = [sys.executable, "-c", LISTING.format(count=count)]
    ended = subprocess.run(words, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (command.EXIT_UNREAD, "")


def test_a_pipe_that_breaks_elsewhere_is_an_error():
    ended = subprocess.run([sys.executable, "-c", LOST], capture_output=True, text=True)
    assert ended.returncode == 1
    assert "BrokenPipeError: a store hung up" in ended.stderr


def test_what_the_machine_refuses_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    script = (
        "from dclm_spark.command import run_command; from pathlib import Path; "
        "run_command(lambda: Path('file/below').write_text(''))"
    )
    words = [sys.executable, "-c", script]
    ended = subprocess.run(
        words, capture_output=True, text=True, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert ended.returncode == command.EXIT_FAILED
    assert ended.stderr == "error: file/below: Not a directory\n"


@pytest.mark.slow  # installs Spark and all that the package needs into an empty environment
def test_the_wheel_works_in_an_empty_environment(tmp_path):
    # A copy, since a build leaves files beside its sources.
    source = tmp_path / "source"
    for name in ("dclm_spark", "udfs", "jobs"):
        shutil.copytree(ROOT / name, source / name, symlinks=True)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path)]
    built = subprocess.run([*pip, str(source)], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    binaries = tmp_path / "venv" / "bin"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"PYSPARK_PYTHON": str(binaries / "python")}
    options = {"capture_output": True, "text": True, "cwd": tmp_path, "env": environment}
    installed = subprocess.run(
        [binaries / "python", "-m", "pip", "install", "-q", f"{wheel}[spark]"], **options
    )
    assert installed.returncode == 0, installed.stderr
    recipe = subprocess.run(
        [binaries / "dclm-spark", "build_baseline", "--print-recipe", "--recipe", "fineweb"],
        **options,
    )
    assert recipe.stdout.startswith("name: fineweb"), recipe.stderr
    done = subprocess.run([binaries / "python", "-c", TEN_LINES], **options)
    assert "language='en'" in done.stdout, done.stderr
