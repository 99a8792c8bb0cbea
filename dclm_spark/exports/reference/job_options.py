"""The options of every job, read from the calls that build its parser; no job is imported."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import dclm_spark
from dclm_spark.command import job_names

_PACKAGE = Path(dclm_spark.__file__).parent
_ROOT = _PACKAGE.parent
_ADDING = {"add", "add_argument"}
_INTRODUCTION = """# Jobs

Every job as `python jobs/NAME.py`, `spark-submit jobs/NAME.py` or `dclm-spark NAME`, with the
options of its command line. `--help` of a job tells the same. Keys of `--set` for recipes are in
[recipe_keys.md](recipe_keys.md); those for training are in [training.md](../training.md).

This page is made from the jobs' parsers, by
`python -m dclm_spark.exports.reference.write_pages docs/reference`; a test keeps it complete.
"""


@dataclass(frozen=True, kw_only=True)
class JobOption:
    """An option or argument: its names, what it takes, and what its help says."""

    names: tuple[str, ...]
    takes: str
    help: str


class _Source:
    """A module of ours as its tree, with the means to find what its names stand for."""

    def __init__(self, path: Path) -> None:
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self.imports: dict[str, tuple[str, str]] = {
            alias.asname or alias.name: (node.module, alias.name)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        }

    def assigned(self, name: str) -> ast.expr | None:
        """Return what is assigned to a name here, or where it is imported from."""
        first, _, rest = name.partition(".")
        for node in ast.walk(self.tree):
            if rest and isinstance(node, ast.ClassDef) and node.name == first:
                return _assigned(node, rest)
            if isinstance(node, ast.arguments) and node.defaults:
                given = [one.arg for one in node.args[-len(node.defaults) :]]
                if name in given:
                    return node.defaults[given.index(name)]
        if not rest and (found := _assigned(self.tree, name)) is not None:
            return found
        module, original = self.imports.get(first, ("", ""))
        source = _module(module)
        return source.assigned(".".join(filter(None, (original, rest)))) if source else None


def _assigned(tree: ast.AST, name: str) -> ast.expr | None:
    for node in ast.walk(tree):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        if isinstance(node, ast.Assign | ast.AnnAssign) and name in names:
            return node.value
    return None


def _module(name: str) -> _Source | None:
    path = _ROOT / (name.replace(".", "/") + ".py")
    return _Source(path) if name and path.is_file() else None


def job_options(name: str) -> list[JobOption]:
    """Return the options of a job in the order of its parser."""
    return list(_options(_Source(_PACKAGE / "jobs" / f"{name}.py")))


def _options(source: _Source, within: ast.AST | None = None) -> Iterator[JobOption]:
    calls = [node for node in ast.walk(within or source.tree) if isinstance(node, ast.Call)]
    for call in sorted(calls, key=lambda call: (call.lineno, call.col_offset)):
        called = ast.unparse(call.func)
        last = called.rpartition(".")[2]
        if last in _ADDING and call.args and isinstance(call.args[0], ast.Constant):
            if isinstance(call.args[0].value, str):
                yield _option(source, call)
        elif last == "job_parser" or (
            last.startswith("add_") and last.endswith(("argument", "arguments"))
        ):
            yield from _shared(source, called)


def _shared(source: _Source, called: str) -> Iterator[JobOption]:
    """Yield what a function of another module, such as `command.add_run_arguments`, adds."""
    first, _, attribute = called.partition(".")
    if first in source.imports:
        module, original = source.imports[first]
        found = _module(f"{module}.{original}") if attribute else _module(module)
        source = found or source
    name = attribute or called
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            yield from _options(source, node)


def _option(source: _Source, call: ast.Call) -> JobOption:
    given = {one.arg: one.value for one in call.keywords if one.arg}
    names = tuple(ast.literal_eval(one) for one in call.args)
    return JobOption(
        names=names, takes=", ".join(_takes(source, given)), help=_text(source, given.get("help"))
    )


def _takes(source: _Source, given: Mapping[str, ast.expr]) -> Iterator[str]:
    """Say what an option takes: required, a switch, repeated, choices, the default."""
    action = _text(source, given.get("action"))
    if _text(source, given.get("required")) == "True":
        yield "required"
    if action == "store_true":
        yield "a switch"
        return
    if action == "append":
        yield "repeatable"
    if _text(source, given.get("nargs")) in ("+", "*"):
        yield "one or more" if _text(source, given["nargs"]) == "+" else "any number"
    if "choices" in given:
        yield "one of " + _text(source, given["choices"])
    default = _text(source, given.get("default"))
    if default not in ("", "None"):
        yield f"default {default}"


def _text(source: _Source, value: ast.expr | None) -> str:
    """Return an expression of a parser's call as text, names replaced by what they stand for."""
    if value is None:
        return ""
    if isinstance(value, ast.JoinedStr):
        return "".join(_text(source, part) for part in value.values)
    if isinstance(value, ast.FormattedValue):
        return _text(source, value.value)
    if isinstance(value, ast.Call) and value.args:
        # list(...), ", ".join(...)
        return _text(source, value.args[0])
    if isinstance(value, ast.Name | ast.Attribute):
        found = source.assigned(ast.unparse(value))
        return ast.unparse(value) if found is None else _text(source, found)
    if isinstance(value, ast.Dict):
        return ", ".join(_text(source, key) for key in value.keys)
    if isinstance(value, ast.Tuple | ast.List):
        return " ".join(_text(source, one) for one in value.elts)
    if isinstance(value, ast.Constant):
        return str(value.value)
    return ast.unparse(value)


def page() -> str:
    """Return the page as Markdown: a table for each job."""
    return _INTRODUCTION + "".join(map(_section, job_names()))


def _section(name: str) -> str:
    tree = _Source(_PACKAGE / "jobs" / f"{name}.py").tree
    first = (ast.get_docstring(tree) or "").partition("\n")[0]
    rows = "\n".join(map(_row, job_options(name)))
    return f"\n## `{name}`\n\n{first}\n\n| option | takes | meaning |\n|---|---|---|\n{rows}\n"


def _row(one: JobOption) -> str:
    names = ", ".join(f"`{name}`" for name in one.names)
    cells = (cell.replace("|", "\\|") for cell in (names, one.takes, one.help))
    return f"| {' | '.join(cells)} |"
