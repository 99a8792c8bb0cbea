"""Which test covers a module that has no test file of its name (covered_modules.txt)."""

import ast
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "dclm_spark" / "library"
# A smaller module is covered by the tests of those that use it.
LINES = 60
# Each line: a module without a test file of its name, and the test that covers it.
TABLE = Path(__file__).with_name("covered_modules.txt")
COVERED_BY: dict[str, list[str]] = defaultdict(list)
for line in TABLE.read_text().splitlines():
    module, covering = line.split()
    COVERED_BY[covering].append(module)


def modules() -> list[Path]:
    return [
        path
        for top in ("udfs", "dclm_spark")
        for path in sorted((ROOT / top).rglob("*.py"))
        if path.name != "__init__.py" and len(path.read_text().splitlines()) > LINES
    ]


def names_of(paths: Iterable[Path]) -> set[str]:
    return {str(path.relative_to(ROOT)) for path in paths}


def test_every_module_has_a_test_file_of_its_name_or_one_line_here():
    tests = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    without = names_of(path for path in modules() if f"test_{path.name}" not in tests)
    listed = [module for covered in COVERED_BY.values() for module in covered]
    assert sorted(listed) == sorted(without), f"see {TABLE.name}"


@pytest.mark.parametrize("test", COVERED_BY)
def test_a_covering_test_reaches_the_modules(test):
    path = ROOT / "tests" / test
    # A job is run by its file.
    jobs = [job for job in (ROOT / "jobs").glob("*.py") if job.name in path.read_text()]
    reached = set().union(*map(reached_from, [path, *jobs]))
    texts = [(ROOT / name).read_text() for name in reached]
    # What goes with a model is copied by its name.
    unreached = {
        module
        for module in COVERED_BY[test]
        if module not in reached and not any(f'"{Path(module).name}"' in text for text in texts)
    }
    assert unreached == set()


def reached_from(path: Path) -> set[str]:
    """Return the modules that a file imports, directly or through others."""
    reached: set[str] = set()
    waiting = [path]
    while waiting:
        for found in imports_of(waiting.pop()):
            name = str(found.relative_to(ROOT))
            if name not in reached:
                reached.add(name)
                waiting.append(found)
    return reached


@cache
def imports_of(path: Path) -> tuple[Path, ...]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    files = []
    if "dclm_spark" in names:
        # The package's own names load its library.
        names |= {f"dclm_spark.library.{path.stem}" for path in LIBRARY.glob("*.py")}
    for name in names:
        place = ROOT.joinpath(*name.split("."))
        files += [place.with_suffix(".py"), place / "__init__.py"]
    return tuple(file for file in files if file.exists())
