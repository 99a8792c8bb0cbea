"""The floor plan that a machine can keep: floors, rooms, sizes, names (docs/architecture.md)."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Lower floors first; a module imports from its own package and from floors below it.
FLOORS = {
    "dclm_spark": (
        {"errors", "source_commit", "html_pages", "task_errors"},
        {"yaml_text", "settings_choices", "arguments"},
        {"settings", "session", "command", "crawl", "shard_format"},
        {"train"},
        {"evaluate"},
        {"engine"},
        {"dedup", "limits", "signals"},
        {"stages"},
        {"mixture"},
        {"recipes", "planning"},
        {"removal"},
        {"corpus", "page_index"},
        {"exports"},
        {"report", "measure", "quality_classifier", "preflight"},
        {"beginning"},
        {"pipeline", "explain"},
        {"mixed_runs"},
        {"sample", "library"},
        {"ranking", "compile_kernels"},
        {"causes"},
    ),
    "udfs": (
        {"quirks", "cpu_clock", "checks", "home_folder"},
        {"text", "storage"},
        {"languages"},
        {"rules", "fasttext", "dedup", "warc", "html"},
        {"documents"},
        {"tokens", "robots"},
        {"units"},
        {"signals", "shards"},
    ),
}
LINES_OF_A_FILE, LINES_OF_A_FUNCTION, PARAMETERS = 300, 45, 6
FILES_OF_A_FOLDER = 15
# Training has the network, its parallel forms and its loop in one room; each job is a command.
FILES_OF = {"dclm_spark/train": 20, "jobs": 25}
# Functions with more, each with its reason.
MORE_PARAMETERS = {
    "dclm_spark/pipeline.py:build_baseline": "what a job's command line says, by keyword",
    "dclm_spark/measure/clock.py:timed": "work, its size, and how often it is repeated",
    "dclm_spark/sample/pages.py:html_page": "each says one thing of a generated page",
    "dclm_spark/train/modeling_openlm.py:forward": "the arguments that transformers calls it with",
    "udfs/dedup/minhash.py:_sign_batch": "arrays of a batch, of the permutations, of the result",
    "udfs/dedup/shingles.py:shingle_document": "arrays of one document, and of its hash table",
    "udfs/documents/extract.py:extract_documents": "a file's three names, and how it is read",
    "udfs/documents/rows.py:fate": "the columns of a fate, and the row",
    "udfs/text/hashed_words.py:find_words": "a text, its tables, and the two arrays that it fills",
    "udfs/text/word_breaks.py:_joins": "three values of the rules, and where to look ahead",
    "udfs/text/word_kernels.py:_without_letters": "bit masks of one block, in registers",
}
MORE_LINES = {
    "udfs/text/hashed_words.py:find_words": "one loop over blocks whose masks live in registers",
    "udfs/text/word_kernels.py:count_words": "one loop over blocks whose masks live in registers",
}
LONGER_FILES: dict[str, str] = {}


def sources(*tops: str) -> list[Path]:
    return sorted(path for top in tops for path in (ROOT / top).rglob("*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


SOURCES = sources("udfs", "dclm_spark", "jobs")


def package_of(path: Path) -> str:
    """Return the package or module right below the top one: `stages` of dclm_spark/stages/x.py."""
    return path.relative_to(ROOT).with_suffix("").parts[1]


def imports_of(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (top package, package below it) for each import of our own."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for top, *rest in (name.split(".") for name in names):
            if top in FLOORS and rest:
                yield top, rest[0]


def functions_of(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def num_parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    return len([argument for argument in named if argument.arg not in ("self", "cls")])


def level_of(top: str, package: str) -> int:
    for level, packages in enumerate(FLOORS[top]):
        if package in packages:
            return level
    raise AssertionError(f"{top}.{package} has no floor: give it one in FLOORS")


@pytest.mark.parametrize("path", sources("udfs", "dclm_spark"), ids=name_of)
def test_a_module_imports_from_floors_below_it(path):
    if path.parent in (ROOT / "udfs", ROOT / "dclm_spark") and path.name == "__init__.py":
        return
    top, package = path.relative_to(ROOT).parts[0], package_of(path)
    above = {
        imported
        for imported_top, imported in imports_of(path)
        if imported_top == top
        and imported != package
        and (ROOT / top / imported).with_suffix(".py").exists() | (ROOT / top / imported).is_dir()
        and level_of(top, imported) >= level_of(top, package)
    }
    assert not above, f"{top}.{package} imports {sorted(above)} of its own floor or above"


def test_a_function_is_short_and_takes_few_parameters():
    long, many = {}, {}
    for path in SOURCES:
        for function in functions_of(path):
            name = f"{name_of(path)}:{function.name}"
            lines = function.end_lineno - function.lineno + 1
            if lines > LINES_OF_A_FUNCTION:
                long[name] = lines
            if num_parameters(function) > PARAMETERS:
                many[name] = num_parameters(function)
    assert {name: lines for name, lines in long.items() if name not in MORE_LINES} == {}
    assert {name: count for name, count in many.items() if name not in MORE_PARAMETERS} == {}
    # An exception that is no longer needed goes.
    assert set(MORE_LINES) <= set(long)
    assert set(MORE_PARAMETERS) <= set(many)


def test_a_file_is_of_a_length_that_can_be_read():
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in SOURCES}
    long = {name: lines for name, lines in lengths.items() if lines > LINES_OF_A_FILE}
    assert {name: lines for name, lines in long.items() if name not in LONGER_FILES} == {}
    assert set(LONGER_FILES) <= set(long)


def test_a_folder_can_be_overlooked():
    folders = defaultdict(int)
    for path in SOURCES:
        folders[name_of(path.parent)] += path.name != "__init__.py"
    crowded = {
        name: count
        for name, count in folders.items()
        if count > FILES_OF.get(name, FILES_OF_A_FOLDER)
    }
    assert crowded == {}


def test_a_file_name_occurs_twice_only_as_driver_and_executor_half_of_one_thing():
    places = defaultdict(lambda: defaultdict(list))
    for path in sources("udfs", "dclm_spark"):
        if path.name != "__init__.py":
            places[path.name][path.relative_to(ROOT).parts[0]].append(name_of(path))
    twice = {
        name: paths for name, tops in places.items() for paths in tops.values() if len(paths) > 1
    }
    assert twice == {}
