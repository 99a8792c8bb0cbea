"""The rules of the house that a machine can keep."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
JOBS = sorted((ROOT / "jobs").glob("*.py"))
SOURCES = sorted([*(ROOT / "udfs").rglob("*.py"), *(ROOT / "dclm_spark").rglob("*.py")])
# What runs on machines without Spark: all of a package but the named modules.
WITHOUT_SPARK = {
    "train": (),
    "evaluate": (),
    "ranking": ("rank", "corpora"),
    "causes": ("differing_documents", "differing_groups"),
}


def imported_packages(path):
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", sorted((ROOT / "udfs").rglob("*.py")), ids=lambda p: p.name)
def test_kernels_import_neither_spark_nor_torch_nor_the_driver(path):
    assert not imported_packages(path) & {"pyspark", "torch", "dclm_spark", "jobs"}


@pytest.mark.parametrize("package", WITHOUT_SPARK)
def test_training_evaluation_and_the_models_of_a_ranking_do_not_load_spark(package):
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((ROOT / "dclm_spark" / package).rglob("*.py"))
        if path.stem not in WITHOUT_SPARK[package]
    ]
    assert modules
    code = (
        "import importlib, sys\n"
        "sys.modules['pyspark'] = None\n"
        f"[importlib.import_module(name) for name in {modules!r}]\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# One process shows the help of all jobs: a process each takes a second each.
SHOW_HELP = """
import contextlib, io, json, pathlib, runpy, sys
shown = {}
for path in sys.argv[1:]:
    out, code = io.StringIO(), None
    sys.argv = [path, "--help"]
    with contextlib.redirect_stdout(out):
        try:
            runpy.run_path(path, run_name="__main__")
        except SystemExit as end:
            code = end.code
    shown[pathlib.Path(path).name] = [code, out.getvalue()]
print(json.dumps(shown))
"""


@pytest.fixture(scope="module")
def shown_help():
    done = subprocess.run(
        [sys.executable, "-c", SHOW_HELP, *map(str, JOBS)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("path", JOBS, ids=lambda p: p.name)
def test_a_job_is_short_and_shows_help(path, shown_help):
    assert len(path.read_text().splitlines()) <= 60
    code, text = shown_help[path.name]
    assert code == 0
    assert text.startswith("usage:")


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_unstable_decides_identity_or_order(path):
    text = path.read_text()
    for forbidden in ("monotonically_increasing_id(", "dropDuplicates(", ".rdd", "F.rand("):
        assert forbidden not in text
