"""The version of a stage's code: a hash of what can change the bytes that the stage writes.

Counted are the modules that the stage imports, as far as they are kernels or stages, the tables
that come with kernels, and the versions of the packages that kernels call. Comments, docstrings
and layout do not count, nor does it matter where the code lies: in a checkout, a wheel or a zip.
"""

import ast
import hashlib
import inspect
import json
import sys
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Any

# Modules below these are counted wherever a counted module imports them. What only plans, reports,
# trains or evaluates lies elsewhere.
FOLLOWED = (
    "udfs",
    "dclm_spark.stages",
    "dclm_spark.dedup",
    "dclm_spark.signals",
    "dclm_spark.engine.tables",
)
# Packages of others whose version can change texts, numbers, ids or files; they are installed and
# imported by one name.
PACKAGES = (
    "fastwarc",
    "gigatoken",
    "idna",
    "numba",
    "numpy",
    "pyarrow",
    "resiliparse",
    "sqlglot",
    "tokenizers",
    "webencodings",
)
# The version of Unicode that this Python knows.
_UNICODE = "unicodedata"
_TABLES = "importlib.resources"
_DIGITS = 16


@dataclass(frozen=True, kw_only=True)
class _Module:
    """What one module contributes: the hash of its statements, and the names that it imports."""

    digest: str
    imports: tuple[str, ...]


@cache
def code_version(*modules: str) -> str:
    """Return 16 hex digits for `modules` and all that they import and that counts.

    `modules` are names such as "udfs.units.curate"; the packages that they are in count too.
    """
    followed = (*FOLLOWED, *{name.split(".")[0] for name in modules} - {"dclm_spark", "jobs"})
    counted: dict[str, _Module] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in counted:
            continue
        counted[name] = _read_module(name)
        above = _packages_of(name)
        waiting += [one for one in (*counted[name].imports, *above) if _is_below(one, followed)]
    imported = {name for module in counted.values() for name in module.imports}
    parts = {
        "modules": {name: module.digest for name, module in sorted(counted.items())},
        "packages": {name: package_version(name) for name in PACKAGES if _any(imported, name)},
        "unicode": unicodedata.unidata_version if _any(imported, _UNICODE) else None,
        "tables": _tables() if _any(imported, _TABLES) else None,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:_DIGITS]


def code_of(function: Callable[..., Any], *modules: str) -> str:
    """Return the code version of a function's module and of `modules`.

    A partial counts as its function. Of what is typed into a notebook, the function alone counts.
    Raises OSError where no source is to be found.
    """
    while hasattr(function, "func"):
        function = function.func
    name = function.__module__
    if name != "__main__":
        return code_version(name, *modules)
    script = hasattr(sys.modules[name], "__file__")
    source = inspect.getsource(sys.modules[name] if script else function)
    own = _statements_digest(ast.parse(textwrap.dedent(source)))
    return hashlib.sha256(f"{own} {code_version(*modules)}".encode()).hexdigest()[:_DIGITS]


@cache
def package_version(name: str) -> str:
    """Return the version of the installed package that is imported as `name`, "" for none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _is_below(name: str, packages: Iterable[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _any(names: Iterable[str], package: str) -> bool:
    return any(_is_below(name, [package]) for name in names)


def _packages_of(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


@cache
def _read_module(name: str) -> _Module:
    spec = _spec(name)
    source = _source(name, spec) if spec else None
    if spec is None or source is None:
        raise OSError(f"{name}: the source of this module is not to be found; install its .py file")
    tree = ast.parse(source)
    package = name if spec.submodule_search_locations is not None else name.rpartition(".")[0]
    imports = tuple(sorted(set(_imports(tree, package))))
    return _Module(digest=_statements_digest(tree), imports=imports)


def _source(name: str, spec: ModuleSpec) -> str | None:
    source: str | None = getattr(spec.loader, "get_source", lambda _: None)(name)
    # A loader of somebody's own, such as pytest's, may know the file only.
    if source is None and spec.has_location and spec.origin:
        source = Path(spec.origin).read_text(encoding="utf-8")
    return source


def _spec(name: str) -> ModuleSpec | None:
    loaded = sys.modules.get(name)
    return find_spec(name) if loaded is None else loaded.__spec__


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    """Yield the modules that a module imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = resolve_name("." * node.level + (node.module or ""), package)
            yield origin
            for alias in node.names:
                if _is_module(origin, alias.name):
                    yield f"{origin}.{alias.name}"


def _is_module(package: str, name: str) -> bool:
    if not _is_below(package, [*FOLLOWED, "dclm_spark"]):
        return False
    spec = _spec(package)
    within = spec is not None and spec.submodule_search_locations is not None
    return within and find_spec(f"{package}.{name}") is not None


def _statements_digest(tree: ast.AST) -> str:
    return hashlib.sha256(json.dumps(_statements(tree)).encode()).hexdigest()


def _statements(node: Any) -> Any:
    """Return syntax as nested lists without positions, docstrings, and what is empty.

    `ast.dump` shows what is empty, and so differs between versions of Python.
    """
    if isinstance(node, list):
        return [_statements(one) for one in node if not _is_text(one)]
    if not isinstance(node, ast.AST):
        return repr(node)
    constant = isinstance(node, ast.Constant)
    return [
        type(node).__name__,
        *(
            [name, _statements(value)]
            for name, value in ast.iter_fields(node)
            if (constant and name == "value") or (value is not None and value != [])
        ),
    ]


def _is_text(node: Any) -> bool:
    """Say whether a statement is a string alone: a docstring, or a comment in this form."""
    expression = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return expression and isinstance(node.value.value, str)


@cache
def _tables() -> dict[str, str]:
    """Return the checksums of the tables that come with kernels, by file name."""
    folder = files("udfs") / "resources"
    return {
        table.name: hashlib.sha256(table.read_bytes()).hexdigest()
        for table in sorted(folder.iterdir(), key=lambda one: one.name)
        if table.is_file() and not table.name.endswith((".py", ".pyc"))
    }
